//! The old names of docs/from-axum-prometheus.md, as configured there.

use axum::{Router, routing::get};
use meterline::Telemetry;
use meterline::config::{Convention, TelemetryConfig, ViewConfig};

#[tokio::test]
async fn the_names_of_axum_prometheus() {
    let renamed = |instrument: &str, name: &str| ViewConfig {
        instrument: instrument.to_owned(),
        name: Some(name.to_owned()),
        ..ViewConfig::default()
    };
    let mut config = TelemetryConfig::default();
    config.metrics.scope_labels = false;
    config.metrics.http.convention = Convention::Classic;
    config.metrics.http.classic_prefix = "axum_http".to_owned();
    config.metrics.views = vec![
        renamed("axum_http_request_duration", "axum_http_requests_duration"),
        renamed("axum_http_requests_in_flight", "axum_http_requests_pending"),
    ];
    let telemetry = Telemetry::builder().config(config).global(false).build();
    let telemetry = telemetry.expect("this configuration works");
    let app = Router::new()
        .route("/orders/{id}", get(|| async { "an order" }))
        .layer(telemetry.http_layer())
        .merge(telemetry.routes());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a free port");
    let addr = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, app).await });

    let get = async |path: &str| {
        let response = reqwest::get(format!("http://{addr}{path}")).await;
        response
            .expect("it answers")
            .text()
            .await
            .expect("all of it")
    };
    get("/orders/7").await;
    get("/nobody/knows").await;
    let page = get("/metrics").await;
    for line in [
        "# TYPE axum_http_requests_total counter",
        "axum_http_requests_total{endpoint=\"/orders/{id}\",method=\"GET\",status=\"200\"} 1",
        "axum_http_requests_total{endpoint=\"unmatched\",method=\"GET\",status=\"404\"} 1",
        "# TYPE axum_http_requests_duration_seconds histogram",
        "axum_http_requests_duration_seconds_count{endpoint=\"/orders/{id}\",method=\"GET\",status=\"200\"} 1",
        "# TYPE axum_http_requests_pending gauge",
        "axum_http_requests_pending 0",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}: {page}");
    }
    let mine = "axum_http_requests_duration_seconds_bucket{endpoint=\"/orders/{id}\"";
    let bounds = page.lines().filter(|line| line.starts_with(mine));
    let bounds: Vec<_> = bounds
        .filter_map(|line| line.split("le=\"").nth(1)?.split('"').next())
        .collect();
    assert_eq!(
        bounds,
        [
            "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"
        ]
    );
}
