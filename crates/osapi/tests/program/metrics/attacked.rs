//! Clients that mean ill, and clients that go away: what they leave in the metrics.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::page::{Page, scrape};
use crate::support::{DEADLINE, Server, job, until, up};

/// A connection on which request after request is sent as bytes, legal or not.
struct Wire<'a> {
    server: &'a Server,
    stream: Option<TcpStream>,
}

impl Wire<'_> {
    /// Sends a request without a body, and reads the answer if there is one.
    fn send(&mut self, method: &str, target: &str, headers: &str) {
        let host = if headers.contains("Host:") {
            ""
        } else {
            "Host: localhost\r\n"
        };
        let request =
            format!("{method} {target} HTTP/1.1\r\n{host}{headers}Content-Length: 0\r\n\r\n");
        let stream = self.stream.take();
        let mut stream = stream.unwrap_or_else(|| {
            let stream = TcpStream::connect(self.server.address).unwrap();
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            stream
        });
        // A server that refused the one before may have closed.
        let sent = stream.write_all(request.as_bytes());
        if sent.is_ok() && answered(&mut stream, method == "HEAD") {
            self.stream = Some(stream);
        }
    }
}

/// Reads one answer to its end; whether the connection can go on.
fn answered(stream: &mut TcpStream, bodiless: bool) -> bool {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return false,
        }
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    if head.contains("connection: close") {
        return false;
    }
    let length = head
        .split("content-length: ")
        .nth(1)
        .and_then(|rest| rest.lines().next());
    let length: Option<usize> = length.and_then(|length| length.parse().ok());
    let mut body = vec![0; if bodiless { 0 } else { length.unwrap_or(0) }];
    stream.read_exact(&mut body).is_ok() && length.is_some()
}

const KNOWN: [&str; 9] = [
    "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE",
];
const UNKNOWN: [&str; 6] = ["get", "BREW", "_OTHER", "PROPFIND", "GETT", "X-1"];

fn word(random: &mut StdRng) -> String {
    let letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%7F%00";
    let length = random.random_range(1..40);
    let word: Vec<u8> = (0..length)
        .map(|_| letters[random.random_range(0..letters.len())])
        .collect();
    String::from_utf8(word).unwrap()
}

/// Paths that are no route, whatever the random words are.
fn path(random: &mut StdRng) -> String {
    let word = word(random);
    match random.random_range(0..7) {
        0 => format!("/{word}-"),
        1 => format!("/x/{word}/{word}"),
        2 => format!("/job/{word}/{word}-/x"),
        3 => format!("/x?{word}={word}"),
        4 => format!("/{{id}}/{word}"),
        5 => format!("//metrics/{word}"),
        _ => format!("/metrics/..%2f{word}/"),
    }
}

fn headers(random: &mut StdRng) -> String {
    let word = word(random);
    match random.random_range(0..6) {
        0 => format!(
            "X-Forwarded-Proto: {word}\r\nX-Forwarded-Host: {word}\r\nX-Forwarded-For: {word}\r\n"
        ),
        1 => format!("Forwarded: proto={word};host={word}\r\n"),
        2 => format!(
            "traceparent: 00-{word}-{word}-01\r\ntracestate: {word}={word}\r\nbaggage: {word}={word}\r\n"
        ),
        3 => format!("X-HTTP-Method-Override: {word}\r\nUser-Agent: {word}\r\n"),
        4 => format!("Host: {word}.example:1\r\n"),
        _ => format!("Origin: http://{word}\r\n"),
    }
}

fn attack(server: &Server, seed: u64, requests: usize) {
    let mut wire = Wire {
        server,
        stream: None,
    };
    let mut random = StdRng::seed_from_u64(seed);
    // Every method with every kind of refusal, and some routes that are there.
    for method in KNOWN.iter().chain(&UNKNOWN) {
        let word = word(&mut random);
        let kinds = [
            String::new(),
            "Host: a.example\r\n".to_owned(),
            "Host: a%7F.example\r\n".to_owned(),
            "Origin: http://a\r\n".to_owned(),
            "Origin: http://a%7F\r\n".to_owned(),
            format!("Host: {word}.example\r\n"),
            format!("Origin: http://{word}\r\n"),
        ];
        for headers in kinds {
            wire.send(method, &path(&mut random), &headers);
            wire.send(method, &format!("/job/{word}-"), &headers);
        }
    }
    for _ in 0..requests {
        let method = match random.random_range(0..4) {
            0 => KNOWN[random.random_range(0..KNOWN.len())].to_owned(),
            1 => UNKNOWN[random.random_range(0..UNKNOWN.len())].to_owned(),
            2 => format!("M{}", random.random_range(0..u32::MAX)),
            _ => "GET".to_owned(),
        };
        let (path, headers) = (path(&mut random), headers(&mut random));
        wire.send(&method, &path, &headers);
    }
}

