//! The three classic HTTP metrics, and a page of JSON with the database's statistics.

use super::*;
use crate::support::read;

#[tokio::test]
async fn three_classic_metrics_and_a_page_of_json() {
    let dir = tempfile::tempdir().unwrap();
    let server = up("ollamamax.yaml", dir.path(), &[]);
    requests(&server).await;
    let seen = page(&server, "/metrics").await;
    let labels = ["method", "endpoint", "status"];
    assert_family(&seen, "http_requests_total", "counter", &labels);
    assert_family(&seen, "http_request_duration_seconds", "histogram", &labels);
    assert_family(&seen, "http_requests_in_flight", "gauge", &[]);
    let default = SECONDS.map(|bound| bound.parse::<f64>().unwrap());
    assert_eq!(
        as_numbers(&bounds(&seen, "http_request_duration_seconds")),
        default
    );
    assert!(
        !seen
            .families
            .keys()
            .any(|name| name.starts_with("http_server_"))
    );
    let body = support::until("the database was asked", async || {
        let (status, body) = read(server.request(Method::GET, "/metrics.json")).await;
        assert_eq!(status, 200);
        (body["database"]["queries_total"].as_u64() > Some(0)).then_some(body)
    })
    .await;
    let answer = server.request(Method::GET, "/metrics.json").send().await;
    assert_eq!(
        answer.unwrap().headers()["content-type"],
        "application/json"
    );
    let database = &body["database"];
    assert_eq!(database["backend"], "sqlite");
    assert!(database["size_bytes"].as_u64() > Some(0), "{body}");
    assert!(database["connections"].as_u64() >= Some(1), "{body}");
    assert!(database["connections_idle"].is_u64(), "{body}");
    assert!(body["timestamp"].as_str().unwrap().ends_with('Z'));
    let names = body["metrics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|metric| &metric["name"]);
    assert!(
        names.clone().any(|name| name == "http_requests_total"),
        "{names:?}"
    );
}

#[tokio::test]
async fn its_faults_are_not_here() {
    let dir = tempfile::tempdir().unwrap();
    let server = up("ollamamax.yaml", dir.path(), &[]);
    requests(&server).await;
    for _ in 0..3 {
        page(&server, "/metrics").await;
        read(server.request(Method::GET, "/metrics.json")).await;
    }
    let seen = page(&server, "/metrics").await;
    let of = |labels| seen.sum("http_requests_total", labels);
    assert_eq!(
        of(&[("endpoint", "unmatched"), ("status", "404")]),
        20.0,
        "one series for what is nowhere"
    );
    assert_eq!(of(&[("method", "_OTHER"), ("status", "405")]), 1.0);
    assert_eq!(
        of(&[("endpoint", "/metrics")]) + of(&[("endpoint", "/metrics.json")]),
        0.0
    );
    let raw = seen
        .samples()
        .any(|s| s.labels.values().any(|value| value.contains("models")));
    assert!(!raw, "no raw path is a label");
    assert_eq!(seen.sum("http_requests_in_flight", &[]), 0.0);
    // Exactly these paths are left out, not all that begin so.
    server.get("/metricsx").await;
    let seen = page(&server, "/metrics").await;
    let unmatched = [("endpoint", "unmatched"), ("status", "404")];
    assert_eq!(seen.sum("http_requests_total", &unmatched), 21.0);
}

/// Whoever is told to be gentle with a store that is away restarts nothing for it: whether the process
/// lives and whether it can work are two questions.
#[tokio::test]
async fn liveness_and_readiness_are_two() {
    let dir = tempfile::tempdir().unwrap();
    let server = up("ollamamax.yaml", dir.path(), &[]);
    assert_eq!(server.get("/health").await.1, json!({"status": "ok"}));
    assert_eq!(
        server.get("/health/ready").await.1,
        json!({"status": "ready"})
    );
    for path in ["/metrics", "/metrics.json"] {
        let off = ["--set", "telemetry.metrics.enabled=false"];
        let dir = tempfile::tempdir().unwrap();
        let server = support::api(dir.path(), &off);
        assert_eq!(server.get(path).await.0, 404, "off");
    }
}
