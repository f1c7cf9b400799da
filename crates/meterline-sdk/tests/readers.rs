//! Readers of one store, each with its own temporality.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

use meterline_sdk::{
    Data, MeterProvider, Metric, Number, Reader, ReaderOptions, Snapshot, Temporality,
    TemporalityPreference,
};
use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider as _;

fn reader(provider: &MeterProvider, temporality: TemporalityPreference) -> Reader {
    let mut options = ReaderOptions::default();
    options.temporality = temporality;
    provider.reader(options)
}

fn metric<'a>(snapshot: &'a Snapshot, name: &str) -> Option<&'a Metric> {
    let mut metrics = snapshot.metrics.iter();
    metrics.find(|metric| metric.descriptor.name == name)
}

/// The values of a sum or gauge, with the first attribute of their series.
fn values(snapshot: &Snapshot, name: &str) -> Vec<(String, Number)> {
    let Some(metric) = metric(snapshot, name) else {
        return Vec::new();
    };
    let (Data::Sum { values, .. } | Data::Gauge(values)) = &metric.data else {
        panic!("{metric:?}")
    };
    assert_eq!(values.len(), metric.series.len());
    let first = |series: &Arc<meterline_sdk::Series>| {
        let first = series.attributes().first();
        first.map_or(String::new(), |first| first.value.to_string())
    };
    metric
        .series
        .iter()
        .map(first)
        .zip(values.iter().copied())
        .collect()
}

fn named(values: &[(&str, u64)]) -> Vec<(String, Number)> {
    let owned = |(name, value): &(&str, u64)| ((*name).to_owned(), Number::U64(*value));
    values.iter().map(owned).collect()
}

fn disk(name: &'static str) -> [KeyValue; 1] {
    [KeyValue::new("disk", name)]
}

#[test]
fn readers_that_interleave_miss_nothing_and_see_nothing_twice() {
    let provider = MeterProvider::default();
    let counter = provider.meter("test").u64_counter("c").build();
    let (one, two) = (
        reader(&provider, TemporalityPreference::Delta),
        reader(&provider, TemporalityPreference::Delta),
    );
    let cumulative = reader(&provider, TemporalityPreference::Cumulative);
    counter.add(1, &disk("b"));
    assert_eq!(values(&one.collect(), "c"), named(&[("b", 1)]));
    counter.add(2, &disk("a"));
    counter.add(4, &disk("b"));
    assert_eq!(values(&two.collect(), "c"), named(&[("a", 2), ("b", 5)]));
    assert_eq!(values(&one.collect(), "c"), named(&[("a", 2), ("b", 4)]));
    counter.add(8, &disk("c"));
    counter.add(16, &disk("b"));
    assert_eq!(values(&one.collect(), "c"), named(&[("b", 16), ("c", 8)]));
    assert_eq!(values(&two.collect(), "c"), named(&[("b", 16), ("c", 8)]));
    assert!(one.collect().metrics.is_empty(), "nothing came");
    let all = named(&[("a", 2), ("b", 21), ("c", 8)]);
    assert_eq!(values(&cumulative.collect(), "c"), all);
    assert_eq!(values(&provider.collect(), "c"), all);
}

#[test]
fn a_delta_counts_from_the_collection_before_or_from_the_start_of_its_series() {
    let provider = MeterProvider::default();
    let counter = provider.meter("test").u64_counter("c").build();
    let reader = reader(&provider, TemporalityPreference::Delta);
    counter.add(1, &disk("a"));
    let first = reader.collect();
    let a = &first.metrics[0].series[0];
    assert_eq!(first.metrics[0].start(a), a.start());
    let between = SystemTime::now();
    counter.add(1, &disk("a"));
    counter.add(1, &disk("b"));
    let second = reader.collect();
    let metric = &second.metrics[0];
    assert_eq!(metric.temporality, Temporality::Delta { since: first.time });
    assert_eq!(metric.start(&metric.series[0]), first.time);
    assert!(metric.start(&metric.series[1]) >= between);
}

