//! Which series have a place, and what those hold that have none.

use std::collections::BTreeMap;
use std::time::Duration;

use meterline_sdk::{
    Attributes, Data, HistogramPreference, MeterProvider, Number, ReaderOptions, Snapshot,
    TemporalityPreference, View,
};
use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider as _;

use super::{id, limited, metric};

const OVERFLOW: &str = "overflow";

/// A series by its id; the overflow series and that without attributes by their names.
fn named(attributes: &Attributes) -> String {
    match attributes.first() {
        None => "bare".to_owned(),
        Some(first) if first.key.as_str() == "otel.metric.overflow" => OVERFLOW.to_owned(),
        Some(first) => first.value.to_string(),
    }
}

/// What a point counts: of a histogram its values.
fn amounts(data: &Data) -> Vec<i64> {
    let whole = |number: &Number| number.as_f64() as i64;
    match data {
        Data::Sum { values, .. } | Data::Gauge(values) => values.iter().map(whole).collect(),
        Data::Histogram(histograms) => histograms
            .iter()
            .map(|point| point.count().cast_signed())
            .collect(),
        Data::ExponentialHistogram(histograms) => histograms
            .iter()
            .map(|point| point.count().cast_signed())
            .collect(),
        other => panic!("{other:?}"),
    }
}

fn shown(snapshot: &Snapshot, name: &str) -> BTreeMap<String, i64> {
    let Some(metric) = metric(snapshot, name) else {
        return BTreeMap::new();
    };
    assert_eq!(metric.series.len(), metric.data.len());
    assert!(
        metric
            .series
            .is_sorted_by(|a, b| a.attributes() < b.attributes())
    );
    let names = metric
        .series
        .iter()
        .map(|series| named(series.attributes()));
    names.zip(amounts(&metric.data)).collect()
}

fn expected(pairs: &[(&str, i64)]) -> BTreeMap<String, i64> {
    pairs
        .iter()
        .map(|(name, amount)| ((*name).to_owned(), *amount))
        .collect()
}

#[test]
fn a_reader_without_a_limit_sees_all_and_another_as_many_as_it_asked_for() {
    let provider = MeterProvider::default();
    let all = provider.reader(ReaderOptions::default());
    let two = limited(&provider, 2, TemporalityPreference::Cumulative);
    let counter = provider.meter("test").u64_counter("c").build();
    counter.add(100, &[]);
    (1..=2).for_each(|n| counter.add(n.into(), &id(n)));
    assert_eq!(
        shown(&two.collect(), "c"),
        expected(&[("bare", 100), ("1", 1), ("2", 2)])
    );
    (1..=5).for_each(|n| counter.add(n.into(), &id(n)));
    assert_eq!(
        shown(&two.collect(), "c"),
        expected(&[("bare", 100), ("1", 2), ("2", 4), (OVERFLOW, 12)])
    );
    assert_eq!(shown(&all.collect(), "c").len(), 6);
}

#[test]
fn a_place_is_kept_and_given_away_only_after_its_series_ended() {
    let provider = MeterProvider::default();
    let reader = limited(&provider, 1, TemporalityPreference::Cumulative);
    let counter = provider.meter("test").u64_counter("c").build();
    counter.add(5, &id(5));
    let _ = reader.collect();
    // In front of it, in order.
    counter.add(1, &id(1));
    assert_eq!(
        shown(&reader.collect(), "c"),
        expected(&[("5", 5), (OVERFLOW, 1)])
    );
    assert!(provider.remove("test", "c", &id(5)));
    counter.add(2, &id(2));
    assert_eq!(
        shown(&reader.collect(), "c"),
        expected(&[(OVERFLOW, 3)]),
        "it might come back"
    );
    counter.add(3, &id(3));
    assert_eq!(
        shown(&reader.collect(), "c"),
        expected(&[("3", 3), (OVERFLOW, 3)])
    );
}

#[test]
fn what_ended_beyond_the_limit_stays_in_the_total() {
    let provider = MeterProvider::builder()
        .with_series_ttl(Some(Duration::ZERO))
        .build();
    let reader = limited(&provider, 1, TemporalityPreference::Cumulative);
    let meter = provider.meter("test");
    let (counter, gauge) = (meter.u64_counter("c").build(), meter.u64_gauge("g").build());
    for n in 1..=3 {
        counter.add(n.into(), &id(n));
        gauge.record(n.into(), &id(n));
    }
    let first = reader.collect();
    assert_eq!(shown(&first, "c"), expected(&[("1", 1), (OVERFLOW, 5)]));
    assert_eq!(
        shown(&first, "g"),
        expected(&[("1", 1), (OVERFLOW, 3)]),
        "the last in order"
    );
    // What was recorded before a removal counts, whatever was seen of it.
    counter.add(10, &id(2));
    assert!(provider.remove("test", "c", &id(2)));
    let mut last = BTreeMap::new();
    for _ in 0..4 {
        last = shown(&reader.collect(), "c");
        assert_eq!(last[OVERFLOW], 15);
    }
    assert_eq!(last.len(), 1, "all expired: {last:?}");
    counter.add(4, &id(3));
    assert_eq!(
        shown(&reader.collect(), "c"),
        expected(&[("3", 4), (OVERFLOW, 15)])
    );
    assert_eq!(shown(&reader.collect(), "g"), expected(&[]));
}

