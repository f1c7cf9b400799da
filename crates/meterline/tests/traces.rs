//! Spans beside the metrics, to a receiver whose protocol nobody here wrote.

#![cfg(feature = "traces")]

mod with_python {
    use std::time::Duration;

    use meterline::config::{OtlpProtocol, TelemetryConfig};
    use meterline::{Telemetry, Traces};
    use opentelemetry::trace::{Span, SpanKind, Tracer, TracerProvider};
    use opentelemetry::{Context, KeyValue, trace::TraceContextExt};
    use serde_json::json;
    use xtask::OtlpReceiver;

    const ENOUGH: Duration = Duration::from_secs(60);
    const PROTOCOLS: [OtlpProtocol; 2] = [OtlpProtocol::HttpProtobuf, OtlpProtocol::Grpc];

    /// Metrics and spans to this receiver, by this protocol.
    fn config(receiver: &OtlpReceiver, protocol: OtlpProtocol) -> TelemetryConfig {
        let mut config = TelemetryConfig {
            service_name: "shop".to_owned(),
            ..TelemetryConfig::default()
        };
        let port = match protocol {
            OtlpProtocol::Grpc => receiver.grpc(),
            OtlpProtocol::HttpProtobuf => receiver.http(),
        };
        config.otlp.endpoint = Some(format!("http://127.0.0.1:{port}"));
        config.otlp.protocol = protocol;
        config.otlp.interval = Duration::from_secs(100_000);
        config.otlp.headers = [("x-tenant".to_owned(), "t1".to_owned())].into();
        config.resource = [("team".to_owned(), "checkout".to_owned())].into();
        config.metrics.enabled = Some(false);
        config.traces.enabled = true;
        config
    }

    /// A span with a child that failed.
    fn order(traces: &Traces) {
        let tracer = traces.provider().tracer("shop");
        let builder = tracer.span_builder("order").with_kind(SpanKind::Server);
        let order = builder
            .with_attributes([KeyValue::new("items", 3)])
            .start(&tracer);
        let context = Context::new().with_span(order);
        let mut paying = tracer.start_with_context("pay", &context);
        paying.set_status(opentelemetry::trace::Status::error("no money"));
        paying.end();
        context.span().end();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn spans_arrive_with_the_resource_of_the_metrics() {
        let mut receiver = OtlpReceiver::start();
        for protocol in PROTOCOLS {
            let config = config(&receiver, protocol);
            let telemetry = Telemetry::builder().config(config.clone()).global(false);
            let telemetry = telemetry.build().expect("this configuration works");
            let traces = Traces::start(&config).expect("this configuration works");
            let traces = traces.expect("they are on");
            order(&traces);
            telemetry
                .meter("shop")
                .u64_counter("orders")
                .build()
                .add(1, &[]);
            traces.shutdown(ENOUGH).await.expect("it is there");
            telemetry.shutdown().await.expect("it is there");

            let received = receiver.take();
            let spans: Vec<_> = received.spans().collect();
            let [paid, ordered] = &spans[..] else {
                panic!("{protocol:?}: {:?}", received.exports)
            };
            assert_eq!(
                (&paid["name"], &ordered["name"]),
                (&json!("pay"), &json!("order"))
            );
            assert_eq!(paid["parent_span_id"], ordered["span_id"]);
            assert_eq!(paid["trace_id"], ordered["trace_id"]);
            // STATUS_CODE_ERROR and SPAN_KIND_SERVER.
            assert_eq!((&paid["status"], &ordered["kind"]), (&json!(2), &json!(2)));
            assert_eq!(ordered["attributes"], json!({"items": 3}));
            let [of_spans, of_metrics] = &received.exports[..] else {
                panic!("one export each: {:?}", received.exports)
            };
            assert_eq!(of_spans["resources"], of_metrics["resources"]);
            assert_eq!(of_spans["resources"][0]["team"], "checkout");
            assert_eq!(of_spans["headers"]["x-tenant"], "t1");
            let transport = match protocol {
                OtlpProtocol::Grpc => "grpc",
                OtlpProtocol::HttpProtobuf => "http",
            };
            assert_eq!(of_spans["transport"], transport);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_receiver_that_hangs_does_not_hold_up_the_end() {
        for protocol in PROTOCOLS {
            let mut receiver = OtlpReceiver::start();
            receiver.behave(&[], json!({"how": "hang"}));
            let traces = Traces::start(&config(&receiver, protocol));
            let traces = traces.expect("this configuration works").expect("on");
            order(&traces);
            let within = Duration::from_millis(500);
            let ended = tokio::time::timeout(ENOUGH, traces.shutdown(within)).await;
            let ended = ended.expect("it ends by itself");
            assert!(ended.is_err(), "{protocol:?}");
            assert_eq!(receiver.take().requests, 1);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn more_spans_than_fit_cost_nobody_anything() {
        let mut receiver = OtlpReceiver::start();
        let unavailable = json!({"how": "status", "code": 503, "grpc": "UNAVAILABLE"});
        receiver.behave(&[], unavailable);
        let mut config = config(&receiver, OtlpProtocol::Grpc);
        config.otlp.export_timeout = Duration::from_millis(200);
        let traces = Traces::start(&config).expect("this configuration works");
        let traces = traces.expect("they are on");
        // The queue holds 2,048, and batches of 512 leave it.
        for _ in 0..20_000 {
            order(&traces);
        }
        receiver.behave(&[], json!({"how": "accept"}));
        // What is left when the receiver is back still arrives.
        traces.shutdown(ENOUGH).await.ok();
        let arrived = receiver.take().spans().count();
        assert!((1..=3_072).contains(&arrived), "{arrived} spans");
    }
}
