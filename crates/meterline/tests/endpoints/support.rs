//! A small shop with metrics, and ways to ask it.

use std::net::SocketAddr;

use axum::routing::get;
use axum::{Router, extract::Path};
use meterline::config::{MetricsConfig, TelemetryConfig};
use meterline::{BuildError, Telemetry};
use reqwest::StatusCode;
use serde_json::json;

pub(crate) const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0";
pub(crate) const PROTOBUF: &str = "application/vnd.google.protobuf;\
    proto=io.prometheus.client.MetricFamily;encoding=delimited";

pub(crate) fn with(change: impl FnOnce(&mut MetricsConfig)) -> Telemetry {
    build(change).expect("this configuration works")
}

pub(crate) fn build(change: impl FnOnce(&mut MetricsConfig)) -> Result<Telemetry, BuildError> {
    let mut config = TelemetryConfig {
        service_name: "shop".into(),
        ..TelemetryConfig::default()
    };
    change(&mut config.metrics);
    Telemetry::builder()
        .config(config)
        .global(false)
        .json_section("database", || json!({"backend": "none"}))
        .build()
}

/// Serves a small shop with these metrics.
pub(crate) async fn serve(telemetry: &Telemetry) -> SocketAddr {
    let app = Router::new()
        .route(
            "/orders/{id}",
            get(|Path(id): Path<u32>| async move { format!("order {id}") }),
        )
        .layer(telemetry.http_layer())
        .merge(telemetry.routes());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let addr = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, app).await });
    addr
}

pub(crate) async fn fetch(addr: SocketAddr, path: &str) -> (StatusCode, String) {
    let response = reqwest::get(format!("http://{addr}{path}"))
        .await
        .expect("it answers");
    (response.status(), response.text().await.expect("all of it"))
}

pub(crate) async fn scrape(addr: SocketAddr, seconds: &'static str) -> reqwest::Response {
    let request = reqwest::Client::new()
        .get(format!("http://{addr}/metrics"))
        .header("X-Prometheus-Scrape-Timeout-Seconds", seconds);
    request.send().await.expect("it answers")
}

/// Fetches with these headers, and does not undo the compression.
pub(crate) async fn ask(
    addr: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
) -> reqwest::Response {
    let mut request = reqwest::Client::new().get(format!("http://{addr}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("it answers")
}

pub(crate) fn header<'a>(response: &'a reqwest::Response, name: &str) -> &'a str {
    let value = response.headers().get(name);
    value.map_or("", |value| value.to_str().expect("ASCII"))
}

/// The value of the only line that begins so.
pub(crate) fn value(page: &str, series: &str) -> f64 {
    let lines: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with(series))
        .collect();
    assert_eq!(lines.len(), 1, "{series} in\n{page}");
    lines[0]
        .rsplit(' ')
        .next()
        .and_then(|value| value.parse().ok())
        .expect("a number")
}
