//! Exemplars from a request to the page.

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::routing::get;
use axum::{Router, extract::Path};
use meterline::config::{Exemplars, MetricsConfig, TelemetryConfig};
use meterline::{Telemetry, config::ViewConfig};
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceFlags, TraceState};
use opentelemetry::{Context, KeyValue, SpanId, TraceId};
use serde_json::json;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// A context whose span is sampled.
fn sampled() -> Context {
    let trace = TraceId::from_hex(TRACE).expect("an id");
    let (span, flags) = (SpanId::from(0xb7ad), TraceFlags::SAMPLED);
    let span = SpanContext::new(trace, span, flags, true, TraceState::default());
    Context::new().with_remote_span_context(span)
}

/// The OpenMetrics page of a service that answered one request in a sampled span, and counted one
/// order in it.
async fn page(change: impl FnOnce(&mut MetricsConfig)) -> String {
    let mut config = TelemetryConfig::default();
    change(&mut config.metrics);
    let telemetry = Telemetry::builder().config(config).global(false).build();
    let telemetry = telemetry.expect("this configuration works");
    let orders = telemetry.meter("shop").u64_counter("orders").build();
    let count = move |Path(id): Path<i64>| async move {
        orders.add(
            1,
            &[KeyValue::new("customer", id), KeyValue::new("paid", true)],
        );
        "an order"
    };
    let trace = |request: Request, next: Next| next.run(request).with_context(sampled());
    let app = Router::new()
        .route("/orders/{id}", get(count))
        .layer(telemetry.http_layer())
        .layer(from_fn(trace))
        .merge(telemetry.routes());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a free port");
    let addr = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, app).await });

    let client = reqwest::Client::new();
    let get = |path: &str| client.get(format!("http://{addr}{path}"));
    let order = get("/orders/5").send().await.expect("it answers");
    assert_eq!(order.text().await.expect("all of it"), "an order");
    let scrape = get("/metrics").header("accept", "application/openmetrics-text;version=1.0.0");
    let page = scrape.send().await.expect("it answers");
    page.text().await.expect("all of it")
}

/// The exemplars on lines that begin so.
fn exemplars<'a>(page: &'a str, series: &str) -> Vec<&'a str> {
    let lines = page.lines().filter(|line| line.starts_with(series));
    lines
        .filter_map(|line| line.split_once(" # "))
        .map(|(_, exemplar)| exemplar)
        .collect()
}

#[tokio::test]
async fn a_page_shows_the_trace_of_a_request_and_what_a_view_left_out() {
    let view = json!({"instrument": "orders", "attributes": {"drop": ["customer"]}});
    let view: ViewConfig = serde_json::from_value(view).expect("a view's keys");
    let page = page(|metrics| metrics.views = vec![view]).await;
    let ids = format!("trace_id=\"{TRACE}\",span_id=\"000000000000b7ad\"");
    let of_duration = exemplars(&page, "http_server_request_duration_seconds_bucket{");
    assert_eq!(of_duration.len(), 1, "{page}");
    assert!(
        of_duration[0].starts_with(&format!("{{{ids}}} ")),
        "{of_duration:?}"
    );
    let of_orders = exemplars(&page, "orders_total{");
    assert_eq!(of_orders.len(), 1, "{page}");
    let labels = format!("{{{ids},customer=\"5\"}} 1 ");
    assert!(of_orders[0].starts_with(&labels), "{of_orders:?}");
}

#[tokio::test]
async fn without_exemplars_there_are_none() {
    let page = page(|metrics| metrics.exemplars = Exemplars::Off).await;
    assert!(page.contains("orders_total{"), "{page}");
    assert!(!page.contains(TRACE), "{page}");
}
