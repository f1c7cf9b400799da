//! The order in which a process ends, step by step, and the deadline it keeps whatever a collector does.

use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Server, client, job, read, until};

/// Longer than any test: pushes come when they are asked for, at the end.
const SELDOM: &str = "telemetry.otlp.interval=1000h";

fn settings(all: &[&str]) -> Vec<String> {
    let all = all.iter().chain(&[SELDOM]);
    let all = all.flat_map(|setting| ["--set", setting]);
    all.map(str::to_owned).collect()
}

/// `osapi up` with these settings on data that outlives it.
fn up(dir: &std::path::Path, all: &[&str]) -> Server {
    let settings = settings(all);
    let mut args = vec!["up", "--listen", "127.0.0.1:0", "--data-dir"];
    args.push(dir.to_str().unwrap());
    args.extend(settings.iter().map(String::as_str));
    crate::support::start(&args, dir)
}

/// Tells the process to end, and waits until it says that it is not ready any more.
async fn tell(server: &Server, signal: Signal) {
    server.signal(signal);
    until("it is not ready", async || {
        (server.get("/health/ready").await.0 == 503).then_some(())
    })
    .await;
}

/// A job that runs for so long; returns its id once it does.
async fn running(server: &Server, seconds: f64) -> String {
    let id = server.submit("sleep", json!({"seconds": seconds})).await;
    server.wait(&id, &["processing"]).await;
    id
}

