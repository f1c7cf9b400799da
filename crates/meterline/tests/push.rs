//! Push beside scrape: the same numbers by two ways out, and each without the other.

mod with_python {
    use std::collections::BTreeMap;
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    use std::time::{Duration, Instant};

    use meterline::config::{
        HistogramAggregation, ListenAddr, OtlpProtocol, TelemetryConfig, Temporality,
    };
    use meterline::sdk::PushError;
    use meterline::{FlushError, Telemetry};
    use opentelemetry::KeyValue;
    use serde_json::{Value, json};
    use xtask::{OtlpReceiver, Received};

    const ENOUGH: Duration = Duration::from_secs(60);

    fn telemetry(receiver: &OtlpReceiver, change: impl FnOnce(&mut TelemetryConfig)) -> Telemetry {
        let mut config = TelemetryConfig {
            service_name: "shop".into(),
            ..TelemetryConfig::default()
        };
        config.otlp.endpoint = Some(format!("http://127.0.0.1:{}", receiver.http()));
        // Only when it is asked to.
        config.otlp.interval = Duration::from_secs(100_000);
        config.metrics.listen = Some("127.0.0.1:0".parse::<ListenAddr>().expect("an address"));
        config.metrics.scope_labels = false;
        config.metrics.process = false;
        config.metrics.tokio = false;
        change(&mut config);
        let builder = Telemetry::builder().config(config).global(false);
        builder.build().expect("this configuration works")
    }

    async fn page(addr: SocketAddr) -> String {
        let response = reqwest::get(format!("http://{addr}/metrics")).await;
        let response = response.expect("it answers");
        response.text().await.expect("all of it")
    }

    /// The samples of a page that begin so, by their text before the value.
    fn samples(page: &str, begin: &str) -> BTreeMap<String, f64> {
        let lines = page.lines().filter(|line| line.starts_with(begin));
        let samples = lines.filter_map(|line| line.rsplit_once(' '));
        let samples = samples.map(|(series, value)| (series.to_owned(), value.parse()));
        samples
            .map(|(series, value)| (series, value.expect("a number")))
            .collect()
    }

    /// The points received, as the page would show them.
    fn shown(received: &Received) -> BTreeMap<String, f64> {
        let mut all = BTreeMap::new();
        for point in received.points() {
            let name = point["name"].as_str().expect("a name");
            let Some(id) = point["attributes"]["id"].as_i64() else {
                continue;
            };
            let labels = format!("{{id=\"{id}\"}}");
            let mut add = |name: String, value: f64| *all.entry(name).or_insert(0.0) += value;
            let float = |value: &Value| value.as_f64().expect("a number");
            if point["kind"] == "sum" {
                add(format!("{name}_total{labels}"), float(&point["value"]));
                continue;
            }
            let mut count = 0.0;
            let bounds = point["bounds"].as_array().expect("bounds").iter();
            let bounds = bounds.map(|bound| float(bound).to_string());
            let counts = point["counts"].as_array().expect("counts").iter();
            for (le, bucket) in bounds.chain(["+Inf".to_owned()]).zip(counts) {
                count += float(bucket);
                add(
                    format!("{name}_seconds_bucket{{id=\"{id}\",le=\"{le}\"}}"),
                    count,
                );
            }
            add(
                format!("{name}_seconds_count{labels}"),
                float(&point["count"]),
            );
            add(format!("{name}_seconds_sum{labels}"), float(&point["sum"]));
        }
        all
    }

    fn record(telemetry: &Telemetry, rounds: u64) {
        let meter = telemetry.meter("shop");
        let orders = meter.u64_counter("shop_orders").build();
        let took = meter.f64_histogram("shop_took").with_unit("s").build();
        for round in 0..rounds {
            let id = [KeyValue::new(
                "id",
                i64::try_from(round % 7).expect("small"),
            )];
            orders.add(round, &id);
            // Sums of quarters are exact in whatever order they are added.
            took.record(0.25 * (round % 100) as f64, &id);
        }
    }

    const PROTOCOLS: [OtlpProtocol; 2] = [OtlpProtocol::HttpProtobuf, OtlpProtocol::Grpc];

