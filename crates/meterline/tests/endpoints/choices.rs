//! What a scraper may choose: format, escaping, compression, families.

use meterline_exposition::parse::{Page, Syntax};
use opentelemetry::KeyValue;
use reqwest::StatusCode;
use serde_json::Value;

use crate::support::{OPENMETRICS, PROTOBUF, ask, fetch, header, serve, value, with};

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
