//! What only code says of a pipeline: views, and the limits of callbacks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use meterline::Telemetry;
use meterline::config::{TelemetryConfig, ViewConfig};
use meterline_sdk::{Data, ReaderOptions, Snapshot, View};

fn names(snapshot: &Snapshot) -> Vec<&str> {
    let all = snapshot.metrics.iter().filter(|m| m.scope.name() == "shop");
    all.map(|metric| &*metric.descriptor.name).collect()
}

#[test]
fn views_from_code_come_beside_those_of_the_configuration() {
    let mut config = TelemetryConfig::default();
    config.metrics.views = vec![ViewConfig {
        instrument: "internal".to_owned(),
        drop: true,
        ..ViewConfig::default()
    }];
    let bounds = View::builder("took")
        .buckets([1.0, 2.0])
        .rename("took.coarse");
    let telemetry = Telemetry::builder()
        .config(config)
        .view(bounds.build().expect("it can be"))
        .global(false)
        .build()
        .expect("this configuration works");
    let meter = telemetry.meter("shop");
    meter.u64_counter("internal").build().add(1, &[]);
    meter.u64_counter("orders").build().add(1, &[]);
    meter.f64_histogram("took").build().record(1.5, &[]);
    let snapshot = telemetry.provider().expect("it records").collect();
    assert_eq!(names(&snapshot), ["orders", "took.coarse"]);
    let took = snapshot
        .metrics
        .iter()
        .find(|m| m.descriptor.name == "took.coarse");
    let Some(Data::Histogram(took)) = took.map(|metric| &metric.data) else {
        panic!("{took:?}")
    };
    assert_eq!(**took.bounds(), [1.0, 2.0]);
    assert_eq!(
        took.iter().next().map(|point| point.counts),
        Some(&[0, 1, 0][..])
    );
}

#[test]
fn callbacks_are_shared_and_given_up_as_code_says() {
    let telemetry = Telemetry::builder()
        .callback_window(Duration::from_secs(3_600))
        .callback_deadline(Duration::from_millis(50))
        .global(false)
        .build()
        .expect("this configuration works");
    let meter = telemetry.meter("shop");
    let calls = Arc::new(AtomicU64::new(0));
    let called = Arc::clone(&calls);
    let _asked = meter
        .u64_observable_counter("asked")
        .with_callback(move |out| out.observe(called.fetch_add(1, SeqCst) + 1, &[]))
        .build();
    let _blocked = meter
        .u64_observable_gauge("blocked")
        .with_callback(|_| std::thread::sleep(Duration::from_secs(3_600)))
        .build();
    let provider = telemetry.provider().expect("it records");
    let reader = provider.reader(ReaderOptions::default());
    for snapshot in [provider.collect(), reader.collect()] {
        assert_eq!(names(&snapshot), ["asked"]);
    }
    assert_eq!(calls.load(SeqCst), 1, "the second reader is told the same");
}
