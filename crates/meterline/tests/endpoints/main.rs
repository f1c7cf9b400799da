//! The endpoints as clients see them: real HTTP, a real Prometheus, the real linter.

mod choices;
mod load;
mod pages;
mod support;

mod with_promtool {
    use crate::support::{fetch, serve, with};

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
    use std::time::Duration;

    use xtask::{Prometheus, Target};

    use crate::support::{fetch, serve, with};

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
