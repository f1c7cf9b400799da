//! `osapi check` and `osapi metrics`, on pages of all kinds of servers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Output, Stdio};
use std::thread;

use serde_json::Value;

use crate::support::{osapi, output, stderr, stdout, up};

const GOOD: &str = "# HELP a_total What is counted.\n# TYPE a_total counter\na_total{b=\"c\"} 1\n";

/// Runs `osapi check` on a page given on standard input.
fn check(page: &[u8], args: &[&str]) -> Output {
    let mut command = osapi(&["check", "-"]);
    command.args(args).stdin(Stdio::piped());
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let page = page.to_vec();
    let writer = thread::spawn(move || stdin.write_all(&page));
    let output = child.wait_with_output().unwrap();
    // It may have seen enough before the end.
    let _ = writer.join().unwrap();
    output
}

/// A server that reads one request and then does as it likes, again and again.
fn server(answer: impl Fn(&mut TcpStream) -> std::io::Result<()> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                line.clear();
            }
            // The client may go at any time.
            let _ = answer(&mut stream);
        }
    });
    address
}

fn answering(head: &str, body: &[u8]) -> SocketAddr {
    let length = body.len();
    let mut answer = format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    answer.extend_from_slice(body);
    server(move |stream| stream.write_all(&answer))
}

#[test]
fn faults_are_told_with_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("page.prom");
    let name = file.to_str().unwrap();
    std::fs::write(&file, format!("{GOOD}b{{x=\"1\" 2\n")).unwrap();
    let out = output(&["check", name]);
    assert_eq!(out.status.code(), Some(1));
    assert!(
        stdout(&out).starts_with(&format!("{name}:4:9: error: ")),
        "{}",
        stdout(&out)
    );
    assert!(stdout(&out).ends_with(": text, 0 families, 0 samples, 1 error, 0 warnings\n"));

    std::fs::write(&file, GOOD).unwrap();
    let out = output(&["check", name, "--deny-warnings"]);
    assert_eq!(out.status.code(), Some(0), "{}", stdout(&out));
    assert_eq!(
        stdout(&out),
        format!("{name}: text, 1 family, 1 sample, 0 errors, 0 warnings\n")
    );
    let out = output(&["check", name, "--format", "openmetrics"]);
    assert!(stdout(&out).contains("# EOF"), "{}", stdout(&out));
    assert_eq!(out.status.code(), Some(1));
}

#[test]
fn lints_fail_only_where_asked_or_where_samples_are_lost() {
    let out = check(b"a 1\n", &[]);
    assert_eq!(out.status.code(), Some(0), "{}", stdout(&out));
    assert!(stdout(&out).starts_with("<stdin>:1:1: warning: a: it has no help"));
    assert_eq!(check(b"a 1\n", &["--deny-warnings"]).status.code(), Some(1));

    let out = check(
        format!("{GOOD}{}", "a_total{b=\"c\"} 2\n").as_bytes(),
        &["--json"],
    );
    assert_eq!(out.status.code(), Some(1));
    let report: Value = serde_json::from_str(&stdout(&out)).unwrap();
    assert_eq!(
        (&report["errors"], &report["warnings"]),
        (&1.into(), &0.into())
    );
    let finding = &report["findings"][0];
    assert_eq!(finding["rule"], "duplicate-series");
    assert_eq!(
        (&finding["line"], &finding["column"]),
        (&4.into(), &1.into())
    );
}

#[test]
fn formats_are_told_apart() {
    let protobuf = b"\x12\x0a\x01a\x18\x01\x22\x0b\x12\x09\x09\0\0\0\0\0\0\xf0?";
    for (page, format) in [
        (GOOD.as_bytes(), "text"),
        (b"{\"a.b\"} 1\n", "text-utf8"),
        (b"a 1\n# EOF\n", "openmetrics"),
        (protobuf, "protobuf"),
        (b"", "text"),
    ] {
        let out = check(page, &["--json"]);
        let report: Value = serde_json::from_str(&stdout(&out)).unwrap();
        assert_eq!(
            (&report["format"], &report["errors"]),
            (&format.into(), &0.into()),
            "{report}"
        );
    }
    let out = check(&protobuf[..12], &["--format", "protobuf", "--json"]);
    let report: Value = serde_json::from_str(&stdout(&out)).unwrap();
    assert_eq!(report["findings"][0]["byte"], 1, "{report}");
}

