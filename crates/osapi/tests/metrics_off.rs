//! With metrics off nothing is recorded, anywhere.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::Request;
use meterline_jobs::{AttemptStatus, UnitStatus};
use meterline_sdk::MeterProvider;
use osapi::api::Lifecycle;
use osapi::config::Config;
use osapi::metrics::catalogue::Process;
use osapi::queue::sqlite::SqliteQueue;
use osapi::queue::{QueueOptions, SharedQueue};
use osapi::telemetry::ProcessTelemetry;
use tower::ServiceExt;

/// A provider that is already the global one hears of nothing, and the process makes none itself.
#[tokio::test]
async fn no_instrument_is_made_or_recorded() {
    let global = MeterProvider::builder().build();
    opentelemetry::global::set_meter_provider(global.clone());
    let config = Config::default();
    assert!(!config.metrics_enabled());
    let telemetry = ProcessTelemetry::start(&config, None, Process::Both).expect("starts");
    assert!(telemetry.on_transaction().is_none());
    assert!(telemetry.listen_addr().is_none());

    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("queue.db");
    let options = QueueOptions::default();
    let queue = SqliteQueue::open(&path, options, telemetry.on_transaction()).expect("opens");
    let queue: SharedQueue = std::sync::Arc::new(queue);
    let before = tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks();
    telemetry.watch(&queue, &Lifecycle::default(), Process::Both);
    let after = tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks();
    assert_eq!(after, before, "nobody asks the queue");

    let jobs = telemetry.jobs();
    let worker = telemetry.worker("w", 2);
    jobs.created("sleep", 1);
    jobs.completed("sleep", UnitStatus::Cancelled, 1);
    jobs.rescued("sleep");
    let slot = worker.slot();
    for status in AttemptStatus::ALL {
        let attempt = jobs.start("sleep", Duration::from_secs(1)).by(&worker);
        attempt.finish(status);
    }
    drop(slot);
    let routes = Router::new().route("/", get(async || "here"));
    let router = telemetry.measure(routes).merge(telemetry.routes());
    for (path, status) in [("/", 200), ("/metrics", 404), ("/metrics.json", 404)] {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let answer = router.clone().oneshot(request).await.expect("an answer");
        assert_eq!(answer.status(), status, "{path}");
    }
    telemetry.shutdown().await;

    let names: Vec<_> = global
        .collect()
        .metrics
        .iter()
        .map(|metric| metric.descriptor.name.to_string())
        .collect();
    assert_eq!(names, [""; 0]);
}
