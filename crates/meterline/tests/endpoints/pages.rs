//! What is on the pages, and where they are.

use meterline::BuildError;
use meterline::Telemetry;
use opentelemetry::KeyValue;
use reqwest::StatusCode;
use serde_json::Value;
use serde_json::json;
use std::time::Duration;

use crate::support::{build, fetch, serve, value, with};

#[tokio::test]
async fn a_service_and_its_runtime_are_on_the_page() {
    let telemetry = with(|_| {});
    let addr = serve(&telemetry).await;
    for id in 0..3 {
        assert_eq!(
            fetch(addr, &format!("/orders/{id}")).await.0,
            StatusCode::OK
        );
    }
    let response = reqwest::get(format!("http://{addr}/metrics"))
        .await
        .unwrap();
    let content_type = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
    let page = response.text().await.unwrap();

    let requests = r#"http_server_request_total{http_request_method="GET",http_response_status_code="200",http_route="/orders/{id}""#;
    assert_eq!(value(&page, requests), 3.0);
    assert!(value(&page, "process_resident_memory_bytes{") > 1e6);
    assert!(value(&page, "process_start_time_seconds{") > 1.7e9);
    assert!(value(&page, "process_cpu_seconds_total{") >= 0.0);
    assert!(value(&page, "process_open_fds{") >= 3.0);
    assert!(value(&page, "process_threads{") >= 1.0);
    assert_eq!(value(&page, "tokio_workers{"), 1.0);
    assert!(value(&page, "tokio_alive_tasks{") >= 1.0);
    assert!(value(&page, "meterline_series{") > 10.0);
    assert!(page.contains(r#"service_name="shop""#), "{page}");
    assert!(
        !page.contains("/metrics\""),
        "a scrape does not count itself\n{page}"
    );

    // This scrape sees the one before.
    assert_eq!(value(&page, "meterline_collections_total{"), 0.0);
    let (_, page) = fetch(addr, "/metrics").await;
    assert_eq!(value(&page, "meterline_collections_total{"), 1.0);
    assert!(value(&page, "meterline_collection_time_seconds_total{") > 0.0);
    assert_eq!(
        value(&page, "meterline_scrape_duration_seconds_count{"),
        1.0
    );
    assert!(value(&page, "meterline_scrape_size_bytes{") > 1000.0);
}

#[tokio::test]
async fn json_shows_the_same_families_and_the_sections() {
    let telemetry = with(|_| {});
    let addr = serve(&telemetry).await;
    telemetry
        .meter("test")
        .u64_counter("orders")
        .build()
        .add(2, &[KeyValue::new("paid", true)]);
    let (status, body) = fetch(addr, "/metrics.json").await;
    assert_eq!(status, StatusCode::OK);
    let page: Value = serde_json::from_str(&body).unwrap();
    assert!(
        page["timestamp"]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .is_ok()
    );
    assert_eq!(page["database"], json!({"backend": "none"}));
    let families = page["metrics"].as_array().unwrap();
    let orders = families
        .iter()
        .find(|family| family["name"] == "orders_total")
        .unwrap();
    assert_eq!(orders["type"], "counter");
    assert_eq!(orders["series"][0]["value"], 2);
    assert_eq!(orders["series"][0]["labels"]["paid"], "true");
}

#[tokio::test]
async fn paths_can_be_chosen_and_json_left_out() {
    let telemetry = with(|metrics| {
        metrics.path = "/v1/metrics".into();
        metrics.json_path = None;
    });
    let addr = serve(&telemetry).await;
    assert_eq!(fetch(addr, "/v1/metrics").await.0, StatusCode::OK);
    assert_eq!(fetch(addr, "/metrics").await.0, StatusCode::NOT_FOUND);
    assert_eq!(fetch(addr, "/metrics.json").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn switched_off_there_is_nothing() {
    let telemetry = with(|metrics| metrics.enabled = Some(false));
    let addr = serve(&telemetry).await;
    assert_eq!(fetch(addr, "/orders/1").await.0, StatusCode::OK);
    assert_eq!(fetch(addr, "/metrics").await.0, StatusCode::NOT_FOUND);
    assert_eq!(fetch(addr, "/metrics.json").await.0, StatusCode::NOT_FOUND);
    assert!(telemetry.provider().is_none() && telemetry.listen_addr().is_none());
}

#[tokio::test]
async fn an_own_listener_takes_the_pages_away_from_the_application() {
    let telemetry = with(|metrics| metrics.listen = Some("127.0.0.1:0".parse().unwrap()));
    let addr = serve(&telemetry).await;
    let own = telemetry.listen_addr().expect("it listens");
    assert_eq!(fetch(addr, "/metrics").await.0, StatusCode::NOT_FOUND);
    assert_eq!(fetch(own, "/metrics").await.0, StatusCode::OK);

    telemetry.shutdown().await.unwrap();
    assert!(
        reqwest::get(format!("http://{own}/metrics")).await.is_err(),
        "it has stopped"
    );
}

#[tokio::test]
async fn a_port_in_use_is_an_error_that_names_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let error = build(|metrics| metrics.listen = Some(addr.to_string().parse().unwrap()));
    let error = error.expect_err("the port is taken").to_string();
    assert!(error.contains(&addr.to_string()), "{error}");
}

#[test]
fn telemetry_is_global_once() {
    let first = Telemetry::builder().build().unwrap();
    opentelemetry::global::meter("test")
        .u64_counter("c")
        .build()
        .add(5, &[]);
    assert!(
        first
            .provider()
            .unwrap()
            .collect()
            .metrics
            .iter()
            .any(|m| m.descriptor.name == "c")
    );
    let again = Telemetry::builder()
        .build()
        .expect_err("it is set up already");
    assert!(matches!(again, BuildError::AlreadyInstalled), "{again}");
}

#[tokio::test]
async fn configured_views_are_on_the_page_and_impossible_ones_stop_the_start() {
    let view = |config: Value| serde_json::from_value(config).expect("a view's keys");
    let telemetry = with(|metrics| {
        metrics.views = vec![
            view(json!({
                "instrument": "http.server.request.duration",
                "attributes": {"keep": ["http.route"]},
                "buckets": [60],
            })),
            view(json!({"instrument": "http.server.active_requests", "drop": true})),
            view(json!({"instrument": "orders", "name": "purchases"})),
        ];
    });
    let addr = serve(&telemetry).await;
    telemetry
        .meter("shop")
        .u64_counter("orders")
        .build()
        .add(3, &[]);
    assert_eq!(fetch(addr, "/orders/1").await.0, StatusCode::OK);
    let (_, page) = fetch(addr, "/metrics").await;
    let duration = r#"http_server_request_duration_seconds_bucket{http_route="/orders/{id}","#;
    let bounds: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with(duration))
        .collect();
    assert_eq!(bounds.len(), 2, "{page}");
    assert!(!page.contains("http_request_method=\"GET\",http_route=\"/orders/{id}\",le="));
    assert!(!page.contains("http_server_active_requests"), "{page}");
    assert_eq!(value(&page, "purchases_total"), 3.0);

    let refused = build(|metrics| {
        let (fine, bad) = (
            json!({"instrument": "a"}),
            json!({"instrument": "*", "name": "b"}),
        );
        metrics.views = vec![view(fine), view(bad)];
    });
    let error = refused
        .expect_err("all instruments of one name")
        .to_string();
    assert!(error.starts_with("metrics.views, number 2: "), "{error}");
}

#[tokio::test]
async fn series_are_declared_removed_and_forgotten() {
    let telemetry = with(|metrics| metrics.series_ttl = Some(Duration::from_millis(1)));
    let addr = serve(&telemetry).await;
    let sold = telemetry.meter("shop").u64_counter("sold").build();
    let of = |shop: &'static str| [KeyValue::new("shop", shop)];
    assert!(telemetry.declare("shop", "sold", &of("a")));
    let (_, page) = fetch(addr, "/metrics").await;
    assert_eq!(value(&page, "sold_total{"), 0.0);

    sold.add(2, &of("a"));
    assert!(telemetry.remove("shop", "sold", &of("a")));
    sold.add(3, &of("a"));
    let (_, page) = fetch(addr, "/metrics").await;
    assert_eq!(value(&page, "sold_total{"), 3.0);

    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while fetch(addr, "/metrics").await.1.contains("sold_total{") {
        assert!(std::time::Instant::now() < deadline, "it stays");
    }

    let off = with(|metrics| metrics.enabled = Some(false));
    assert!(!off.declare("shop", "sold", &of("a")) && !off.remove("shop", "sold", &of("a")));
}