#[test]
fn hostile_pages_do_no_harm() {
    let deep = "a{b=\"".repeat(100_000);
    for page in [
        deep.as_bytes(),
        &[0xff; 10_000],
        &[b'{'; 100_000],
        &[0x80; 10_000],
    ] {
        for format in ["text", "text-utf8", "openmetrics", "protobuf"] {
            let out = check(page, &["--format", format]);
            assert_eq!(out.status.code(), Some(1), "{}", stderr(&out));
            assert!(stdout(&out).contains("error: "), "{}", stdout(&out));
            assert!(stdout(&out).len() < 10_000, "it does not repeat the page");
        }
    }
    // What a terminal would obey is shown, not sent.
    let page = "# HELP a \x1b[2J\n# TYPE a gauge\na{b\x1b]0;x\x07=\"\"} 1\n";
    let out = check(page.as_bytes(), &[]);
    assert!(!stdout(&out).contains('\x1b'), "{:?}", stdout(&out));
    let address = answering(
        "200 OK\r\nContent-Type: text/plain",
        "# HELP a \x1b[2J\na 1\n".as_bytes(),
    );
    let out = output(&["metrics", &format!("http://{address}")]);
    assert!(stdout(&out).contains("\\u{1b}[2J"), "{:?}", stdout(&out));
    assert!(!stdout(&out).contains('\x1b'));
}

#[test]
fn answers_that_are_no_pages() {
    for (head, body, said) in [
        (
            "200 OK\r\nContent-Type: text/html",
            "<html>",
            "text/html, which is no format of metrics",
        ),
        (
            "200 OK",
            "a 1\n",
            "no Content-Type; say what it is with --format",
        ),
        (
            "200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: br",
            "x",
            "encoded (br)",
        ),
        ("404 Not Found", "", "404 Not Found; are metrics on"),
        ("401 Unauthorized", "", "--token"),
        (
            "302 Found\r\nLocation: https://elsewhere/\u{202e}",
            "",
            "302 Found: the page is at https://elsewhere/\\u{202e}",
        ),
        ("500 Oh\r\nContent-Type: text/plain", "a 1\n", "500"),
    ] {
        let url = format!("http://{}/metrics", answering(head, body.as_bytes()));
        for command in ["check", "metrics"] {
            let out = output(&[command, &url]);
            assert_eq!(out.status.code(), Some(1), "{head}");
            assert!(stderr(&out).contains(said), "{head}: {}", stderr(&out));
            assert_eq!(stderr(&out).lines().count(), 1);
        }
    }
    let url = format!("http://{}/", answering("200 OK", GOOD.as_bytes()));
    let out = output(&["check", &url, "--format", "text"]);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let noise = server(|stream| stream.write_all(b"\0\xff noise"));
    let out = output(&["metrics", &format!("http://{noise}")]);
    assert!(
        stderr(&out).starts_with("osapi: cannot read http://"),
        "{}",
        stderr(&out)
    );
    for (args, said) in [
        (["check", "http://127.0.0.1:1/"], "is the server running"),
        (
            ["check", "/nowhere/page.prom"],
            "cannot read /nowhere/page.prom: ",
        ),
        (["metrics", "http://127.0.0.1:1/"], "is the server running"),
    ] {
        let out = output(&args);
        assert_eq!(out.status.code(), Some(1));
        assert!(stderr(&out).contains(said), "{}", stderr(&out));
    }
}

#[test]
fn answers_that_never_end() {
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n";
    // It trickles, and ends by the clock.
    let slow = server(|stream| {
        stream.write_all(HEAD)?;
        loop {
            stream.write_all(b"#\n")?;
            thread::sleep(std::time::Duration::from_millis(20));
        }
    });
    // It pours, and ends by its size.
    let fast = server(|stream| {
        stream.write_all(HEAD)?;
        let chunk = "#\n".repeat(1 << 15);
        loop {
            stream.write_all(chunk.as_bytes())?;
        }
    });
    for (address, timeout, said) in [
        (
            slow,
            "1s",
            "no complete answer within 1s; --timeout gives it longer",
        ),
        (fast, "60s", "more than 64 MiB"),
    ] {
        for command in ["check", "metrics"] {
            let url = format!("http://{address}/metrics");
            let out = output(&[command, &url, "--timeout", timeout]);
            assert_eq!(out.status.code(), Some(1));
            assert!(stderr(&out).contains(said), "{}", stderr(&out));
        }
    }
}