async fn page(url: &str) -> crate::metrics::page::Page {
    let answer = client().get(url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    crate::metrics::page::Page::parse(answer.text().await.unwrap())
}

mod with_python {
    use std::collections::BTreeMap;

    use xtask::{OtlpReceiver, Received};

    use super::*;
    use crate::metrics::page::{Labels, Page};

    const PROTOCOLS: [&str; 2] = ["http/protobuf", "grpc"];

    /// Where to push to, as settings.
    fn push(receiver: &OtlpReceiver, protocol: &str) -> [String; 2] {
        let port = match protocol {
            "grpc" => receiver.grpc(),
            _ => receiver.http(),
        };
        [
            format!("telemetry.otlp.endpoint=http://127.0.0.1:{port}"),
            format!("telemetry.otlp.protocol={protocol}"),
        ]
    }

    fn accept() -> Value {
        json!({"how": "accept"})
    }

    fn delay(seconds: u32) -> Value {
        json!({"how": "delay", "seconds": seconds})
    }

    /// What was accepted by the time so many requests have come.
    async fn received(receiver: &mut OtlpReceiver, requests: u64) -> Received {
        let mut all = receiver.take();
        until("a push", async || {
            let more = receiver.take();
            all.exports.extend(more.exports);
            all.requests = more.requests;
            (all.requests >= requests).then_some(())
        })
        .await;
        all
    }

    /// Counters and counts of histograms of jobs and requests, as a page names them.
    fn pushed(export: &Value) -> BTreeMap<(String, Labels), f64> {
        let points = export["points"].as_array().unwrap().iter();
        let totals = points.filter_map(|point| {
            let name = point["name"].as_str().unwrap().replace('.', "_");
            let (name, value) = match point["kind"].as_str().unwrap() {
                "sum" if point["monotonic"] == true => (format!("{name}_total"), &point["value"]),
                "histogram" => {
                    let unit = match point["unit"].as_str().unwrap() {
                        "s" => "seconds",
                        "By" => "bytes",
                        other => panic!("{name} in {other}"),
                    };
                    (format!("{name}_{unit}_count"), &point["count"])
                }
                _ => return None,
            };
            let labels = point["attributes"].as_object().unwrap().iter();
            let labels = labels.map(|(key, value)| {
                let value = value.as_str().map_or(value.to_string(), str::to_owned);
                (key.replace('.', "_"), value)
            });
            Some(((name, labels.collect()), value.as_f64().unwrap()))
        });
        totals.filter(|((name, _), _)| of_work(name)).collect()
    }

    /// The same of a page.
    fn scraped(page: &Page) -> BTreeMap<(String, Labels), f64> {
        let wanted = page.samples().filter(|sample| {
            let total = sample.name.ends_with("_total") || sample.name.ends_with("_count");
            total && of_work(&sample.name)
        });
        wanted
            .map(|sample| ((sample.name.clone(), sample.labels.clone()), sample.value))
            .collect()
    }

    fn of_work(name: &str) -> bool {
        name.starts_with("osapi_job") || name.starts_with("http_server_request")
    }

    /// The value of what has these labels, others aside.
    fn value(all: &BTreeMap<(String, Labels), f64>, name: &str, labels: &[(&str, &str)]) -> f64 {
        let with = |is: &Labels| {
            let mut labels = labels.iter();
            labels.all(|(key, value)| is.get(*key).is_some_and(|is| is == value))
        };
        let all = all.iter().filter(|((is, _), _)| is == name);
        all.filter(|((_, is), _)| with(is))
            .map(|(_, value)| value)
            .sum()
    }

    const COMPLETED: (&str, &[(&str, &str)]) =
        ("osapi_jobs_completed_total", &[("status", "completed")]);
    const REFUSED: (&str, &[(&str, &str)]) = (
        "http_server_request_duration_seconds_count",
        &[("http_route", "/job"), ("http_response_status_code", "503")],
    );
    const STREAMED: (&str, &[(&str, &str)]) = (
        "http_server_request_duration_seconds_count",
        &[("http_route", "/job/{id}/events")],
    );

    /// Unready, no new jobs, drained, pushed, closed, pushed again, and the scrape endpoint last.
    #[tokio::test]
    async fn what_is_recorded_in_each_step_is_in_the_last_scrape_and_the_last_push() {
        for protocol in PROTOCOLS {
            let mut receiver = OtlpReceiver::start();
            receiver.behave(&[accept(), delay(3)], accept());
            let [endpoint, protocol] = push(&receiver, protocol);
            let dir = tempfile::tempdir().unwrap();
            let own = "telemetry.metrics.listen=127.0.0.1:0";
            let plain = "telemetry.metrics.scope_labels=false";
            let server = up(dir.path(), &[&endpoint, &protocol, own, plain]);
            let metrics = until("the metrics' address", async || {
                let printed = server.printed();
                let mut lines = printed.lines();
                let metrics = lines.find_map(|line| line.strip_prefix("  metrics  "));
                metrics.map(str::to_owned)
            })
            .await;
            // A stream that ends only with its listener: its job waits for a host that never comes.
            let mut waiting = job("sleep", json!({"seconds": 0}));
            waiting["target_hostname"] = json!("elsewhere");
            let (status, waiting) = server.post("/job", &waiting).await;
            assert_eq!(status, 201, "{waiting}");
            let events = format!("/job/{}/events", waiting["job_id"].as_str().unwrap());
            let stream = server.request(Method::GET, &events).send().await.unwrap();
            let id = running(&server, 2.0).await;

            // 1: not ready, no new jobs; reads and scrapes are answered.
            tell(&server, Signal::TERM).await;
            let refused = server
                .post("/job", &job("sleep", json!({"seconds": 0})))
                .await;
            assert_eq!(refused.0, 503);
            assert_eq!(server.get(&format!("/job/{id}")).await.0, 200);
            assert_eq!(
                value(&scraped(&page(&metrics).await), REFUSED.0, REFUSED.1),
                1.0
            );

            // 2 and 3: what runs has ended when the first push comes, and streams have not.
            let first = received(&mut receiver, 1).await;
            let mut exports = first.exports;
            let second = received(&mut receiver, 2).await;
            exports.extend(second.exports);
            let first = pushed(&exports[0]);
            assert_eq!(value(&first, COMPLETED.0, COMPLETED.1), 1.0, "{first:#?}");
            assert_eq!(value(&first, REFUSED.0, REFUSED.1), 1.0, "{first:#?}");
            assert_eq!(value(&first, STREAMED.0, STREAMED.1), 0.0, "{first:#?}");

            // 4: the API is closed. 5: the last push is under way, and scrapes are still answered.
            assert!(client().get(server.url("/health")).send().await.is_err());
            let last = scraped(&page(&metrics).await);
            let (code, said) = server.ended();
            assert_eq!(code, Some(0), "{said}");
            assert!(said.contains("stopped"), "{said}");
            exports.extend(receiver.take().exports);
            assert_eq!(exports.len(), 2, "{protocol}");
            assert_eq!(pushed(&exports[1]), last, "{protocol}");
            for (name, labels) in [COMPLETED, REFUSED, STREAMED] {
                assert_eq!(value(&last, name, labels), 1.0, "{name} {labels:?}");
            }
            assert!(client().get(&metrics).send().await.is_err());
            drop(stream);
        }
    }

    /// Where metrics are on the API's own listener, scrapes are answered until the push is through.
    #[tokio::test]
    async fn the_listener_of_the_api_and_of_a_worker_stays_until_the_push_is_through() {
        let mut receiver = OtlpReceiver::start();
        let [endpoint, protocol] = push(&receiver, "grpc");
        let plain = "telemetry.metrics.scope_labels=false";
        let dir = tempfile::tempdir().unwrap();
        let api = crate::support::api(dir.path(), &[]);
        let on = "telemetry.metrics.enabled=true";
        let args = settings(&[&endpoint, &protocol, on, plain]);
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let worker = crate::support::worker(dir.path(), "w", &args);
        let id = api.submit("sleep", json!({"seconds": 2})).await;
        api.wait(&id, &["processing"]).await;
        let whole = tempfile::tempdir().unwrap();
        let whole = up(whole.path(), &[&endpoint, &protocol, plain]);
        running(&whole, 2.0).await;

        for server in [worker, whole] {
            receiver.behave(&[delay(2)], accept());
            let before = receiver.take().requests;
            tell(&server, Signal::TERM).await;
            let mut pushes = received(&mut receiver, before + 1).await;
            let scraped = scraped(&page(&server.url("/metrics")).await);
            assert_eq!(value(&scraped, COMPLETED.0, COMPLETED.1), 1.0);
            let (code, said) = server.ended();
            assert_eq!(code, Some(0), "{said}");
            pushes.exports.extend(receiver.take().exports);
            let last = pushed(pushes.exports.last().unwrap());
            let of_jobs = |all: &BTreeMap<(String, Labels), f64>| {
                let mut all = all.clone();
                all.retain(|(name, _), _| name.starts_with("osapi_job"));
                all
            };
            assert_eq!(of_jobs(&last), of_jobs(&scraped));
        }
    }

    /// Metrics by HTTP and spans by gRPC, to collectors that take everything and never answer.
    fn hanging() -> (OtlpReceiver, OtlpReceiver, Vec<String>) {
        let (mut metrics, mut spans) = (OtlpReceiver::start(), OtlpReceiver::start());
        for receiver in [&mut metrics, &mut spans] {
            receiver.behave(&[], json!({"how": "hang"}));
        }
        let mut all: Vec<_> = push(&metrics, "http/protobuf").into();
        let spans_to = format!("http://127.0.0.1:{}", spans.grpc());
        all.push(format!("telemetry.traces.endpoint={spans_to}"));
        all.push("telemetry.traces.protocol=grpc".to_owned());
        all.push("telemetry.traces.enabled=true".to_owned());
        (metrics, spans, all)
    }

    #[tokio::test]
    async fn collectors_that_hang_do_not_hold_up_the_end() {
        let (mut metrics, mut spans, settings) = hanging();
        let mut settings: Vec<_> = settings.iter().map(String::as_str).collect();
        settings.push("worker.drain_timeout=1s");
        let dir = tempfile::tempdir().unwrap();
        let server = up(dir.path(), &settings);
        let id = running(&server, 600.0).await;
        tell(&server, Signal::TERM).await;
        let (code, said) = server.ended();
        // By its own deadline, which it would say had passed.
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("stopped"), "{said}");
        assert!(said.contains("not every span was delivered"), "{said}");
        assert!(said.contains("metrics were not"), "{said}");
        assert!(metrics.take().requests >= 1 && spans.take().requests >= 1);
        // The job that did not end in time was given back, and its attempt does not count.
        let api = crate::support::api(dir.path(), &[]);
        let (_, record) = api.get(&format!("/job/{id}")).await;
        assert_eq!(record["status"], "submitted", "{record}");
        assert_eq!(record["attempts"], 0, "{record}");
    }

    #[tokio::test]
    async fn a_second_interrupt_ends_at_once_also_in_the_middle_of_a_push() {
        let (mut metrics, _spans, settings) = hanging();
        let settings: Vec<_> = settings.iter().map(String::as_str).collect();
        let dir = tempfile::tempdir().unwrap();
        let server = up(dir.path(), &settings);
        server.signal(Signal::INT);
        received(&mut metrics, 1).await;
        server.signal(Signal::INT);
        let (code, said) = server.ended();
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("ended at once by a second SIGINT"), "{said}");
        assert!(!said.contains("stopped"), "{said}");
    }

    /// What was pushed before stands; the next process is another instance, whose counters begin at zero.
    #[tokio::test]
    async fn after_a_kill_the_next_process_pushes_as_another_instance() {
        let mut receiver = OtlpReceiver::start();
        let [endpoint, protocol] = push(&receiver, "http/protobuf");
        let often = "telemetry.otlp.interval=200ms";
        let settings = [&*endpoint, &*protocol, "queue.lease=1s"];
        let dir = tempfile::tempdir().unwrap();
        // The last of two settings counts.
        let start = || {
            let mut all: Vec<_> = super::settings(&settings);
            all.extend(["--set".to_owned(), often.to_owned()]);
            let mut args = vec!["up", "--listen", "127.0.0.1:0", "--data-dir"];
            args.push(dir.path().to_str().unwrap());
            args.extend(all.iter().map(String::as_str));
            crate::support::start(&args, dir.path())
        };
        let mut server = start();
        let done = server.submit("sleep", json!({"seconds": 0})).await;
        server.wait(&done, &["completed"]).await;
        let id = running(&server, 2.0).await;
        let mut exports = Vec::new();
        let completed = |export: &Value| value(&pushed(export), COMPLETED.0, COMPLETED.1);
        until("the first job is pushed", async || {
            exports.extend(receiver.take().exports);
            exports
                .last()
                .is_some_and(|last| completed(last) == 1.0)
                .then_some(())
        })
        .await;
        server.kill();
        exports.extend(receiver.take().exports);
        let instance = |export: &Value| export["resources"][0]["service.instance.id"].clone();
        let first = instance(&exports[0]);
        assert!(exports.iter().all(|export| instance(export) == first));

        let server = start();
        server.wait(&id, &["completed"]).await;
        let (status, _) = read(server.request(Method::GET, &format!("/job/{done}"))).await;
        assert_eq!(status, 200);
        server.signal(Signal::TERM);
        let (code, said) = server.ended();
        assert_eq!(code, Some(0), "{said}");
        // A request of the killed process may have been on its way.
        let later = receiver.take().exports;
        let later: Vec<_> = later
            .iter()
            .filter(|export| instance(export) != first)
            .collect();
        assert!(!later.is_empty());
        assert!(
            later
                .iter()
                .all(|export| instance(export) == instance(later[0]))
        );
        assert_eq!(completed(later.last().unwrap()), 1.0, "its own alone");
    }
}
