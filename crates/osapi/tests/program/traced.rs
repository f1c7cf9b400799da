//! From a slow bucket to its trace: by a real Prometheus, and a receiver whose protocol nobody here wrote.

use std::time::Duration;

use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{job, read};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";
const PATIENCE: Duration = Duration::from_secs(60);

fn traceparent() -> String {
    format!("00-{TRACE}-{CALLER}-01")
}

/// The lines of a JSON log that name the trace.
fn lines_of_the_trace(said: &str) -> Vec<Value> {
    let lines = said.lines().map(|line| serde_json::from_str(line).unwrap());
    lines
        .filter(|line: &Value| line["trace_id"] == TRACE)
        .collect()
}

mod with_python {
    use xtask::OtlpReceiver;

    use super::*;
    use crate::support::{until, up};

    #[tokio::test]
    async fn nothing_is_traced_unless_it_is_asked_for() {
        let mut receiver = OtlpReceiver::start();
        let endpoint = format!(
            "telemetry.otlp.endpoint=http://127.0.0.1:{}",
            receiver.http()
        );
        let server = up(&[
            "--set",
            &endpoint,
            "--set",
            "log.format=json",
            "--set",
            "log.level=debug",
        ]);
        let request = server.request(Method::POST, "/job");
        let request = request.header("traceparent", traceparent());
        let (status, body) = read(request.json(&job("sleep", json!({"seconds": 0})))).await;
        assert_eq!(status, 201, "{body}");
        server
            .wait(body["job_id"].as_str().unwrap(), &["completed"])
            .await;
        let scrape = server
            .request(Method::GET, "/metrics")
            .header("accept", "application/openmetrics-text;version=1.0.0");
        let page = scrape.send().await.unwrap().text().await.unwrap();
        assert!(page.ends_with("# EOF\n"));
        assert!(!page.contains("trace_id"), "{page}");
        server.signal(Signal::TERM);
        let (code, said) = server.ended();
        assert_eq!(code, Some(0), "{said}");
        assert!(!said.contains("trace_id"), "{said}");
        let received = receiver.take();
        assert!(received.points().count() > 0);
        assert!(
            received
                .points()
                .all(|point| point["exemplars"] == json!([]))
        );
        assert_eq!(received.spans().count(), 0);
    }

    /// A collector of spans that is slow, full or away: nobody waits for it, and the log says so once.
    #[tokio::test]
    async fn collectors_of_spans_that_fail_are_told_of_and_come_back() {
        let mut receiver = OtlpReceiver::start();
        let endpoint = format!(
            "telemetry.traces.endpoint=http://127.0.0.1:{}",
            receiver.grpc()
        );
        let refuse = json!({"how": "status", "grpc": "PERMISSION_DENIED", "message": "who?"});
        receiver.behave(&[refuse.clone(), refuse], json!({"how": "accept"}));
        let mut command = crate::support::osapi(&["up", "--listen", "127.0.0.1:0"]);
        let dir = tempfile::tempdir().unwrap();
        command.args(["--data-dir", dir.path().to_str().unwrap()]);
        command.args(["--set", "telemetry.traces.enabled=true"]);
        command.args([
            "--set",
            "telemetry.traces.protocol=grpc",
            "--set",
            &endpoint,
        ]);
        // The SDK's own variable: batches leave quickly.
        command.env("OTEL_BSP_SCHEDULE_DELAY", "100");
        let file = dir.path().join("osapi.addr");
        let server = crate::support::spawn(command, dir.path(), |_| {
            let text = std::fs::read_to_string(&file).ok()?;
            Some(text.strip_suffix('\n')?.parse().unwrap())
        });
        let received = until("spans that were taken", async || {
            assert_eq!(server.get("/health").await.0, 200);
            let received = receiver.take();
            (received.spans().count() > 0).then_some(received)
        })
        .await;
        assert!(received.requests >= 3, "two were refused");
        server.signal(Signal::TERM);
        let (code, said) = server.ended();
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(said.matches("spans could not all be exported").count(), 1);
        assert!(said.contains("PERMISSION_DENIED: who?"), "{said}");
        assert_eq!(said.matches("spans are exported again").count(), 1);
    }
}

mod with_prometheus {
    mod with_python {
        use xtask::{Labels, OtlpReceiver, Prometheus, Target};

        use super::super::*;
        use crate::support::{Server, api, worker};

        /// The ids of the exemplars that Prometheus keeps of a histogram's buckets.
        fn stored(prometheus: &Prometheus, selector: &str) -> Vec<(String, String)> {
            let ids = |labels: &Labels| (labels["trace_id"].clone(), labels["span_id"].clone());
            let all = prometheus.exemplars(selector);
            all.iter().map(|(labels, _)| ids(labels)).collect()
        }

        fn wait_for(prometheus: &Prometheus, selector: &str) -> Vec<(String, String)> {
            let since = std::time::Instant::now();
            loop {
                let found = stored(prometheus, selector);
                if !found.is_empty() {
                    return found;
                }
                let targets = prometheus.targets();
                assert!(since.elapsed() < PATIENCE, "{selector}: {targets:?}");
                std::thread::sleep(Duration::from_millis(100));
            }
        }

