//! One request, one job, one worker: one trace, in spans, exemplars and logs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use meterline::Traces;
use meterline_sdk::Snapshot;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use osapi::api::{self, ApiState, Lifecycle};
use osapi::config::Config;
use osapi::metrics::catalogue::Process;
use osapi::operations::Registry;
use osapi::queue::sqlite::SqliteQueue;
use osapi::queue::{QueueOptions, SharedQueue};
use osapi::telemetry::ProcessTelemetry;
use osapi::worker::{Worker, WorkerOptions};
use prost::Message;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::prelude::*;

use crate::support::{job, read, until, up};

pub(crate) const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
pub(crate) const CALLER: &str = "b7ad6b7169203331";

pub(crate) fn traceparent() -> String {
    format!("00-{TRACE}-{CALLER}-01")
}

pub(crate) fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A collector that decodes what it gets with the message types of the protocol's own project.
#[derive(Clone, Default)]
pub(crate) struct Collector {
    requests: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
}

impl Collector {
    /// Listens on a free port; returns the endpoint.
    pub(crate) async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let routes = Router::new()
            .route("/v1/traces", post(Self::take))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        endpoint
    }

    async fn take(State(collector): State<Self>, body: Bytes) {
        let request = ExportTraceServiceRequest::decode(body).unwrap();
        collector.requests.lock().unwrap().push(request);
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        let requests = self.requests.lock().unwrap();
        let resources = requests.iter().flat_map(|request| &request.resource_spans);
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    fn resource(&self) -> BTreeMap<String, String> {
        let requests = self.requests.lock().unwrap();
        let resource = requests[0].resource_spans[0].resource.clone().unwrap();
        attributes(&resource.attributes)
    }
}

fn attributes(
    pairs: &[opentelemetry_proto::tonic::common::v1::KeyValue],
) -> BTreeMap<String, String> {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    let text = |value: &Option<Value>| match value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    let pairs = pairs.iter();
    pairs
        .map(|pair| {
            let value = pair.value.as_ref().map(|value| &value.value);
            (pair.key.clone(), value.map(text).unwrap_or_default())
        })
        .collect()
}

/// The spans that a metric's exemplars were recorded in, as `trace span`.
fn exemplars(snapshot: &Snapshot, name: &str) -> Vec<(String, String)> {
    let metrics = snapshot.metrics.iter();
    let named = metrics.filter(|metric| metric.descriptor.name == name);
    let all = named.flat_map(|metric| {
        (0..metric.series.len()).flat_map(|point| metric.exemplars.of(point).collect::<Vec<_>>())
    });
    all.filter_map(|exemplar| exemplar.span)
        .map(|(trace, span)| (trace.to_string(), span.to_string()))
        .collect()
}

async fn queue(dir: &std::path::Path) -> SharedQueue {
    let queue = SqliteQueue::open(&dir.join("queue.db"), QueueOptions::default(), None);
    Arc::new(queue.unwrap())
}