    fn push_by(config: &mut TelemetryConfig, protocol: OtlpProtocol, receiver: &OtlpReceiver) {
        let port = match protocol {
            OtlpProtocol::Grpc => receiver.grpc(),
            OtlpProtocol::HttpProtobuf => receiver.http(),
        };
        config.otlp.endpoint = Some(format!("http://127.0.0.1:{port}"));
        config.otlp.protocol = protocol;
    }

    /// What all exports come to: the last one if values are cumulative, or else their sum.
    fn total(temporality: Temporality, mut received: Received) -> BTreeMap<String, f64> {
        if temporality == Temporality::Cumulative {
            received.exports.drain(..received.exports.len() - 1);
        }
        shown(&received)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_pushed_is_what_is_scraped() {
        let mut receiver = OtlpReceiver::start();
        for (protocol, temporality) in PROTOCOLS.into_iter().flat_map(|protocol| {
            let all = [
                Temporality::Cumulative,
                Temporality::Delta,
                Temporality::LowMemory,
            ];
            all.map(|temporality| (protocol, temporality))
        }) {
            let telemetry = telemetry(&receiver, |config| {
                push_by(config, protocol, &receiver);
                config.otlp.temporality = temporality;
            });
            record(&telemetry, 5_000);
            telemetry.force_flush().await.expect("it is there");
            record(&telemetry, 2_000);
            telemetry.force_flush().await.expect("it is there");
            let page = page(telemetry.listen_addr().expect("it listens")).await;
            let scraped = samples(&page, "shop_");
            assert_eq!(scraped.len(), 7 * (1 + 16 + 2), "{page}");
            let received = receiver.take();
            assert_eq!(received.exports.len(), 2);
            assert_eq!(
                total(temporality, received),
                scraped,
                "{protocol:?}, {temporality:?}"
            );
            let exports = samples(&page, "meterline_otlp_exports_total{outcome=\"success\"}");
            assert_eq!(exports.into_values().collect::<Vec<_>>(), [2.0]);
            telemetry.shutdown().await.expect("it is there");
            receiver.take();
        }
    }

    /// How long both paths are under load, each way: longer in `cargo xtask chaos`.
    fn load() -> Duration {
        let seconds = std::env::var("METERLINE_LOAD_SECONDS").ok();
        let seconds = seconds.map_or(2, |given| given.parse().expect("a number of seconds"));
        Duration::from_secs(seconds)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn under_load_both_ways_out_end_with_equal_totals() {
        for (protocol, temporality) in PROTOCOLS
            .into_iter()
            .zip([Temporality::Delta, Temporality::Cumulative])
        {
            let mut receiver = OtlpReceiver::start();
            let telemetry = Arc::new(telemetry(&receiver, |config| {
                push_by(config, protocol, &receiver);
                config.otlp.temporality = temporality;
                config.otlp.interval = load() / 40;
            }));
            let addr = telemetry.listen_addr().expect("it listens");
            let stop = Arc::new(AtomicBool::new(false));
            let recorders: Vec<_> = (0..2)
                .map(|_| {
                    let (telemetry, stop) = (Arc::clone(&telemetry), Arc::clone(&stop));
                    std::thread::spawn(move || {
                        while !stop.load(SeqCst) {
                            record(&telemetry, 1_000);
                        }
                    })
                })
                .collect();
            let until = Instant::now() + load();
            while Instant::now() < until {
                page(addr).await;
            }
            stop.store(true, SeqCst);
            for recorder in recorders {
                recorder.join().expect("it only records");
            }
            telemetry.force_flush().await.expect("it is there");
            let scraped = samples(&page(addr).await, "shop_");
            let received = receiver.take();
            let exports = received.exports.len();
            assert!(exports > 3, "{exports} exports");
            assert_eq!(total(temporality, received), scraped, "{protocol:?}");
            telemetry.shutdown().await.expect("it is there");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn without_scrape_endpoints_it_is_pushed_all_the_same() {
        let mut receiver = OtlpReceiver::start();
        let telemetry = telemetry(&receiver, |config| {
            config.metrics.enabled = Some(false);
            config.otlp.endpoint = Some(format!("http://127.0.0.1:{}", receiver.grpc()));
            config.otlp.protocol = OtlpProtocol::Grpc;
            config.otlp.histogram_aggregation =
                HistogramAggregation::Base2ExponentialBucketHistogram;
        });
        assert!(telemetry.is_enabled());
        assert_eq!(telemetry.listen_addr(), None, "nothing listens");
        record(&telemetry, 100);
        telemetry.shutdown().await.expect("it is there");
        let received = receiver.take();
        let kinds: Vec<_> = received
            .of("shop_took")
            .map(|point| &point["kind"])
            .collect();
        assert_eq!(kinds, [&json!("exponential_histogram"); 7]);
        let export = &received.exports[0];
        assert_eq!(export["transport"], "grpc");
        let resource = &export["resources"][0];
        assert_eq!(resource["service.name"], "shop");
        let instance = resource["service.instance.id"]
            .as_str()
            .expect("there is one");
        let instance: uuid::Uuid = instance.parse().expect("it is a UUID");
        assert_eq!(instance.get_version_num(), 4);
        assert_eq!(telemetry.force_flush().await, Err(FlushError::Ended));
        telemetry
            .shutdown()
            .await
            .expect("there is nothing left to do");
    }

    /// Also on a thread that runs tasks, and without [`Telemetry`]'s own methods.
    #[tokio::test]
    async fn the_provider_flushes_and_shuts_down_what_pushes() {
        let mut receiver = OtlpReceiver::start();
        let telemetry = telemetry(&receiver, |_| {});
        let provider = telemetry.provider().expect("it records");
        record(&telemetry, 100);
        assert_eq!(provider.force_flush(ENOUGH), Ok(()));
        let flushed = shown(&receiver.take());
        assert!(!flushed.is_empty());
        record(&telemetry, 100);
        assert_eq!(provider.shutdown(ENOUGH), Ok(()));
        let last = shown(&receiver.take());
        assert!(
            last.keys().eq(flushed.keys()) && last != flushed,
            "{last:?}"
        );
        assert_eq!(provider.shutdown(ENOUGH), Err(PushError::ShutDown));
        assert_eq!(telemetry.force_flush().await, Err(FlushError::Ended));
        telemetry.shutdown().await.expect("nothing is left to do");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_recorded_at_the_very_end_is_in_the_last_push_and_the_last_scrape() {
        let mut receiver = OtlpReceiver::start();
        receiver.behave(
            &[json!({"how": "delay", "seconds": 3})],
            json!({"how": "accept"}),
        );
        let telemetry = Arc::new(telemetry(&receiver, |_| {}));
        let addr = telemetry.listen_addr().expect("it listens");
        record(&telemetry, 100);
        let ending = Arc::clone(&telemetry);
        let ending = tokio::spawn(async move { ending.shutdown().await });
        // The scrape endpoint answers while the last push is under way.
        let last = loop {
            let page = page(addr).await;
            if receiver.take().requests > 0 {
                break samples(&page, "shop_");
            }
            assert!(!ending.is_finished(), "it waits for its answer");
        };
        ending.await.expect("no panic").expect("it is there");
        assert_eq!(shown(&receiver.take()), last);
        let gone = reqwest::get(format!("http://{addr}/metrics")).await;
        assert!(gone.is_err(), "the endpoint ends last, but it ends");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_outage_is_counted_and_recording_goes_on() {
        let receiver = OtlpReceiver::start();
        let telemetry = telemetry(&receiver, |config| {
            config.otlp.export_timeout = Duration::from_millis(200);
        });
        drop(receiver);
        record(&telemetry, 100);
        assert!(telemetry.force_flush().await.is_err());
        let page = page(telemetry.listen_addr().expect("it listens")).await;
        let failed = samples(&page, "meterline_otlp_exports_total{outcome=\"failure\"}");
        assert_eq!(failed.into_values().collect::<Vec<_>>(), [1.0]);
        assert_eq!(samples(&page, "shop_orders_total").len(), 7);
        let began = Instant::now();
        telemetry.shutdown().await.expect_err("nobody is there");
        assert!(began.elapsed() < ENOUGH);
    }
}
