//! Requests that no route matches are measured once, however layer and routes are put together.

use axum::{Router, routing::get};
use meterline::Telemetry;
use meterline::config::TelemetryConfig;

type Assemble = fn(Router, &Telemetry) -> Router;

/// How many requests without a route a page tells of, after one.
async fn counted(assemble: Assemble) -> f64 {
    let mut config = TelemetryConfig::default();
    config.metrics.scope_labels = false;
    let telemetry = Telemetry::builder().config(config).global(false).build();
    let telemetry = telemetry.expect("this configuration works");
    let app = Router::new().route("/orders", get(|| async { "orders" }));
    let app = assemble(app, &telemetry);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a free port");
    let addr = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, app).await });

    let get = async |path: &str| {
        let response = reqwest::get(format!("http://{addr}{path}")).await;
        let response = response.expect("it answers");
        response.text().await.expect("all of it")
    };
    get("/nobody/knows").await;
    // On the same connection and after it, so that the one before has been recorded.
    get("/orders").await;
    let page = get("/metrics").await;
    assert!(page.contains("http_route=\"/orders\""), "{page}");
    let unmatched =
        "http_server_request_total{http_request_method=\"GET\",http_response_status_code=\"404\"} ";
    let count = page.lines().find_map(|line| line.strip_prefix(unmatched));
    count.map_or(0.0, |count| count.parse().expect("a number"))
}

#[tokio::test]
async fn once_in_every_order() {
    let ways: [(&str, Assemble); 3] = [
        ("layer, then routes", |app, telemetry| {
            app.layer(telemetry.http_layer()).merge(telemetry.routes())
        }),
        ("routes, then layer", |app, telemetry| {
            app.merge(telemetry.routes()).layer(telemetry.http_layer())
        }),
        ("a fallback of the service's own", |app, telemetry| {
            let app = app.fallback(|| async { (axum::http::StatusCode::NOT_FOUND, "nothing") });
            app.layer(telemetry.http_layer()).merge(telemetry.routes())
        }),
    ];
    for (way, assemble) in ways {
        assert_eq!(counted(assemble).await, 1.0, "{way}");
    }
}

#[tokio::test]
async fn without_the_layer_nothing_is_measured() {
    let telemetry = Telemetry::builder().global(false).build();
    let telemetry = telemetry.expect("the defaults work");
    let app: Router = telemetry.routes();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a free port");
    let addr = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, app).await });
    let page = async |path: &str| {
        let response = reqwest::get(format!("http://{addr}{path}")).await;
        response
            .expect("it answers")
            .text()
            .await
            .expect("all of it")
    };
    page("/nobody/knows").await;
    assert!(!page("/metrics").await.contains("\nhttp_server_"));
}