        fn traced(port: u16, protocol: &str) -> Vec<String> {
            let all = [
                "telemetry.metrics.enabled=true".to_owned(),
                "telemetry.traces.enabled=true".to_owned(),
                format!("telemetry.traces.endpoint=http://127.0.0.1:{port}"),
                format!("telemetry.traces.protocol={protocol}"),
                "log.format=json".to_owned(),
                "log.level=debug".to_owned(),
            ];
            let all = all.into_iter();
            all.flat_map(|one| ["--set".to_owned(), one]).collect()
        }

        fn end(server: Server) -> String {
            server.signal(Signal::TERM);
            let (code, said) = server.ended();
            assert_eq!(code, Some(0), "{said}");
            said
        }

        /// One request, one job, one worker, each in a process of its own: the exemplars that Prometheus stored lead
        /// to the spans that the receiver got, over gRPC from the one process and over HTTP from the other.
        #[tokio::test]
        async fn stored_exemplars_name_the_exported_spans() {
            let mut receiver = OtlpReceiver::start();
            let dir = tempfile::tempdir().unwrap();
            let settings = traced(receiver.grpc(), "grpc");
            let settings: Vec<_> = settings.iter().map(String::as_str).collect();
            let api = api(dir.path(), &settings);
            let settings = traced(receiver.http(), "http/protobuf");
            let settings: Vec<_> = settings.iter().map(String::as_str).collect();
            let worker = worker(dir.path(), "w", &settings);
            let targets = [
                Target::new("api", api.address),
                Target::new("worker", worker.address),
            ];
            let prometheus =
                Prometheus::start_with(&targets, &["--enable-feature=exemplar-storage"]);

            let request = api.request(Method::POST, "/job");
            let request = request.header("traceparent", traceparent());
            let body = job("sleep", json!({"seconds": 0.01, "fail_attempts": 1}));
            let (status, accepted) = read(request.json(&body)).await;
            assert_eq!(status, 201, "{accepted}");
            api.wait(accepted["job_id"].as_str().unwrap(), &["completed"])
                .await;

            let of_request = wait_for(
                &prometheus,
                r#"http_server_request_duration_seconds_bucket{job="api",http_route="/job"}"#,
            );
            let ended = r#"{job="worker",operation="sleep",status="completed"}"#;
            let of_attempt = wait_for(
                &prometheus,
                &format!("osapi_job_duration_seconds_bucket{ended}"),
            );
            let waited = r#"osapi_job_wait_seconds_bucket{job="worker",operation="sleep"}"#;
            let of_wait = wait_for(&prometheus, waited);
            drop(prometheus);
            let (api_said, worker_said) = (end(api), end(worker));

            let received = receiver.take();
            let named = |name: &str| -> Vec<&Value> {
                received
                    .spans()
                    .filter(|span| span["name"] == name)
                    .collect()
            };
            let ids = |span: &Value| {
                let id = |key: &str| span[key].as_str().unwrap().to_owned();
                (id("trace_id"), id("span_id"))
            };
            let (request, attempts) = (named("POST /job"), named("run sleep"));
            assert_eq!(
                (request.len(), attempts.len()),
                (1, 2),
                "{:?}",
                received.exports
            );
            let request = request[0];
            assert_eq!(request["trace_id"], TRACE);
            assert_eq!(request["parent_span_id"], CALLER);
            // SERVER and CONSUMER.
            assert_eq!(request["kind"], 2);
            for attempt in &attempts {
                assert_eq!(attempt["parent_span_id"], request["span_id"]);
                assert_eq!(attempt["kind"], 5);
            }
            assert_eq!(of_request, [ids(request)]);
            let completed = attempts
                .iter()
                .find(|attempt| attempt["attributes"]["osapi.job.status"] == "completed");
            assert_eq!(of_attempt, [ids(completed.unwrap())]);
            assert!(
                of_wait
                    .iter()
                    .all(|of| attempts.iter().any(|span| *of == ids(span)))
            );
            for (transport, name) in [("grpc", "POST /job"), ("http", "run sleep")] {
                let mut exports = received.exports.iter();
                let with = |export: &&Value| {
                    let spans = export["spans"].as_array().unwrap();
                    spans.iter().any(|span| span["name"] == name)
                };
                assert_eq!(exports.find(with).unwrap()["transport"], transport);
            }

            // The log leads there, too.
            let failed = lines_of_the_trace(&worker_said);
            let failed = failed
                .iter()
                .find(|line| line["message"] == "the attempt failed");
            let failed = failed.unwrap_or_else(|| panic!("{worker_said}"));
            assert!(
                attempts
                    .iter()
                    .any(|span| span["span_id"] == failed["span_id"])
            );
            assert!(api_said.contains("stopped"), "{api_said}");
        }
    }
}
