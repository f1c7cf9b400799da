//! The client commands and the shape of the command line.

mod terminal;

use serde_json::{Value, json};

use crate::support::{Server, output, stderr, stdout, up};

fn client(server: &Server, args: &[&str]) -> std::process::Output {
    let url = server.url("");
    let mut all = args.to_vec();
    all.extend(["--server", &url]);
    output(&all)
}

#[tokio::test]
async fn jobs_by_command_line() {
    let server = up(&["--set", "worker.name=w1", "--set", "queue.max_attempts=1"]);
    let out = client(
        &server,
        &["job", "submit", "node.hostname.get", "--wait", "--json"],
    );
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let record: Value = serde_json::from_str(&stdout(&out)).unwrap();
    assert_eq!(record["status"], "completed");

    let out = client(
        &server,
        &["job", "submit", "sleep", "--data", r#"{"seconds":0}"#],
    );
    let id = stdout(&out).trim().to_owned();
    let out = client(&server, &["job", "watch", &id]);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    assert!(
        stdout(&out)
            .lines()
            .last()
            .unwrap()
            .starts_with("completed attempts=1 worker=w1")
    );

    let failing = r#"{"seconds":0,"fail_attempts":1}"#;
    let out = client(
        &server,
        &["job", "submit", "sleep", "--data", failing, "--wait"],
    );
    assert_eq!(out.status.code(), Some(1), "a failed job is a failed wait");
    assert!(
        stdout(&out).contains("status:    failed"),
        "{}",
        stdout(&out)
    );

    let out = client(&server, &["job", "list", "--status", "failed", "--json"]);
    let page: Value = serde_json::from_str(&stdout(&out)).unwrap();
    assert_eq!(page["total_items"], 1);
    let failed = page["items"][0]["id"].as_str().unwrap();
    let out = client(&server, &["job", "retry", failed]);
    assert_eq!(out.status.code(), Some(0));
    assert_ne!(stdout(&out).trim(), failed);
    let out = client(&server, &["job", "delete", failed]);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let out = client(&server, &["job", "get", failed]);
    assert_eq!(out.status.code(), Some(1));
    assert!(
        stderr(&out).starts_with("osapi: 404 Not Found: "),
        "{}",
        stderr(&out)
    );
    assert_eq!(stderr(&out).lines().count(), 1);

    let text = stdout(&client(&server, &["job", "list"]));
    assert!(text.starts_with("ID "), "{text}");
    assert!(stdout(&client(&server, &["job", "status"])).contains("completed"));
    let out = client(&server, &["job", "submit", "rm.rf"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(
        stderr(&out).contains("node.hostname.get"),
        "{}",
        stderr(&out)
    );

    let out = client(&server, &["workers", "--json"]);
    let fleet: Value = serde_json::from_str(&stdout(&out)).unwrap();
    assert_eq!(
        (&fleet["total"], &fleet["workers"][0]["worker"]),
        (&json!(1), &json!("w1"))
    );
    assert_eq!(
        stdout(&client(&server, &["workers", "drain", "w1"])),
        "w1: draining\n"
    );
    assert!(stdout(&client(&server, &["workers"])).contains("draining"));
}

#[test]
fn a_server_that_is_not_there() {
    let out = output(&["job", "list", "--server", "http://127.0.0.1:1"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(
        stderr(&out).starts_with("osapi: cannot reach http://127.0.0.1:1: "),
        "{}",
        stderr(&out)
    );
}

#[test]
fn what_a_server_says_cannot_move_the_cursor() {
    use std::io::{Read, Write};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 4096];
        let _read = stream.read(&mut head).unwrap();
        let body = r#"{"detail":"no \u001b[2J such"}"#;
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
    });
    let out = output(&["job", "status", "--server", &url]);
    assert_eq!(out.status.code(), Some(1));
    assert_eq!(stderr(&out), "osapi: 404 Not Found: no \\u{1b}[2J such\n");
}

#[test]
fn wrong_usage_ends_with_2() {
    for args in [
        &["frobnicate"][..],
        &[],
        &["up", "--no-such-flag"],
        &["up", "--workers", "0"],
        &["job", "get", "not-a-uuid"],
        &["job", "submit", "sleep", "--data", "{"],
        &["job", "list", "--limit", "101"],
        &["job", "list", "--server", "ftp://x"],
        &["completions", "tcsh"],
    ] {
        let out = output(args);
        assert_eq!(out.status.code(), Some(2), "{args:?}: {}", stdout(&out));
        assert!(!stderr(&out).is_empty());
    }
}

#[test]
fn wrong_usage_says_what_would_be_right() {
    const EXPECTED: &str = "expected a URL such as http://127.0.0.1:8080";
    for (args, said) in [
        (
            &["frobnicate"][..],
            "the commands are up, api, worker, job, workers, bench, config, metrics, check, token, rules, dashboards, completions",
        ),
        (
            &["-v", "job", "--server", "http://127.0.0.1:1", "lits"],
            "the commands are submit, list, get, watch, retry, delete, status",
        ),
        (
            &["workers", "drian", "x"],
            "the commands are drain, undrain",
        ),
        (&["config", "edit"], "the commands are show, check"),
        (&["job", "list", "--server", "127.0.0.1:1"], EXPECTED),
        (&["job", "list", "--server", "localhost:1"], EXPECTED),
        (&["workers", "--server", "ftp://x"], EXPECTED),
    ] {
        let out = output(args);
        assert_eq!(out.status.code(), Some(2), "{args:?}: {}", stderr(&out));
        assert!(stderr(&out).contains(said), "{args:?}: {}", stderr(&out));
    }
}

#[test]
fn help_has_examples_and_completions_print() {
    for args in [
        &["--help"][..],
        &["up", "--help"],
        &["job", "--help"],
        &["config", "--help"],
    ] {
        let out = output(args);
        assert_eq!(out.status.code(), Some(0));
        assert!(
            stdout(&out).contains("Examples:\n  osapi "),
            "{}",
            stdout(&out)
        );
    }
    assert!(stdout(&output(&["--version"])).starts_with("osapi "));
    assert!(stdout(&output(&["completions", "bash"])).contains("complete -F _osapi"));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = stdout(&output(&["completions", shell])).replace('\\', "");
        // The last two complete no values.
        let values = match shell {
            "elvish" | "powershell" => &[][..],
            _ => &["metrics:read", "retrying"],
        };
        for word in ["undrain", "idempotency-key"].iter().chain(values) {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn a_job_that_may_not_be_followed_is_named() {
    const SECRET: &str = "wJ3nq0Vx8RzF5tK1yB7mC2dL9gH4sP6a";
    let key = format!("api.signing_key={SECRET}");
    let server = up(&["--set", &key]);
    let token = output(&[
        "token",
        "create",
        "--permission",
        "job:write",
        "--set",
        &key,
    ]);
    let submit = [
        "job",
        "submit",
        "node.uptime.get",
        "--wait",
        "--token",
        stdout(&token).trim(),
    ]
    .map(ToOwned::to_owned);
    let out = client(&server, &submit.each_ref().map(String::as_str));
    assert_eq!(out.status.code(), Some(1));
    let said = stderr(&out);
    assert!(
        said.contains(" was accepted, but cannot be followed: 403 Forbidden: "),
        "{said}"
    );
    assert!(said.contains("job:read"), "{said}");
}
