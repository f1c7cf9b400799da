//! The endpoints as clients see them: real HTTP, a real Prometheus, the real linter.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use axum::routing::get;
use axum::{Router, extract::Path};
use meterline::config::{MetricsConfig, TelemetryConfig};
use meterline::{BuildError, Telemetry};
use meterline_exposition::parse::{Page, Syntax};
use opentelemetry::KeyValue;
use reqwest::StatusCode;
use serde_json::{Value, json};

fn with(change: impl FnOnce(&mut MetricsConfig)) -> Telemetry {
    build(change).expect("this configuration works")
}

fn build(change: impl FnOnce(&mut MetricsConfig)) -> Result<Telemetry, BuildError> {
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
async fn serve(telemetry: &Telemetry) -> SocketAddr {
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

async fn fetch(addr: SocketAddr, path: &str) -> (StatusCode, String) {
    let response = reqwest::get(format!("http://{addr}{path}"))
        .await
        .expect("it answers");
    (response.status(), response.text().await.expect("all of it"))
}

/// The value of the only line that begins so.
fn value(page: &str, series: &str) -> f64 {
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

/// Scrapes that come while one is being made share the next; none sees numbers older than itself.
#[tokio::test(flavor = "multi_thread")]
async fn scrapes_at_once_do_not_double_the_work() {
    let telemetry = Arc::new(with(|metrics| metrics.max_concurrent_scrapes = 64));
    let collections = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&collections);
    telemetry
        .meter("test")
        .u64_observable_gauge("slow")
        .with_callback(move |to| {
            counted.fetch_add(1, SeqCst);
            std::thread::sleep(Duration::from_millis(200));
            to.observe(1, &[]);
        })
        .build();
    let addr = serve(&telemetry).await;
    let first = tokio::spawn(async move { fetch(addr, "/metrics").await });
    while collections.load(SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    telemetry
        .meter("test")
        .u64_counter("during")
        .build()
        .add(1, &[]);
    let late: Vec<_> = (0..20)
        .map(|_| tokio::spawn(async move { fetch(addr, "/metrics").await }))
        .collect();
    assert_eq!(first.await.unwrap().0, StatusCode::OK);
    for scrape in late {
        let (status, page) = scrape.await.unwrap();
        assert_eq!(status, StatusCode::OK);
        assert_eq!(value(&page, "during_total{"), 1.0);
    }
    let collections = collections.load(SeqCst);
    assert!(
        (2..=3).contains(&collections),
        "{collections} collections for 21 scrapes"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_page_meets_the_scrapers_deadline() {
    let telemetry = with(|_| {});
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    telemetry
        .meter("test")
        .u64_observable_gauge("stuck")
        .with_callback(move |_| {
            let ended = wait.lock().unwrap().recv();
            ended.expect_err("this ends when the test drops its end");
        })
        .build();
    let addr = serve(&telemetry).await;
    let late = scrape(addr, "0.05").await;
    assert_eq!(late.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(late.headers()["retry-after"], "1");
    assert_eq!(
        late.text().await.unwrap(),
        "the page was not ready in time\n"
    );
    // Meanwhile everything else is served.
    assert_eq!(fetch(addr, "/orders/1").await.0, StatusCode::OK);

    let waiting = tokio::spawn(scrape(addr, "9"));
    drop(release);
    assert_eq!(waiting.await.unwrap().status(), StatusCode::OK);
}

async fn scrape(addr: SocketAddr, seconds: &'static str) -> reqwest::Response {
    let request = reqwest::Client::new()
        .get(format!("http://{addr}/metrics"))
        .header("X-Prometheus-Scrape-Timeout-Seconds", seconds);
    request.send().await.expect("it answers")
}

/// A page is too large for the buffers between us and a client: whoever does not read holds it.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_read_hold_a_bounded_number_of_pages() {
    use std::io::{Read as _, Write as _};

    let telemetry = with(|metrics| {
        metrics.max_concurrent_scrapes = 1;
        metrics.cardinality_limit = 100_000;
    });
    let counter = telemetry.meter("test").u64_counter("large").build();
    let padding = "x".repeat(1000);
    for series in 0..20_000 {
        counter.add(1, &[KeyValue::new("series", format!("{series}{padding}"))]);
    }
    let addr = serve(&telemetry).await;
    let mut idle = std::net::TcpStream::connect(addr).unwrap();
    idle.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");

    assert_eq!(
        scrape(addr, "0.2").await.status(),
        StatusCode::SERVICE_UNAVAILABLE
    );
    drop(idle);
    let page = scrape(addr, "9").await;
    assert_eq!(page.status(), StatusCode::OK);
    assert!(page.bytes().await.unwrap().len() > 20_000_000);
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

/// Fetches with these headers, and does not undo the compression.
async fn ask(addr: SocketAddr, path: &str, headers: &[(&str, &str)]) -> reqwest::Response {
    let mut request = reqwest::Client::new().get(format!("http://{addr}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("it answers")
}

fn header<'a>(response: &'a reqwest::Response, name: &str) -> &'a str {
    let value = response.headers().get(name);
    value.map_or("", |value| value.to_str().expect("ASCII"))
}

const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0";
const PROTOBUF: &str = "application/vnd.google.protobuf;\
    proto=io.prometheus.client.MetricFamily;encoding=delimited";

#[tokio::test]
async fn scrapers_get_the_format_they_ask_for() {
    let telemetry = with(|metrics| metrics.created_timestamps = true);
    telemetry
        .meter("test")
        .u64_counter("orders")
        .build()
        .add(2, &[]);
    let addr = serve(&telemetry).await;
    let page = ask(addr, "/metrics", &[("accept", OPENMETRICS)]).await;
    assert_eq!(
        header(&page, "content-type"),
        "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
    );
    assert_eq!(header(&page, "vary"), "Accept, Accept-Encoding");
    let text = page.text().await.unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert_eq!(value(&text, "orders_total{"), 2.0);
    assert!(value(&text, "orders_created{") > 1.7e9);

    let page = ask(addr, "/metrics", &[("accept", PROTOBUF)]).await;
    assert!(header(&page, "content-type").starts_with("application/vnd.google.protobuf; "));
    let bytes = page.bytes().await.unwrap();
    let parsed = Page::parse(&bytes, Syntax::Protobuf).expect("it is valid");
    assert!(
        parsed
            .families
            .iter()
            .any(|family| family.name == "orders_total")
    );

    // A header of several lines is one list.
    let lines = [("accept", "text/plain;q=0.1"), ("accept", OPENMETRICS)];
    let page = ask(addr, "/metrics", &lines).await;
    assert!(header(&page, "content-type").starts_with("application/openmetrics-text"));
}

#[tokio::test]
async fn only_the_configured_formats_are_offered() {
    let telemetry = with(|metrics| metrics.formats = vec![meterline::config::Format::Openmetrics]);
    let addr = serve(&telemetry).await;
    for accept in [PROTOBUF, "text/plain", "*/*"] {
        let page = ask(addr, "/metrics", &[("accept", accept)]).await;
        assert!(header(&page, "content-type").starts_with("application/openmetrics-text"));
    }
}

#[tokio::test]
async fn names_are_escaped_as_asked_for() {
    let telemetry = with(|metrics| {
        metrics.translation = meterline::config::Translation::Utf8WithSuffixes;
    });
    telemetry
        .meter("test")
        .u64_counter("jobs.done")
        .build()
        .add(3, &[]);
    let addr = serve(&telemetry).await;
    for (escaping, series) in [
        ("allow-utf-8", "{\"jobs.done_total\","),
        ("underscores", "jobs_done_total{"),
        ("dots", "jobs_dot_done__total{"),
        ("values", "U__jobs_2e_done__total{"),
    ] {
        let accept = format!("text/plain;version=1.0.0;escaping={escaping}");
        let page = ask(addr, "/metrics", &[("accept", &accept)]).await;
        let expected = format!("text/plain; version=1.0.0; charset=utf-8; escaping={escaping}");
        assert_eq!(header(&page, "content-type"), expected);
        assert_eq!(value(&page.text().await.unwrap(), series), 3.0);
    }
}

/// Trap 29: compressed as asked for, and what comes out is the page.
#[tokio::test(flavor = "multi_thread")]
async fn trap_29_pages_are_compressed_as_asked_for() {
    let telemetry = with(|metrics| metrics.cardinality_limit = 100_000);
    let counter = telemetry.meter("test").u64_counter("large").build();
    for series in 0..20_000 {
        counter.add(1, &[KeyValue::new("series", series)]);
    }
    let addr = serve(&telemetry).await;
    let only = "/metrics?name[]=large_total";
    let plain = ask(addr, only, &[]).await;
    assert_eq!(header(&plain, "content-encoding"), "");
    let plain = plain.bytes().await.unwrap();
    assert!(plain.len() > 1_000_000, "more than one chunk");
    for (accept, coding) in [
        ("gzip", "gzip"),
        ("gzip;q=0.5, zstd", "zstd"),
        ("zstd;q=0", ""),
    ] {
        // Twice, as encoders are used again.
        for _ in 0..2 {
            let page = ask(addr, only, &[("accept-encoding", accept)]).await;
            assert_eq!(header(&page, "content-encoding"), coding);
            let bytes = page.bytes().await.unwrap();
            let unpacked = match coding {
                "gzip" => {
                    let mut out = Vec::new();
                    let mut decoder = flate2::read::GzDecoder::new(&*bytes);
                    std::io::Read::read_to_end(&mut decoder, &mut out).expect("it is whole");
                    out
                }
                "zstd" => zstd::decode_all(&*bytes).expect("it is whole"),
                _ => bytes.to_vec(),
            };
            assert!(unpacked == plain, "{accept} changes the page");
            assert!(coding.is_empty() || bytes.len() * 5 < plain.len());
        }
    }
}

#[tokio::test]
async fn families_can_be_chosen_by_name() {
    let telemetry = with(|_| {});
    let addr = serve(&telemetry).await;
    let meter = telemetry.meter("test");
    meter.u64_counter("orders").build().add(2, &[]);
    meter.f64_histogram("latency").build().record(0.5, &[]);
    let (status, page) = fetch(
        addr,
        "/metrics?name[]=orders_total&name%5B%5D=latency_count&name[]=none",
    )
    .await;
    assert_eq!(status, StatusCode::OK);
    let types = page.lines().filter(|line| line.starts_with("# TYPE "));
    let types: Vec<_> = types.collect();
    assert_eq!(
        types,
        ["# TYPE latency histogram", "# TYPE orders_total counter"]
    );
    let (_, json) = fetch(addr, "/metrics.json?name[]=orders_total").await;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["metrics"].as_array().unwrap().len(), 1);
    // By the name OpenMetrics gives it, too; and nothing is a page.
    let (_, page) = fetch(addr, "/metrics?name[]=orders").await;
    assert_eq!(page.lines().count(), 2, "{page}");
    assert_eq!(
        fetch(addr, "/metrics?name[]=none").await,
        (StatusCode::OK, String::new())
    );
}

#[tokio::test]
async fn a_head_request_gets_the_headers_without_a_page_being_made() {
    let telemetry = with(|_| {});
    let addr = serve(&telemetry).await;
    let request = reqwest::Client::new().head(format!("http://{addr}/metrics"));
    let head = request
        .header("accept", OPENMETRICS)
        .header("accept-encoding", "gzip");
    let head = head.send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    assert!(header(&head, "content-type").starts_with("application/openmetrics-text"));
    assert_eq!(header(&head, "content-encoding"), "gzip");
    assert_eq!(header(&head, "content-length"), "");
    assert_eq!(head.bytes().await.unwrap().len(), 0);
    let (_, page) = fetch(addr, "/metrics").await;
    assert!(
        !page.contains("meterline_scrape_size_bytes"),
        "there was no page before:\n{page}"
    );
}

/// Trap 31: what callers choose does not let them make work without bound.
#[tokio::test(flavor = "multi_thread")]
async fn trap_31_kinds_of_pages_that_wait_are_bounded() {
    let telemetry = with(|_| {});
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let (begun, has_begun) = std::sync::mpsc::channel::<()>();
    telemetry
        .meter("test")
        .u64_observable_gauge("stuck")
        .with_callback(move |_| {
            let _ = begun.send(());
            let ended = wait.lock().unwrap().recv();
            ended.expect_err("this ends when the test drops its end");
        })
        .build();
    let addr = serve(&telemetry).await;
    let first = tokio::spawn(async move { fetch(addr, "/metrics").await });
    tokio::task::spawn_blocking(move || has_begun.recv())
        .await
        .unwrap()
        .unwrap();
    let kinds = (0..100).map(|kind| {
        tokio::spawn(async move { fetch(addr, &format!("/metrics?name[]=x{kind}")).await })
    });
    let kinds: Vec<_> = kinds.collect();
    // Those beyond the limit are refused while the first page is still being made.
    while kinds.iter().filter(|kind| kind.is_finished()).count() < 100 - 32 {
        tokio::task::yield_now().await;
    }
    drop(release);
    let mut refused = 0;
    for kind in kinds {
        let (status, body) = kind.await.unwrap();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            assert_eq!(body, "too many different pages are asked for at once\n");
            refused += 1;
        }
    }
    assert_eq!(refused, 100 - 32);
    assert_eq!(first.await.unwrap().0, StatusCode::OK);
}

mod with_promtool {
    use super::*;

    #[tokio::test]
    async fn the_linter_finds_nothing() {
        let telemetry = with(|_| {});
        let addr = serve(&telemetry).await;
        fetch(addr, "/orders/1").await;
        fetch(addr, "/nothing/here").await;
        fetch(addr, "/metrics").await;
        let (_, page) = fetch(addr, "/metrics").await;
        let checked = tokio::task::spawn_blocking(move || xtask::promtool_check_metrics(&page));
        assert_eq!(checked.await.unwrap(), Ok(()));
    }
}

mod with_prometheus {
    use xtask::{Prometheus, Target};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test(flavor = "multi_thread")]
    async fn a_real_prometheus_reads_what_was_recorded() {
        let telemetry = with(|_| {});
        let addr = serve(&telemetry).await;
        for id in 0..5 {
            fetch(addr, &format!("/orders/{id}")).await;
        }
        let read = tokio::task::spawn_blocking(move || {
            let prometheus = Prometheus::start(&[Target::new("shop", addr)]);
            let total = r#"http_server_request_total{http_route="/orders/{id}"}"#;
            prometheus.wait_for(total, PATIENCE, |answer| {
                answer.len() == 1 && answer[0].1 == 5.0
            });
            let count = prometheus.query("http_server_request_duration_seconds_count");
            let up = prometheus.query(r#"up{job="shop"}"#);
            (count, up)
        });
        let (count, up) = read.await.unwrap();
        assert_eq!(
            count.iter().map(|(_, value)| *value).collect::<Vec<_>>(),
            [5.0]
        );
        assert_eq!(up[0].1, 1.0);
    }
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
