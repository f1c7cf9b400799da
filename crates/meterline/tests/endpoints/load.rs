//! Many scrapers, slow pages and slow readers.

use opentelemetry::KeyValue;
use reqwest::StatusCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use crate::support::{fetch, scrape, serve, value, with};

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
async fn trap_30_a_slow_page_meets_the_scrapers_deadline() {
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
