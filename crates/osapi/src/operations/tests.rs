//! The built-in operations against the real thing.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Context, Failure, Refused, Registry};

const FIRST: Context = Context { attempt: 1 };

fn registry() -> Registry {
    Registry::builtin(
        ["sh", "/bin/echo", "no-such-program"]
            .map(str::to_owned)
            .to_vec(),
    )
}

async fn run(name: &str, data: Value) -> Result<Value, Failure> {
    registry().run(name, data, FIRST).await
}

#[test]
fn unknown_operations_are_refused_with_the_list() {
    let refused = registry()
        .check("node.reboot", &json!({}))
        .expect_err("unknown");
    assert!(matches!(&refused, Refused::Unknown { known, .. } if known.len() == 10));
    assert!(refused.to_string().contains("node.hostname.get"));
}

#[test]
fn input_is_checked_before_a_job_is_accepted() {
    let cases = [
        ("node.hostname.get", json!({"x": 1}), "unknown field `x`"),
        ("node.hostname.get", json!(null), "not a JSON object"),
        ("node.hostname.get", json!([]), "not a JSON object"),
        ("node.hostname.get", json!("x"), "not a JSON object"),
        ("sleep", json!([1]), "not a JSON object"),
        ("sleep", json!({}), "missing field `seconds`"),
        (
            "sleep",
            json!({"seconds": -1}),
            "seconds: expected a number from 0 to 86400",
        ),
        (
            "sleep",
            json!({"seconds": 1e300}),
            "seconds: expected a number from 0 to 86400",
        ),
        (
            "sleep",
            json!({"seconds": "1"}),
            "seconds: expected a number from 0 to 86400",
        ),
        (
            "sleep",
            json!({"seconds": 1, "fail_attempts": 0.5}),
            "fail_attempts: expected a whole",
        ),
        (
            "network.ping",
            json!({"address": "::1", "count": 0}),
            "count: expected a whole number from 1 to 10",
        ),
        (
            "network.ping",
            json!({"address": "::1", "count": 70_000}),
            "count: expected a whole number from 1 to 10",
        ),
        (
            "network.ping",
            json!({"address": ["::1"]}),
            "address: invalid type",
        ),
        (
            "network.ping",
            json!({"address": "a b"}),
            "address is not a host name",
        ),
        (
            "network.ping",
            json!({"address": "a..b"}),
            "address is not a host name",
        ),
        (
            "network.ping",
            json!({"address": ".a"}),
            "address is not a host name",
        ),
        (
            "network.ping",
            json!({"address": "a".repeat(64)}),
            "address is not a host name",
        ),
        (
            "network.ping",
            json!({"address": "a.".repeat(128)}),
            "address is not a host name",
        ),
        (
            "network.dns.get",
            json!({"name": ""}),
            "name is not a host name",
        ),
        (
            "network.dns.get",
            json!({"name": "a..b"}),
            "name is not a host name",
        ),
        ("network.dns.get", json!({"name": "1:2"}), "no IPv6 address"),
        (
            "network.ping",
            json!({"address": "a/b"}),
            "other characters than letters",
        ),
        (
            "command.exec",
            json!({"program": "x".repeat(1001)}),
            "longer than 1000 characters",
        ),
        (
            "network.dns.get",
            json!({"name": "localhost", "type": "AXFR"}),
            "one of A, AAAA",
        ),
        (
            "command.exec",
            json!({"program": "sh", "timeout": "soon"}),
            "not a duration",
        ),
        (
            "command.exec",
            json!({"program": "sh", "timeout": "0s"}),
            "more than 0s",
        ),
        (
            "command.exec",
            json!({"program": "sh", "args": ["a\u{0}b"]}),
            "NUL",
        ),
    ];
    for (name, data, expected) in cases {
        let refused = registry()
            .check(name, &data)
            .expect_err("bad input")
            .to_string();
        assert!(
            refused.starts_with(name) && refused.contains(expected),
            "{name} {data}: {refused}"
        );
        for ours in ["struct", "f64", "u16", "u32", "Input"] {
            assert!(!refused.contains(ours), "names a type of ours: {refused}");
        }
    }
    for name in [
        "a.",
        ".",
        "_sip._tcp.example.org",
        "xn--bcher-kva.example",
        "bücher.example",
        "::1",
    ] {
        let data = json!({"name": name, "type": "ptr"});
        registry().check("network.dns.get", &data).expect(name);
    }
    for name in ["node.hostname.get", "node.status.get"] {
        registry().check(name, &json!({})).expect("no input needed");
    }
}

