//! A real Prometheus scrapes each protocol it speaks, and says what it read.

mod with_prometheus {
    use std::net::SocketAddr;
    use std::time::Duration;

    use meterline::Telemetry;
    use meterline::config::{Format, MetricsConfig, TelemetryConfig, ViewAggregation, ViewConfig};
    use opentelemetry::trace::{
        SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    };
    use opentelemetry::{Context, KeyValue};
    use xtask::{Prometheus, Target};

    const PATIENCE: Duration = Duration::from_secs(60);
    const TRACE: u128 = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;
    const SPAN: u64 = 0x0123_4567_89ab_cdef;

    /// Records the same numbers, and serves them in this format only.
    async fn serve(format: Format) -> (Telemetry, SocketAddr) {
        let config = TelemetryConfig {
            metrics: MetricsConfig {
                listen: Some("127.0.0.1:0".parse().expect("an address")),
                formats: vec![format],
                views: vec![ViewConfig {
                    instrument: "latency".to_owned(),
                    aggregation: Some(ViewAggregation::Both),
                    buckets: Some(vec![0.1, 1.0]),
                    ..ViewConfig::default()
                }],
                ..MetricsConfig::default()
            },
            ..TelemetryConfig::default()
        };
        let telemetry = Telemetry::builder().config(config).global(false).build();
        let telemetry = telemetry.expect("this configuration works");
        let meter = telemetry.meter("shop");
        let span = SpanContext::new(
            TraceId::from(TRACE),
            SpanId::from(SPAN),
            TraceFlags::SAMPLED,
            true,
            TraceState::default(),
        );
        let orders = meter.u64_counter("orders").build();
        let latency = meter.f64_histogram("latency").with_unit("s").build();
        let paid = [KeyValue::new("paid", true)];
        {
            let _in_span = Context::new().with_remote_span_context(span).attach();
            orders.add(3, &paid);
            latency.record(0.5, &paid);
        }
        latency.record(0.25, &paid);
        latency.record(8.0, &paid);
        meter.i64_up_down_counter("depth").build().add(-4, &[]);
        let addr = telemetry.listen_addr().expect("it listens");
        (telemetry, addr)
    }

    /// What is the same whichever way it came.
    fn check_values(prometheus: &Prometheus) {
        let orders = prometheus.wait_for(r#"orders_total{paid="true"}"#, PATIENCE, |answer| {
            answer.len() == 1 && answer[0].1 == 3.0
        });
        assert_eq!(orders[0].0["otel_scope_name"], "shop");
        let one = |promql: &str| {
            let answer = prometheus.query(promql);
            assert_eq!(answer.len(), 1, "{promql}: {answer:?}");
            answer[0].1
        };
        assert_eq!(one("depth"), -4.0);
        assert_eq!(one(r#"target_info{telemetry_sdk_name="meterline"}"#), 1.0);
        assert_eq!(one("sum(up)"), 1.0);
    }

    /// What is the same where histograms have fixed buckets.
    fn check_buckets(prometheus: &Prometheus) {
        for (promql, expected) in [
            ("latency_seconds_count", 3.0),
            ("latency_seconds_sum", 8.75),
            (r#"latency_seconds_bucket{le="0.1"}"#, 0.0),
            (r#"latency_seconds_bucket{le=~"1|1.0"}"#, 2.0),
            (r#"latency_seconds_bucket{le="+Inf"}"#, 3.0),
        ] {
            let answer = prometheus.query(promql);
            assert_eq!(answer.len(), 1, "{promql}: {answer:?}");
            assert_eq!(answer[0].1, expected, "{promql}");
        }
    }

    /// The measurements made in a span lead to it.
    fn check_exemplars(prometheus: &Prometheus) {
        for (promql, value) in [("orders_total", 3.0), ("latency_seconds_bucket", 0.5)] {
            let exemplars = prometheus.exemplars(promql);
            assert_eq!(exemplars.len(), 1, "{promql}: {exemplars:?}");
            let (labels, found) = &exemplars[0];
            assert_eq!(labels["trace_id"], format!("{TRACE:032x}"));
            assert_eq!(labels["span_id"], format!("{SPAN:016x}"));
            assert_eq!(*found, value, "{promql}");
        }
    }

    async fn scraped(format: Format, features: &'static str, check: fn(&Prometheus)) {
        let (telemetry, addr) = serve(format).await;
        let checked = tokio::task::spawn_blocking(move || {
            let features = format!("--enable-feature={features}");
            let prometheus = Prometheus::start_with(&[Target::new("shop", addr)], &[&features]);
            check_values(&prometheus);
            check(&prometheus);
        });
        checked.await.expect("the check passes");
        telemetry.shutdown().await.expect("it stops");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn text() {
        scraped(Format::Text, "exemplar-storage", check_buckets).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn openmetrics() {
        scraped(Format::Openmetrics, "exemplar-storage", |prometheus| {
            check_buckets(prometheus);
            check_exemplars(prometheus);
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn protobuf_with_native_histograms() {
        let features = "exemplar-storage,native-histograms";
        scraped(Format::Protobuf, features, |prometheus| {
            for (promql, expected) in [
                ("histogram_count(latency_seconds)", 3.0),
                ("histogram_sum(latency_seconds)", 8.75),
                // Bounds of buckets, so that nothing is interpolated.
                ("3 * histogram_fraction(0.25, 0.5, latency_seconds)", 1.0),
                ("3 * histogram_fraction(0, 0.5, latency_seconds)", 2.0),
            ] {
                let answer = prometheus.query(promql);
                assert_eq!(answer.len(), 1, "{promql}: {answer:?}");
                assert!(
                    (answer[0].1 - expected).abs() < 1e-9,
                    "{promql}: {answer:?}"
                );
            }
            let exemplars = prometheus.exemplars("orders_total");
            assert_eq!(exemplars[0].0["trace_id"], format!("{TRACE:032x}"));
        })
        .await;
    }
}