#[test]
fn each_preference_chooses_by_kind_as_specified() {
    let provider = MeterProvider::default();
    let meter = provider.meter("test");
    let counter = meter.u64_counter("counter").build();
    let up_down = meter.i64_up_down_counter("up_down").build();
    let gauge = meter.u64_gauge("gauge").build();
    let histogram = meter.u64_histogram("histogram").build();
    meter
        .u64_observable_counter("observed.counter")
        .with_callback(|to| to.observe(7, &[]))
        .build();
    meter
        .i64_observable_up_down_counter("observed.up_down")
        .with_callback(|to| to.observe(7, &[]))
        .build();
    meter
        .u64_observable_gauge("observed.gauge")
        .with_callback(|to| to.observe(7, &[]))
        .build();
    let record = || {
        counter.add(1, &[]);
        up_down.add(1, &[]);
        gauge.record(1, &[]);
        histogram.record(1, &[]);
    };
    let deltas = |preference| {
        let reader = reader(&provider, preference);
        record();
        let _ = reader.collect();
        record();
        let snapshot = reader.collect();
        assert_eq!(snapshot.metrics.len(), 7, "{snapshot:?}");
        let is_delta = |m: &&Metric| m.temporality != Temporality::Cumulative;
        let deltas = snapshot.metrics.iter().filter(is_delta);
        deltas
            .map(|m| m.descriptor.name.to_string())
            .collect::<Vec<_>>()
    };
    let none: [&str; 0] = [];
    assert_eq!(deltas(TemporalityPreference::Cumulative), none);
    assert_eq!(
        deltas(TemporalityPreference::Delta),
        ["counter", "histogram", "observed.counter"]
    );
    assert_eq!(
        deltas(TemporalityPreference::LowMemory),
        ["counter", "histogram"]
    );
}

#[test]
fn the_delta_of_a_histogram_is_that_of_its_buckets() {
    let provider = MeterProvider::default();
    let histogram = provider
        .meter("test")
        .f64_histogram("h")
        .with_boundaries(vec![1.0, 2.0])
        .build();
    let reader = reader(&provider, TemporalityPreference::Delta);
    let point = || {
        let snapshot = reader.collect();
        let metric = snapshot.metrics.first()?;
        let Data::Histogram(histograms) = &metric.data else {
            panic!("{metric:?}")
        };
        let point = histograms.iter().next()?;
        Some((point.counts.to_vec(), point.sum, point.min_max))
    };
    histogram.record(0.5, &[]);
    histogram.record(8.0, &[]);
    let extremes = Some((Number::F64(0.5), Number::F64(8.0)));
    assert_eq!(point(), Some((vec![1, 0, 1], Number::F64(8.5), extremes)));
    assert_eq!(point(), None);
    histogram.record(1.5, &[]);
    histogram.record(4.0, &[]);
    assert_eq!(
        point(),
        Some((vec![0, 1, 1], Number::F64(5.5), None)),
        "extremes of all time are not this delta's"
    );
}

#[test]
fn the_delta_of_an_observed_total_is_what_it_grew_by() {
    let provider = MeterProvider::default();
    let total = Arc::new(AtomicU64::new(10));
    let observed = Arc::clone(&total);
    provider
        .meter("test")
        .u64_observable_counter("c")
        .with_callback(move |to| to.observe(observed.load(Relaxed), &disk("a")))
        .build();
    let reader = reader(&provider, TemporalityPreference::Delta);
    let next = || values(&reader.collect(), "c");
    assert_eq!(next(), named(&[("a", 10)]));
    total.store(25, Relaxed);
    assert_eq!(values(&provider.collect(), "c"), named(&[("a", 25)]));
    assert_eq!(next(), named(&[("a", 15)]));
    assert_eq!(next(), named(&[("a", 0)]), "observed, so it is reported");
}

#[test]
fn a_bound_series_is_known_at_zero_before_it_counts() {
    let provider = MeterProvider::default();
    let bound = provider
        .meter("test")
        .u64_counter("c")
        .build()
        .bind(&disk("a"));
    let reader = reader(&provider, TemporalityPreference::Delta);
    assert_eq!(values(&reader.collect(), "c"), named(&[("a", 0)]));
    assert!(reader.collect().metrics.is_empty());
    bound.add(3);
    assert_eq!(values(&reader.collect(), "c"), named(&[("a", 3)]));
}

#[test]
fn an_observed_total_that_is_less_than_before_began_anew() {
    let provider = MeterProvider::builder().with_cardinality_limit(1).build();
    let reader = reader(&provider, TemporalityPreference::Delta);
    let total = Arc::new(AtomicU64::new(500));
    let told = Arc::clone(&total);
    provider
        .meter("test")
        .u64_observable_counter("c")
        .with_callback(move |to| {
            to.observe(told.load(Relaxed), &disk("a"));
            to.observe(told.load(Relaxed) + 7, &disk("b"));
        })
        .build();
    let (placed, overflow) = ("a", "true");
    for (now, delta) in [
        (500, [(placed, 500), (overflow, 507)]),
        (200, [(placed, 200), (overflow, 207)]),
        (250, [(placed, 50), (overflow, 50)]),
    ] {
        total.store(now, Relaxed);
        assert_eq!(values(&reader.collect(), "c"), named(&delta));
    }
}