#[tokio::test]
async fn node_operations_report_this_host() {
    let status = run("node.status.get", json!({})).await.expect("status");
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("Linux");
    assert_eq!(status["hostname"], hostname.trim());
    assert!(status["uptime_seconds"].as_f64() > Some(0.0));
    assert!(status["load1"].is_number());
    assert!(status["total_bytes"].as_u64() >= status["available_bytes"].as_u64());
    let disks = status["disks"].as_array().expect("a list");
    assert!(disks.iter().any(|disk| disk["mount"] == "/"), "{disks:?}");
    for part in ["hostname", "uptime", "load", "memory", "disk"] {
        let part = run(&format!("node.{part}.get"), json!({}))
            .await
            .expect("part");
        for (field, _) in part.as_object().expect("an object") {
            assert!(status.get(field).is_some(), "status has {field}");
        }
    }
}

#[tokio::test]
async fn sleep_fails_as_often_as_told() {
    let input = json!({"seconds": 0.001, "fail_attempts": 1});
    assert!(
        !registry()
            .run("sleep", input.clone(), FIRST)
            .await
            .expect_err("told to fail")
            .permanent
    );
    let second = registry()
        .run("sleep", input, Context { attempt: 2 })
        .await
        .expect("slept");
    assert_eq!(second, json!({"slept_seconds": 0.001}));
}

#[tokio::test]
async fn command_runs_without_shell_environment_or_input() {
    let echoed = run(
        "command.exec",
        json!({"program": "/bin/echo", "args": ["$HOME", ";", "id"]}),
    )
    .await;
    assert_eq!(echoed.expect("ran")["stdout"], "$HOME ; id\n");
    let script = "env | sort | cut -d= -f1 | tr '\\n' ' '; cat; pwd";
    let seen = run(
        "command.exec",
        json!({"program": "sh", "args": ["-c", script]}),
    )
    .await
    .expect("ran");
    let stdout = seen["stdout"].as_str().expect("text");
    assert!(stdout.ends_with("/\n"), "{stdout}");
    assert!(
        !stdout.contains("HOME") && !stdout.contains("CARGO"),
        "{stdout}"
    );
    assert_eq!(seen["exit_code"], 0);
}

#[tokio::test]
async fn command_refuses_what_is_not_allowed() {
    for program in ["id", "/bin/sh", "../bin/sh", "echo"] {
        let failure = run("command.exec", json!({"program": program}))
            .await
            .expect_err("not allowed");
        assert!(
            failure.permanent && failure.error.contains("allow_commands"),
            "{failure:?}"
        );
    }
    let failure = run("command.exec", json!({"program": "no-such-program"}))
        .await
        .expect_err("not there");
    assert!(failure.error.contains("cannot start"), "{failure:?}");
}

#[tokio::test]
async fn command_output_is_limited_and_kept_on_failure() {
    let script = "head -c 1000000 /dev/zero; echo oops >&2; exit 3";
    let failure = run(
        "command.exec",
        json!({"program": "sh", "args": ["-c", script]}),
    )
    .await
    .expect_err("exit 3");
    let result = failure.result.expect("output");
    assert_eq!(result["exit_code"], 3);
    assert_eq!(result["stderr"], "oops\n");
    assert_eq!(result["stdout"].as_str().map(str::len), Some(64 * 1024));
    assert_eq!(result["truncated"], true);
}

#[tokio::test]
async fn command_ends_with_its_program_whoever_keeps_its_output_open() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let escaped = dir.path().join("escaped");
    let script = format!(
        "setsid sh -c 'echo $$ > {0}.new; mv {0}.new {0}; exec sleep 600' & \
         while ! test -e {0}; do sleep 0.01; done; echo hi; exit $0",
        escaped.display()
    );
    for exit_code in [0, 3] {
        let data = json!({"program": "sh", "args": ["-c", script, exit_code.to_string()], "timeout": "1h"});
        let ended = tokio::time::timeout(Duration::from_secs(30), run("command.exec", data));
        let result = match ended.await.expect("does not wait for who escaped") {
            Ok(result) => result,
            Err(failure) => failure.result.expect("output"),
        };
        assert_eq!(result["exit_code"], exit_code, "{result}");
        assert_eq!(result["stdout"], "hi\n");
        assert_eq!(result["truncated"], true, "there may be more to come");
        let escapee = std::fs::read_to_string(&escaped).expect("its id");
        std::fs::remove_file(&escaped).expect("removed");
        let killed = std::process::Command::new("kill")
            .args(["-KILL", escapee.trim()])
            .status();
        assert!(
            killed.expect("kill").success(),
            "out of reach, as documented"
        );
    }
}

#[tokio::test]
async fn command_takes_the_children_it_leaves_behind_with_it() {
    let script = "sleep 600 & echo $!";
    let data = json!({"program": "sh", "args": ["-c", script], "timeout": "1h"});
    let ended = tokio::time::timeout(Duration::from_secs(30), run("command.exec", data));
    let result = ended.await.expect("does not wait").expect("exits at once");
    assert_eq!(result["truncated"], false, "nobody is left to write more");
    until_gone(result["stdout"].as_str().expect("text").trim()).await;
}