#[test]
fn the_list_of_series_is_shared_until_one_comes_and_its_overflow_began_first() {
    let provider = MeterProvider::default();
    let reader = limited(&provider, 1, TemporalityPreference::Cumulative);
    let counter = provider.meter("test").u64_counter("c").build();
    (1..=3).for_each(|n| counter.add(1, &id(n)));
    let all = provider.collect();
    let second = metric(&all, "c").map(|metric| metric.series[1].start());
    let (one, two) = (reader.collect(), reader.collect());
    let [one, two] = [&one, &two].map(|snapshot| metric(snapshot, "c").expect("it has series"));
    assert!(std::sync::Arc::ptr_eq(&one.series, &two.series));
    let overflow = one
        .series
        .iter()
        .find(|series| named(series.attributes()) == OVERFLOW);
    assert_eq!(overflow.map(|series| series.start()), second);
}

#[test]
fn histograms_of_any_kind_and_observations_are_added_up() {
    for histograms in [
        HistogramPreference::Explicit,
        HistogramPreference::Exponential,
    ] {
        let provider = MeterProvider::default();
        let mut options = ReaderOptions::default();
        options.cardinality_limit = Some(1);
        options.histograms = histograms;
        let reader = provider.reader(options);
        let meter = provider.meter("test");
        let histogram = meter.f64_histogram("h").build();
        for (n, value) in [(1, 7.0), (2, 0.001), (3, 90_000.0), (3, -5.0)] {
            histogram.record(value, &id(n));
        }
        let _observed = meter
            .u64_observable_counter("o")
            .with_callback(|observer| (1..=4).for_each(|n| observer.observe(n.into(), &id(n))))
            .build();
        let snapshot = reader.collect();
        assert_eq!(shown(&snapshot, "h"), expected(&[("1", 1), (OVERFLOW, 3)]));
        assert_eq!(shown(&snapshot, "o"), expected(&[("1", 1), (OVERFLOW, 9)]));
        let found = metric(&snapshot, "h").expect("it has series");
        let at = found
            .series
            .iter()
            .position(|s| named(s.attributes()) == OVERFLOW);
        let (sum, min_max) = match (&found.data, at) {
            (Data::Histogram(points), Some(at)) => {
                points.iter().nth(at).map(|p| (p.sum, p.min_max))
            }
            (Data::ExponentialHistogram(points), Some(at)) => {
                points.iter().nth(at).map(|p| (p.sum, p.min_max))
            }
            other => panic!("{other:?}"),
        }
        .expect("it is there");
        assert_eq!(sum, Number::F64(0.001 + 90_000.0 - 5.0));
        assert_eq!(min_max, Some((Number::F64(-5.0), Number::F64(90_000.0))));
    }
}

#[test]
fn a_limit_that_a_view_sets_counts_for_all_readers() {
    let view = View::builder("c")
        .cardinality_limit(3)
        .build()
        .expect("a view");
    let provider = MeterProvider::builder().with_view(view).build();
    let reader = limited(&provider, 1, TemporalityPreference::Cumulative);
    let counter = provider.meter("test").u64_counter("c").build();
    (1..=5).for_each(|n| counter.add(1, &id(n)));
    assert_eq!(shown(&reader.collect(), "c").len(), 4);
}

#[test]
fn the_overflow_of_the_provider_is_in_that_of_the_reader_also_when_it_ends() {
    let provider = MeterProvider::builder().with_cardinality_limit(2).build();
    let reader = limited(&provider, 1, TemporalityPreference::Cumulative);
    let counter = provider.meter("test").u64_counter("c").build();
    (1..=4).for_each(|n| counter.add(n.into(), &id(n)));
    assert_eq!(
        shown(&reader.collect(), "c"),
        expected(&[("1", 1), (OVERFLOW, 9)])
    );
    let overflow = [KeyValue::new("otel.metric.overflow", true)];
    assert!(provider.remove("test", "c", &overflow));
    for _ in 0..2 {
        assert_eq!(
            shown(&reader.collect(), "c"),
            expected(&[("1", 1), (OVERFLOW, 9)])
        );
    }
}