#[test]
fn pages_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (cert, key) = (file("cert.pem"), file("key.pem"));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls = format!("api.tls=cert={cert},key={key}");
    let server = up(&["--set", &tls]);
    let port = server.address.port();
    let url = format!("https://localhost:{port}/metrics");
    for (command, said) in [("check", " 0 errors"), ("metrics", "osapi_build_info")] {
        let out = output(&[command, &url, "--ca", &cert]);
        assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
        assert!(stdout(&out).contains(said), "{}", stdout(&out));
    }
    let untrusted = "--ca FILE names the authority to trust";
    let (bare, other) = (
        format!("http://localhost:{port}/metrics"),
        format!("https://127.0.0.1:{port}/metrics"),
    );
    for (args, said) in [
        (&[&*url][..], untrusted),
        (&[&*other, "--ca", &cert], untrusted),
        (
            &[&*url, "--ca", &key],
            "key.pem: holds no certificate in PEM",
        ),
        (
            &[&*url, "--ca", "/nowhere/ca.pem"],
            "--ca /nowhere/ca.pem: ",
        ),
        (&[&*bare], "cannot read http://localhost:"),
    ] {
        let out = output(&[&["check"], args].concat());
        assert_eq!(out.status.code(), Some(1), "{args:?}");
        assert!(stderr(&out).contains(said), "{args:?}: {}", stderr(&out));
        assert_eq!(stderr(&out).lines().count(), 1, "{args:?}");
    }
}

#[test]
fn credentials_travel_in_their_header() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        let lines = reader.lines().map(Result::unwrap);
        let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
        stream.write_all(b"HTTP/1.1 204 No\r\n\r\n").unwrap();
        head
    });
    let out = output(&["check", &format!("http://me:pass@{address}/metrics")]);
    // What is printed ends up in the logs of whoever runs it.
    assert!(
        stderr(&out).contains("http://me@127.0.0.1:"),
        "{}",
        stderr(&out)
    );
    assert!(!stderr(&out).contains("pass@"), "{}", stderr(&out));
    let head = asked.join().unwrap();
    assert_eq!(head[0], "GET /metrics HTTP/1.1");
    let basic = "authorization: Basic bWU6cGFzcw==";
    assert!(head.iter().any(|line| line == basic), "{head:?}");
    // What no header can hold is refused before anything is sent.
    let out = output(&["check", &format!("http://{address}"), "--token", "a\nb"]);
    assert!(stderr(&out).contains("authorization"), "{}", stderr(&out));
}

#[tokio::test]
async fn our_own_page() {
    let server = up(&[]);
    let id = server
        .submit("node.hostname.get", serde_json::json!({}))
        .await;
    server.wait(&id, &["completed"]).await;
    let url = server.url("/metrics");
    for format in [&[][..], &["--format", "text"]] {
        let out = output(&[&["check", &url, "--deny-warnings"], format].concat());
        assert_eq!(
            out.status.code(),
            Some(0),
            "{}{}",
            stdout(&out),
            stderr(&out)
        );
    }
    let out = output(&["metrics", &server.url("")]);
    let text = stdout(&out);
    assert!(text.starts_with("NAME "), "{text}");
    let row = text
        .lines()
        .find(|line| line.starts_with("osapi_jobs_created"));
    assert!(row.is_some_and(|row| row.contains("counter")), "{text}");
    let out = output(&["metrics", &url, "--name", "osapi_job_wait", "--json"]);
    let page: Value = serde_json::from_str(&stdout(&out)).unwrap();
    let metrics = page["metrics"].as_array().unwrap();
    assert_eq!(metrics.len(), 1, "{page}");
    assert_eq!(metrics[0]["type"], "histogram");
    let counts = metrics[0]["series"].as_array().unwrap().iter();
    assert_eq!(
        counts
            .map(|series| series["count"].as_u64().unwrap())
            .sum::<u64>(),
        1
    );
    let out = output(&["metrics", &url, "--name", "nothing-like-it"]);
    assert!(stderr(&out).contains("families has \"nothing-like-it\" in its name"));
}

#[test]
fn watching_shows_rates_and_survives_a_bad_answer() {
    let scrapes = std::sync::atomic::AtomicU64::new(0);
    let address = server(move |stream| {
        let nth = scrapes.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let body = match nth {
            1 => "broken\n".to_owned(),
            nth => format!("# TYPE a_total counter\na_total {}\n", nth * 1000),
        };
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    });
    let url = format!("http://{address}/metrics");
    let mut child = osapi(&["metrics", &url, "--watch", "--interval", "100ms"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let rate = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap)
        .find(|line| line.starts_with("a_total") && line.contains("/s"));
    child.kill().unwrap();
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    child.wait().unwrap();
    assert!(rate.is_some(), "{said}");
    assert!(said.contains("broken: line 1, column 7: "), "{said}");
    assert!(said.ends_with("; trying again\n"), "{said}");
}

#[test]
fn wrong_usage() {
    for args in [
        &["check"][..],
        &["check", "a", "b"],
        &["check", "-", "--format", "xml"],
        &["metrics", "ftp://x"],
        &["metrics", "--timeout", "0s"],
        &["metrics", "--interval", "1s"],
    ] {
        let out = output(args);
        assert_eq!(out.status.code(), Some(2), "{args:?}: {}", stdout(&out));
    }
}
