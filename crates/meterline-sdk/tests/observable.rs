//! Instruments that are read when a collection asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use meterline_sdk::{Data, MeterProvider, Number};
use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider as _;

#[test]
fn a_panicking_callback_is_counted_and_the_others_go_on() {
    let provider = MeterProvider::default();
    let meter = provider.meter("test");
    meter
        .u64_observable_gauge("a")
        .with_callback(|_| panic!("expected by this test"))
        .build();
    meter
        .u64_observable_gauge("b")
        .with_callback(|to| to.observe(2, &[]))
        .build();
    for _ in 0..2 {
        let snapshot = provider.collect();
        assert_eq!(snapshot.metrics.len(), 1);
        assert_eq!(snapshot.metrics[0].data, Data::Gauge(vec![Number::U64(2)]));
    }
    assert_eq!(provider.stats().callback_panics, 2);
}

#[test]
fn each_callback_runs_once_per_collection_and_only_then() {
    let provider = MeterProvider::default();
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    provider
        .meter("test")
        .u64_observable_counter("calls")
        .with_callback(move |to| to.observe(counted.fetch_add(1, Relaxed) + 1, &[]))
        .build();
    assert_eq!(calls.load(Relaxed), 0);
    for expected in 1..=3 {
        let values = vec![Number::U64(expected)];
        assert_eq!(
            provider.collect().metrics[0].data,
            Data::Sum {
                monotonic: true,
                values
            }
        );
    }
    assert_eq!(calls.load(Relaxed), 3);
}

#[test]
fn a_series_that_is_no_longer_observed_goes_and_comes_back_with_a_newer_start() {
    let provider = MeterProvider::default();
    let there = Arc::new(AtomicBool::new(true));
    let observed = Arc::clone(&there);
    provider
        .meter("test")
        .u64_observable_counter("c")
        .with_callback(move |to| {
            to.observe(1, &[KeyValue::new("disk", "a")]);
            if observed.load(Relaxed) {
                to.observe(2, &[KeyValue::new("disk", "b")]);
            }
        })
        .build();
    let first = provider.collect();
    assert_eq!(first.metrics[0].series.len(), 2);
    assert!(Arc::ptr_eq(
        &first.metrics[0].series,
        &provider.collect().metrics[0].series
    ));

    there.store(false, Relaxed);
    assert_eq!(provider.collect().metrics[0].series.len(), 1);

    there.store(true, Relaxed);
    let back = provider.collect();
    assert_eq!(back.metrics[0].series.len(), 2);
    assert!(back.metrics[0].series[1].start() > first.metrics[0].series[1].start());
    assert_eq!(
        back.metrics[0].series[0].start(),
        first.metrics[0].series[0].start()
    );
}

#[test]
fn the_last_observation_of_a_series_counts() {
    let provider = MeterProvider::default();
    provider
        .meter("test")
        .f64_observable_gauge("g")
        .with_callback(|to| {
            to.observe(1.0, &[KeyValue::new("a", 1), KeyValue::new("b", 2)]);
            to.observe(2.5, &[KeyValue::new("b", 2), KeyValue::new("a", 1)]);
            to.observe(f64::NAN, &[]);
        })
        .build();
    assert_eq!(
        provider.collect().metrics[0].data,
        Data::Gauge(vec![Number::F64(2.5)])
    );
    assert_eq!(provider.stats().non_finite, 1);
}

#[test]
fn sums_beyond_the_limit_add_up_in_the_overflow_series() {
    let provider = MeterProvider::builder().with_cardinality_limit(2).build();
    provider
        .meter("test")
        .u64_observable_counter("c")
        .with_callback(|to| {
            (1..=5u32).for_each(|i| to.observe(i.into(), &[KeyValue::new("i", i64::from(i))]));
        })
        .build();
    for _ in 0..2 {
        let snapshot = provider.collect();
        let metric = &snapshot.metrics[0];
        let values = vec![Number::U64(1), Number::U64(2), Number::U64(3 + 4 + 5)];
        assert_eq!(
            metric.data,
            Data::Sum {
                monotonic: true,
                values
            }
        );
        let overflow = [KeyValue::new("otel.metric.overflow", true)];
        assert_eq!(**metric.series[2].attributes(), overflow);
    }
    assert_eq!(provider.stats().overflowed, 6);
}

#[test]
fn a_callback_may_create_instruments_and_record() {
    let provider = MeterProvider::default();
    let again = provider.clone();
    provider
        .meter("test")
        .u64_observable_gauge("g")
        .with_callback(move |to| {
            again
                .meter("inner")
                .u64_counter("made.inside")
                .build()
                .add(1, &[]);
            to.observe(1, &[]);
        })
        .build();
    let names = |provider: &MeterProvider| -> Vec<_> {
        provider
            .collect()
            .metrics
            .iter()
            .map(|m| m.descriptor.name.to_string())
            .collect()
    };
    assert_eq!(names(&provider), ["made.inside", "g"]);
}

#[test]
fn a_place_that_is_given_up_is_free_for_another() {
    let provider = MeterProvider::builder().with_cardinality_limit(2).build();
    let round = Arc::new(AtomicU64::new(0));
    let now = Arc::clone(&round);
    provider
        .meter("test")
        .u64_observable_gauge("g")
        .with_callback(move |to| {
            let disks: &[&'static str] = if now.load(Relaxed) == 0 {
                &["a", "b", "c"]
            } else {
                &["c", "a"]
            };
            disks
                .iter()
                .for_each(|disk| to.observe(1, &[KeyValue::new("disk", *disk)]));
            to.observe(7, &[]);
        })
        .build();
    let seen = |provider: &MeterProvider| -> Vec<String> {
        let snapshot = provider.collect();
        let attributes = snapshot.metrics[0]
            .series
            .iter()
            .map(|series| series.attributes());
        attributes
            .map(|a| a.first().map_or(String::new(), |a| a.value.to_string()))
            .collect()
    };
    assert_eq!(seen(&provider), ["", "a", "b", "true"]);
    round.store(1, Relaxed);
    assert_eq!(seen(&provider), ["", "a", "c"]);
}
