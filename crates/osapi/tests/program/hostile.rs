//! Clients that mean ill, or are broken: raw bytes on a socket.

use std::io::{Read, Write};
use std::net::TcpStream;

use reqwest::Method;
use serde_json::json;

use crate::support::{DEADLINE, Server, job, problem, up, up_on};

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Sends bytes and reads until the head of an answer is there or the server closes.
fn exchange(server: &Server, bytes: &[u8]) -> String {
    let mut stream = connect(server);
    // The server may refuse, and close, before it was given everything.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => answer.extend_from_slice(&piece[..read]),
            Err(error) => {
                let reset = error.kind() == std::io::ErrorKind::ConnectionReset;
                assert!(reset, "the server neither answered nor closed: {error}");
                break;
            }
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> Option<u16> {
    answer.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

/// Reads the head of an answer while the request is still open.
fn head(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        assert_eq!(
            stream.read(&mut byte).unwrap(),
            1,
            "closed before its answer"
        );
        answer.push(byte[0]);
    }
    String::from_utf8(answer).unwrap()
}

const POST: &str = "POST /job HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";

#[tokio::test]
async fn too_large_is_answered_while_the_client_still_sends() {
    let server = up(&["--set", "api.max_body_bytes=2048"]);
    // Announced: answered before a byte of the body came.
    let mut stream = connect(&server);
    write!(stream, "{POST}Content-Length: 5000000000\r\n\r\n").unwrap();
    assert_eq!(status(&head(&mut stream)), Some(413));

    // Not announced: answered as soon as it is too much, though the end never comes.
    let mut stream = connect(&server);
    write!(stream, "{POST}Transfer-Encoding: chunked\r\n\r\n").unwrap();
    for _ in 0..3 {
        write!(stream, "400\r\n{}\r\n", "x".repeat(1024)).unwrap();
    }
    assert_eq!(status(&head(&mut stream)), Some(413));

    // A client that sends all of it before it reads anything gets its answer too.
    let mut stream = connect(&server);
    let body = vec![b'x'; 8 << 20];
    write!(stream, "{POST}Content-Length: {}\r\n\r\n", body.len()).unwrap();
    stream.write_all(&body).unwrap();
    assert_eq!(status(&head(&mut stream)), Some(413));

    // One that waits to be told to send is not told to.
    let mut stream = connect(&server);
    write!(
        stream,
        "{POST}Expect: 100-continue\r\nContent-Length: 4096\r\n\r\n"
    )
    .unwrap();
    assert_eq!(status(&head(&mut stream)), Some(413));

    // The largest body there may be is read.
    let body = format!("{:<2048}", "{}");
    let answer = exchange(
        &server,
        format!("{POST}Content-Length: 2048\r\nConnection: close\r\n\r\n{body}").as_bytes(),
    );
    assert_eq!(status(&answer), Some(400), "{answer}");
    assert_eq!(server.get("/job").await.1["total_items"], 0);
}

#[tokio::test]
async fn web_pages_cannot_reach_an_open_api() {
    let server = up(&[]);
    let body = job("sleep", json!({"seconds": 0}));
    for host in [
        "evil.org",
        "evil.org:80",
        "localhost.evil.org",
        "10.0.0.1",
        "0.0.0.0",
    ] {
        let request = server
            .request(Method::POST, "/job")
            .header("host", host)
            .json(&body);
        assert!(
            problem(request.send().await.unwrap(), 421)
                .await
                .contains("loopback"),
            "{host}"
        );
        let request = server.request(Method::GET, "/health").header("host", host);
        problem(request.send().await.unwrap(), 421).await;
    }
    for origin in [
        "http://evil.org",
        "null",
        "http://localhost:1",
        "https://127.0.0.1",
    ] {
        let request = server
            .request(Method::POST, "/job")
            .header("origin", origin)
            .json(&body);
        assert!(
            problem(request.send().await.unwrap(), 403)
                .await
                .contains("origin"),
            "{origin}"
        );
    }
    assert_eq!(server.get("/job").await.1["total_items"], 0);

    for host in [
        "localhost",
        "LOCALHOST:8080",
        "127.0.0.1",
        "[::1]:99",
        "127.1.2.3",
    ] {
        let request = server.request(Method::GET, "/health").header("host", host);
        assert_eq!(request.send().await.unwrap().status(), 200, "{host}");
    }
    let own = format!("http://{}", server.address);
    let request = server
        .request(Method::POST, "/job")
        .header("origin", own)
        .json(&body);
    assert_eq!(
        request.send().await.unwrap().status(),
        201,
        "its own page may"
    );
}

#[tokio::test]
async fn insecure_beyond_loopback_serves_other_names_but_no_foreign_page() {
    let server = up_on("0.0.0.0:0", &["--set", "api.insecure=true"]);
    let at = format!("http://127.0.0.1:{}/health", server.address.port());
    let http = crate::support::client();
    let named = http
        .get(&at)
        .header("host", "osapi.example.org")
        .send()
        .await
        .unwrap();
    assert_eq!(named.status(), 200);
    let page = http
        .get(&at)
        .header("origin", "http://evil.org")
        .send()
        .await
        .unwrap();
    problem(page, 403).await;
}

#[tokio::test]
async fn bytes_that_are_not_http() {
    let server = up(&[]);
    let long_head = format!(
        "GET /health HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
        "y".repeat(1 << 20)
    );
    let many = format!(
        "GET /health HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
        (0..500)
            .map(|i| format!("X-{i}: y\r\n"))
            .collect::<String>()
    );
    let cases: Vec<&[u8]> = vec![
        b"\0\0\0\0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /health HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: a\r\nHost: localhost\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: <script>\r\n\r\n",
        b"GET http://evil.org/health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /job HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: -1\r\n\r\n",
        b"POST /job HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
        b"POST /job HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage that is no frame",
        long_head.as_bytes(),
        many.as_bytes(),
    ];
    for bytes in cases {
        let answer = exchange(&server, bytes);
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
        let code = status(&answer);
        assert!(
            code.is_none_or(|code| (400..500).contains(&code)),
            "{shown:?}: {answer}"
        );
    }
    assert_eq!(server.get("/health/ready").await.0, 200, "it lives");
    assert_eq!(server.get("/job").await.1["total_items"], 0);
}

#[tokio::test]
async fn http_1_0_is_spoken_and_http_2_is_not() {
    let server = up(&[]);
    let answer = exchange(&server, b"GET /health HTTP/1.0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    let answer = exchange(&server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert!(!answer.contains("200"), "{answer}");
    assert_eq!(server.get("/health").await.0, 200);
}

#[tokio::test]
async fn silent_clients_do_not_keep_others_out() {
    let server = up(&[]);
    let mut silent: Vec<TcpStream> = (0..200).map(|_| connect(&server)).collect();
    for (n, stream) in silent.iter_mut().enumerate() {
        let partial =
            &b"POST /job HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{"[..n % 60];
        stream.write_all(partial).unwrap();
    }
    assert_eq!(server.get("/health/ready").await.0, 200);
    let id = server.submit("sleep", json!({"seconds": 0})).await;
    server.wait(&id, &["completed"]).await;
}

#[tokio::test]
async fn a_body_that_stops_coming_is_given_up() {
    let server = up(&[]);
    let answer = exchange(
        &server,
        format!("{POST}Content-Length: 100\r\n\r\n{{").as_bytes(),
    );
    assert_eq!(status(&answer), Some(408), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
}

#[tokio::test]
async fn streams_of_events_are_limited() {
    let server = up(&[]);
    let id = server.submit("sleep", json!({"seconds": 600})).await;
    let path = format!("/job/{id}/events");
    let mut open = Vec::new();
    for _ in 0..256 {
        let stream = server.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(stream.status(), 200);
        open.push(stream);
    }
    let refused = server.request(Method::GET, &path).send().await.unwrap();
    assert!(refused.headers().contains_key("retry-after"));
    problem(refused, 503).await;
    assert_eq!(
        server.get(&format!("/job/{id}")).await.0,
        200,
        "only streams"
    );

    drop(open);
    let since = std::time::Instant::now();
    while server
        .request(Method::GET, &path)
        .send()
        .await
        .unwrap()
        .status()
        != 200
    {
        assert!(since.elapsed() < DEADLINE, "the room was not given back");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// A page's image or script carries no `Origin`, but the browser says where the page is from.
#[tokio::test]
async fn fetches_by_pages_of_other_sites_are_refused() {
    let server = up(&[]);
    let fetch = |path: &str, site: &str| {
        let request = server.request(Method::GET, path);
        request.header("sec-fetch-site", site).send()
    };
    for path in ["/job", "/metrics", "/health/status"] {
        assert_eq!(fetch(path, "same-origin").await.unwrap().status(), 200);
        assert_eq!(fetch(path, "none").await.unwrap().status(), 200);
        problem(fetch(path, "cross-site").await.unwrap(), 403).await;
        problem(fetch(path, "same-site").await.unwrap(), 403).await;
    }
    assert_eq!(fetch("/health", "cross-site").await.unwrap().status(), 200);
}

#[tokio::test]
async fn wrong_methods_are_problems_and_nothing_is_guessed() {
    let server = up(&[]);
    for path in ["/metrics", "/metrics.json", "/health", "/job"] {
        let response = server.request(Method::PATCH, path).send().await.unwrap();
        assert_eq!(
            response.headers()["x-content-type-options"],
            "nosniff",
            "{path}"
        );
        problem(response, 405).await;
    }
}