/// Everything of a process on one thread, so that the subscriber of this test is everybody's.
#[tokio::test]
async fn exemplars_of_a_request_and_its_job_name_exported_spans() {
    let collector = Collector::default();
    let mut config = Config {
        debug: true,
        ..Config::default()
    };
    config.telemetry.traces.enabled = true;
    config.telemetry.traces.endpoint = Some(collector.start().await);
    config.telemetry.traces.compression = Some(meterline::config::Compression::None);
    let traces = Traces::start(&config.telemetry).unwrap().unwrap();
    let subscriber = tracing_subscriber::registry().with(osapi::traces::layer(&traces));
    let _default = subscriber.set_default();
    let telemetry = ProcessTelemetry::start(&config, None, Process::Both).unwrap();

    let dir = tempfile::tempdir().unwrap();
    let queue = queue(dir.path()).await;
    let operations = Arc::new(Registry::builtin(Vec::new()));
    let state = ApiState::new(
        &config.api,
        None,
        None,
        Arc::clone(&queue),
        Arc::clone(&operations) as _,
        telemetry.jobs().clone(),
        Lifecycle::default(),
    );
    let router = api::router(&state, &config, telemetry.routes(), |routes| {
        telemetry.measure(routes)
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let options = WorkerOptions {
        name: "w".to_owned(),
        hostname: "host".to_owned(),
        labels: BTreeMap::new(),
        slots: 1,
        drain_timeout: Duration::from_secs(20),
        lease: Duration::from_secs(5),
    };
    let metrics = telemetry.worker("w", 1);
    let jobs = telemetry.jobs().clone();
    let worker = Worker::new(queue, operations, jobs, metrics, options);
    let stop = CancellationToken::new();
    let worker = tokio::spawn(worker.run(stop.clone()));

    let request = crate::support::client()
        .post(format!("http://{address}/job"))
        .header("traceparent", traceparent())
        .header("tracestate", "vendor=1")
        .json(&job("sleep", json!({"seconds": 0.01})));
    let (status, body) = read(request).await;
    assert_eq!(status, 201, "{body}");
    let provider = telemetry.provider().unwrap().clone();
    let of_attempt = until("an attempt's exemplar", async || {
        let found = exemplars(&provider.collect(), "osapi.job.duration");
        (!found.is_empty()).then_some(found)
    })
    .await;
    let of_request = exemplars(&provider.collect(), "http.server.request.duration");
    let of_wait = exemplars(&provider.collect(), "osapi.job.wait");
    stop.cancel();
    worker.await.unwrap().unwrap();
    traces.shutdown(Duration::from_secs(20)).await.unwrap();

    let spans = collector.spans();
    let named = |name: &str| {
        let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
        assert_eq!(found.len(), 1, "{name} in {spans:#?}");
        found[0]
    };
    let (request, attempt) = (named("POST /job"), named("run sleep"));
    for span in [request, attempt] {
        assert_eq!(hex(&span.trace_id), TRACE);
        assert_eq!(span.trace_state, "vendor=1");
    }
    assert_eq!(hex(&request.parent_span_id), CALLER);
    assert_eq!(attempt.parent_span_id, request.span_id);
    let of = |span: &Span| vec![(TRACE.to_owned(), hex(&span.span_id))];
    assert_eq!(of_request, of(request));
    assert_eq!(of_attempt, of(attempt));
    assert_eq!(of_wait, of(attempt));
    let said = attributes(&request.attributes);
    for (key, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/job"),
        ("http.response.status_code", "201"),
        ("url.path", "/job"),
        ("url.scheme", "http"),
    ] {
        assert_eq!(said.get(key).map(String::as_str), Some(value), "{said:?}");
    }
    assert_eq!(
        attributes(&attempt.attributes)["osapi.job.status"],
        "completed"
    );
    // One resource for both signals.
    let resource = provider.collect().resource;
    let resource: BTreeMap<_, _> = resource
        .attributes()
        .iter()
        .map(|pair| (pair.key.to_string(), pair.value.to_string()))
        .collect();
    assert_eq!(collector.resource(), resource);
    telemetry.shutdown().await;
}

#[tokio::test]
async fn the_last_spans_are_delivered_at_the_end_and_logs_say_their_trace() {
    let collector = Collector::default();
    let endpoint = collector.start().await;
    let endpoint = format!("telemetry.traces.endpoint={endpoint}");
    let server = up(&[
        "--set",
        "telemetry.traces.enabled=true",
        "--set",
        "telemetry.traces.compression=none",
        "--set",
        &endpoint,
        "--set",
        "log.format=json",
        "--set",
        "log.level=debug",
    ]);
    let request = server.request(Method::POST, "/job");
    let request = request.header("traceparent", traceparent());
    let body = job("sleep", json!({"seconds": 0.01, "fail_attempts": 1}));
    let (status, accepted) = read(request.json(&body)).await;
    assert_eq!(status, 201, "{accepted}");
    server
        .wait(accepted["job_id"].as_str().unwrap(), &["completed"])
        .await;
    let (status, _) = server.get("/metrics").await;
    assert_eq!(status, 200);
    let (status, _) = server.get("/nowhere").await;
    assert_eq!(status, 404);
    server.signal(Signal::TERM);
    let (code, said) = tokio::task::spawn_blocking(move || server.ended())
        .await
        .unwrap();
    assert_eq!(code, Some(0), "{said}");

    let spans = collector.spans();
    let of_trace: Vec<_> = spans
        .iter()
        .filter(|span| hex(&span.trace_id) == TRACE)
        .map(|span| span.name.as_str())
        .collect();
    assert_eq!(of_trace, ["POST /job", "run sleep", "run sleep"]);
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert!(names.contains(&"GET"), "without a route: {names:?}");
    assert!(
        !names.iter().any(|name| name.contains("/metrics")),
        "{names:?}"
    );
    let lines = said.lines();
    let lines: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let failed = lines
        .iter()
        .find(|line| line["message"] == "the attempt failed");
    let failed = failed.unwrap_or_else(|| panic!("{said}"));
    assert_eq!(failed["trace_id"], TRACE);
    let span = failed["span_id"].as_str().unwrap();
    assert!(spans.iter().any(|of| hex(&of.span_id) == span), "{failed}");
    assert!(
        lines.iter().any(|line| line.get("trace_id").is_none()),
        "{said}"
    );
}

#[tokio::test]
async fn a_collector_that_is_not_there_delays_neither_requests_nor_the_end() {
    // A port that nobody listens on any more.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!(
        "telemetry.traces.endpoint=http://{}",
        gone.local_addr().unwrap()
    );
    drop(gone);
    let server = up(&["--set", "telemetry.traces.enabled=true", "--set", &endpoint]);
    let id = server.submit("sleep", json!({"seconds": 0})).await;
    server.wait(&id, &["completed"]).await;
    server.signal(Signal::TERM);
    let (code, said) = tokio::task::spawn_blocking(move || server.ended())
        .await
        .unwrap();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("not every span was delivered"), "{said}");
    assert!(said.contains("stopped"), "{said}");
}
