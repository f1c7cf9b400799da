//! `/v1/metrics` on the API where a variable asks for it, and OTLP beside it.

use serde_json::Value;

use super::*;

const ON: [(&str, &str); 1] = [("OSAPI_PROMETHEUS_ENABLED", "Yes")];

#[tokio::test]
async fn off_it_is_404_and_on_it_is_public() {
    let dir = tempfile::tempdir().unwrap();
    let off = [("OSAPI_PROMETHEUS_ENABLED", "0")];
    let server = up("ogx.yaml", dir.path(), &off);
    let (status, body) = server.get("/v1/metrics").await;
    assert_eq!(status, 404, "{body}");
    drop(server);
    let key = (
        "OSAPI_API__SIGNING_KEY",
        "a-key-that-is-long-enough-for-this-0123456789",
    );
    let server = up("ogx.yaml", dir.path(), &[ON[0], key]);
    let (status, _) = server.get("/job").await;
    assert_eq!(status, 401, "the API asks for a token");
    page(&server, "/v1/metrics").await;
    for path in ["/metrics", "/metrics.json", "/v1/metrics.json"] {
        assert_eq!(server.get(path).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn its_three_metrics_don_t_count_the_scrape() {
    let dir = tempfile::tempdir().unwrap();
    let server = up("ogx.yaml", dir.path(), &ON);
    requests(&server).await;
    for _ in 0..3 {
        page(&server, "/v1/metrics").await;
    }
    let seen = page(&server, "/v1/metrics").await;
    let labels = ["method", "endpoint", "status"];
    assert_family(&seen, "ogx_requests_total", "counter", &labels);
    assert_family(&seen, "ogx_request_duration_seconds", "histogram", &labels);
    assert_family(&seen, "ogx_requests_in_flight", "gauge", &[]);
    assert_family(&seen, "ogx_jobs_created_total", "counter", &["operation"]);
    assert_eq!(
        seen.sum("ogx_requests_total", &[("endpoint", "/v1/metrics")]),
        0.0
    );
    // What a caller makes up is no label: not an operation that does not exist, for one.
    let made_up = |value: &String| value.contains("nope");
    assert!(
        !seen
            .samples()
            .any(|sample| sample.labels.values().any(made_up))
    );
    let buckets = as_numbers(&bounds(&seen, "ogx_request_duration_seconds"));
    assert_eq!(buckets[0], 0.005, "seconds");
    assert_eq!(
        seen.sum(
            "ogx_requests_total",
            &[("method", "POST"), ("endpoint", "/job"), ("status", "201")]
        ),
        1.0
    );
}

#[tokio::test]
async fn a_client_that_goes_away_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let server = up("ogx.yaml", dir.path(), &ON);
    let id = server.submit("sleep", json!({"seconds": 30})).await;
    let events = format!("/job/{id}/events");
    let mut stream = server.request(Method::GET, &events).send().await.unwrap();
    assert!(stream.chunk().await.unwrap().is_some());
    drop(stream);
    support::until("the client's going is seen", async || {
        let seen = page(&server, "/v1/metrics").await;
        // It had its status; one that goes before there is any counts as 499.
        let gone = [("endpoint", "/job/{id}/events"), ("status", "200")];
        (seen.sum("ogx_requests_total", &gone) == 1.0).then_some(())
    })
    .await;
    let seen = page(&server, "/v1/metrics").await;
    let failed: Vec<Value> = seen
        .samples()
        .filter(|s| {
            s.labels
                .get("status")
                .is_some_and(|status| status.starts_with('5'))
        })
        .map(|s| json!(s.labels))
        .collect();
    assert_eq!(failed, Vec::<Value>::new());
}

mod with_python {
    use std::time::Instant;

    use rustix::process::Signal;
    use xtask::{OtlpReceiver, Received};

    use super::*;

    /// What variables say of the push; the address ends as careless people write it.
    fn push(receiver: &OtlpReceiver) -> [(&'static str, String); 3] {
        [
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                format!("http://127.0.0.1:{}/", receiver.http()),
            ),
            ("OTEL_METRIC_EXPORT_INTERVAL", "300".to_owned()),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "deployment.environment.name=lab".to_owned(),
            ),
        ]
    }

    fn started(dir: &Path, own: &[(&str, &str)], push: &[(&str, String)]) -> Server {
        let push = push.iter().map(|(name, value)| (*name, value.as_str()));
        let all: Vec<_> = own.iter().copied().chain(push).collect();
        up("ogx.yaml", dir, &all)
    }

    /// Waits until an export says that so many jobs were made.
    fn created(receiver: &mut OtlpReceiver, wanted: f64) -> Received {
        let since = Instant::now();
        loop {
            let received = receiver.take();
            let points = received.of("ogx.jobs.created");
            let sleeps = points.filter(|point| point["attributes"]["operation"] == "sleep");
            let made = sleeps
                .filter_map(|point| point["value"].as_f64())
                .fold(0.0, f64::max);
            if made >= wanted {
                return received;
            }
            assert!(
                since.elapsed() < support::DEADLINE,
                "only {made} of {wanted} jobs"
            );
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    async fn job(server: &Server) {
        let id = server.submit("sleep", json!({"seconds": 0})).await;
        server.wait(&id, &["completed"]).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn it_pushes_beside_the_scrape_and_without_it() {
        let mut receiver = OtlpReceiver::start();
        for enabled in ["true", "0"] {
            let dir = tempfile::tempdir().unwrap();
            let switch = [("OSAPI_PROMETHEUS_ENABLED", enabled)];
            let server = started(dir.path(), &switch, &push(&receiver));
            job(&server).await;
            let received = created(&mut receiver, 1.0);
            let export = received.exports.last().unwrap();
            let resource = export["resources"].to_string();
            for expected in ["service.instance.id", "\"lab\"", "\"ogx\""] {
                assert!(resource.contains(expected), "{expected} in {resource}");
            }
            let requests = received.of("ogx_requests").count();
            assert!(requests > 0, "only of jobs");
            if enabled == "true" {
                let seen = page(&server, "/v1/metrics").await;
                assert_eq!(
                    seen.sum("ogx_jobs_created_total", &[("operation", "sleep")]),
                    1.0
                );
            } else {
                assert_eq!(server.get("/v1/metrics").await.0, 404);
            }
            receiver.take();
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_not_pushed_yet_is_pushed_at_the_end() {
        let mut receiver = OtlpReceiver::start();
        let dir = tempfile::tempdir().unwrap();
        let mut push = push(&receiver);
        push[1].1 = "3600000".to_owned();
        let server = started(dir.path(), &ON, &push);
        job(&server).await;
        assert_eq!(receiver.take().requests, 0, "not before its time");
        server.signal(Signal::TERM);
        let (code, said) = server.ended();
        assert_eq!(code, Some(0), "{said}");
        created(&mut receiver, 1.0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_collector_that_is_away_is_nothing_to_the_scrape() {
        let mut receiver = OtlpReceiver::start();
        receiver.behave(&[], json!({"how": "hang"}));
        let dir = tempfile::tempdir().unwrap();
        let server = started(dir.path(), &ON, &push(&receiver));
        job(&server).await;
        let seen = page(&server, "/v1/metrics").await;
        assert_eq!(
            seen.sum("ogx_jobs_created_total", &[("operation", "sleep")]),
            1.0
        );
    }
}