/// Whether a process exists and is not just waiting to be reaped.
fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

async fn until_gone(pid: &str) {
    let begun = Instant::now();
    while runs(pid) {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "process {pid} outlived its job"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn command_timeout_and_cancellation_kill_the_whole_group() {
    let dir = tempfile::TempDir::new().expect("a directory");
    for (name, timeout) in [("timeout", "300ms"), ("cancel", "1h")] {
        let file = dir.path().join(name);
        let script = format!(
            "echo begun; sleep 600 & echo $! > {0}.new; mv {0}.new {0}; wait",
            file.display()
        );
        let data = json!({"program": "sh", "args": ["-c", script], "timeout": timeout});
        let job = tokio::spawn(async move { run("command.exec", data).await });
        let begun = Instant::now();
        while !file.exists() {
            assert!(
                begun.elapsed() < Duration::from_secs(10),
                "the grandchild never started"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if name == "cancel" {
            job.abort();
            assert!(job.await.expect_err("aborted").is_cancelled());
        } else {
            let failure = job.await.expect("no panic").expect_err("too slow");
            assert!(failure.error.contains("killed after 300ms"), "{failure:?}");
            let result = failure.result.expect("what it wrote until then");
            assert_eq!(
                (&result["exit_code"], &result["stdout"]),
                (&Value::Null, &json!("begun\n"))
            );
        }
        until_gone(std::fs::read_to_string(&file).expect("its id").trim()).await;
    }
}

/// Where ICMP is not allowed, the error must say so; everywhere else loopback answers.
#[tokio::test]
async fn ping_reaches_loopback_or_says_why_not() {
    match run("network.ping", json!({"address": "127.0.0.1", "count": 2})).await {
        Ok(result) => assert_eq!(
            (&result["sent"], &result["received"]),
            (&json!(2), &json!(2))
        ),
        Err(failure) => assert!(failure.error.contains("ping_group_range"), "{failure:?}"),
    }
    let failure = run("network.ping", json!({"address": "no-such-host.invalid"}))
        .await
        .expect_err("no such host");
    assert_eq!(
        failure,
        Failure::permanent("no-such-host.invalid does not exist")
    );
}

/// The kernel refuses to ping everybody at once, whatever else it allows.
#[tokio::test]
async fn ping_that_is_not_allowed_is_not_tried_again() {
    let failure = run("network.ping", json!({"address": "255.255.255.255"}))
        .await
        .expect_err("not allowed");
    assert!(
        failure.permanent && failure.error.contains("does not let the worker"),
        "{failure:?}"
    );
}

/// These names never leave the resolver (RFC 6761 sections 6.3 and 6.4), so no network is needed.
#[tokio::test]
async fn dns_answers_or_says_that_there_is_nothing() {
    let found = run("network.dns.get", json!({"name": "localhost", "type": "a"}))
        .await
        .expect("in the hosts file");
    assert_eq!(found["records"][0]["data"], "127.0.0.1");
    let found = run(
        "network.dns.get",
        json!({"name": "127.9.9.9", "type": "PTR"}),
    )
    .await
    .expect("loopback has a name");
    assert_eq!(found["name"], "127.9.9.9");
    assert_eq!(found["records"][0]["data"], "localhost.");
    for (name, why) in [("127.9.9.9", "only type PTR"), ("xn--a.test", "xn--a.test")] {
        let failure = run("network.dns.get", json!({ "name": name })).await;
        let failure = failure.expect_err("nothing to ask for");
        assert!(
            failure.permanent && failure.error.contains(why),
            "{failure:?}"
        );
    }
    let failure = run("network.dns.get", json!({"name": "no-such-host.invalid"}))
        .await
        .expect_err("no such name");
    assert_eq!(
        failure,
        Failure::permanent("no-such-host.invalid does not exist")
    );
}

#[test]
fn whole_numbers_may_be_written_as_json_schema_lets_them() {
    let registry = Registry::builtin(Vec::new());
    let sleep = |attempts: &str| {
        let data = format!(r#"{{"seconds": 0, "fail_attempts": {attempts}}}"#);
        registry.check("sleep", &serde_json::from_str(&data).unwrap())
    };
    for whole in ["0", "3", "3.0", "4294967295.0"] {
        assert!(sleep(whole).is_ok(), "{whole}");
    }
    for other in ["3.5", "-1.0", "4294967296.0", "1e300", "\"3\"", "true"] {
        assert!(sleep(other).is_err(), "{other}");
    }
}