fn values(page: &Page, label: &str) -> BTreeSet<String> {
    let http = page
        .samples()
        .filter(|sample| sample.name.starts_with("http_"));
    http.filter_map(|sample| sample.labels.get(label))
        .cloned()
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_a_client_sends_becomes_a_series() {
    let server = up(&[]);
    let id = server.submit("sleep", json!({"seconds": 0})).await;
    server.wait(&id, &["completed"]).await;
    attack(&server, 1, 200);
    let quiet = async || {
        until("all have ended", async || {
            let page = scrape(&server).await;
            // A reading that is late on a busy machine is left out: wait for one that is not.
            let fresh = page
                .samples()
                .any(|s| s.name == "osapi_worker_heartbeat_age_seconds");
            (fresh && page.sum("http_server_active_requests", &[]) == 0.0).then_some(page)
        })
        .await
    };
    // The first scrape is counted on the second page.
    quiet().await;
    let before = quiet().await;
    let count = "http_server_request_total";
    let counted = before.sum(count, &[]);

    attack(&server, 2, 1_000);
    let after = quiet().await;
    assert!(after.sum(count, &[]) > counted + 900.0, "they were counted");
    let new: Vec<_> = after
        .series()
        .difference(&before.series())
        .cloned()
        .collect();
    assert!(new.is_empty(), "{new:#?}");
    assert_eq!(after.sum("meterline_series_overflowed_total", &[]), 0.0);

    let methods = values(&after, "http_request_method");
    let allowed: BTreeSet<String> = KNOWN
        .iter()
        .chain(&["_OTHER"])
        .map(ToString::to_string)
        .collect();
    assert!(
        methods.is_subset(&allowed) && methods.contains("_OTHER"),
        "{methods:?}"
    );
    assert_eq!(
        values(&after, "http_route"),
        ["/job", "/job/{id}"].map(str::to_owned).into()
    );
    assert_eq!(
        values(&after, "url_scheme"),
        ["http"].map(str::to_owned).into()
    );
    assert_eq!(
        values(&after, "network_protocol_version"),
        ["1.1"].map(str::to_owned).into()
    );
    assert!(
        values(&after, "error_type").is_empty(),
        "refusals are no errors of the server"
    );
    let unmatched: f64 = {
        let all = after.samples().filter(|sample| sample.name == count);
        all.filter(|sample| !sample.labels.contains_key("http_route"))
            .map(|sample| sample.value)
            .sum()
    };
    assert!(unmatched > 500.0, "{unmatched}");
}

/// How many requests ended at a route, and how many of each histogram's observations that are.
fn observed(page: &Page, route: &str) -> [f64; 4] {
    [
        "http_server_request_total",
        "http_server_request_duration_seconds_count",
        "http_server_request_body_size_bytes_count",
        "http_server_response_body_size_bytes_count",
    ]
    .map(|name| page.sum(name, &[("http_route", route)]))
}

#[tokio::test]
async fn clients_that_go_away_are_observed_once_each() {
    const EACH: usize = 20;
    let server = up(&[]);
    let mut waiting = job("sleep", json!({"seconds": 0}));
    waiting["target_hostname"] = json!("nobody");
    let (_, accepted) = server.post("/job", &waiting).await;
    let id = accepted["job_id"].as_str().unwrap();

    let mut streams = Vec::new();
    for _ in 0..EACH {
        let mut posting = TcpStream::connect(server.address).unwrap();
        let half = "POST /job/batch HTTP/1.1\r\nHost: localhost\r\n\
                    Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"jobs\":";
        posting.write_all(half.as_bytes()).unwrap();
        streams.push(posting);
        let mut following = TcpStream::connect(server.address).unwrap();
        following.set_read_timeout(Some(DEADLINE)).unwrap();
        let request = format!("GET /job/{id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
        following.write_all(request.as_bytes()).unwrap();
        let mut piece = [0; 512];
        assert!(following.read(&mut piece).unwrap() > 0);
        assert!(piece.starts_with(b"HTTP/1.1 200"));
        streams.push(following);
    }
    until("all are in progress", async || {
        let page = scrape(&server).await;
        (page.sum("http_server_active_requests", &[]) == 2.0 * EACH as f64).then_some(())
    })
    .await;
    drop(streams);
    let page = until("none is in progress", async || {
        let page = scrape(&server).await;
        (page.sum("http_server_active_requests", &[]) == 0.0).then_some(page)
    })
    .await;
    for route in ["/job/batch", "/job/{id}/events"] {
        assert_eq!(observed(&page, route), [EACH as f64; 4], "{route}");
    }
    let cancelled = [
        ("error_type", "cancelled"),
        ("http_route", "/job/{id}/events"),
    ];
    let count = "http_server_request_duration_seconds_count";
    assert_eq!(page.sum(count, &cancelled), EACH as f64);
    // Nobody's fault but the client's: never a 5xx.
    for sample in page.samples() {
        let status = sample.labels.get("http_response_status_code");
        assert!(
            status.is_none_or(|status| !status.starts_with('5')),
            "{:?}",
            sample.labels
        );
    }
    assert_eq!(server.get("/job").await.1["total_items"], 1);
}
