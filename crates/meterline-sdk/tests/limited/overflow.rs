//! One case for each thing that an overflow series promises.

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use meterline_sdk::{
    Data, ExponentialOptions, MeterProvider, Metric, Number, ReaderOptions, Snapshot,
    TemporalityPreference, View, ViewAggregation,
};
use opentelemetry::metrics::MeterProvider as _;

use super::{id, limited, metric};

/// The overflow point of this instrument: when its series began, and what it counts.
fn overflow(snapshot: &Snapshot, name: &str) -> Option<(SystemTime, Data)> {
    let metric = metric(snapshot, name)?;
    let at = position(metric)?;
    let one = |values: &Vec<Number>| vec![values[at]];
    let data = match &metric.data {
        Data::Sum { monotonic, values } => Data::Sum {
            monotonic: *monotonic,
            values: one(values),
        },
        Data::Gauge(values) => Data::Gauge(one(values)),
        other => panic!("{other:?}"),
    };
    Some((metric.series[at].start(), data))
}

fn position(metric: &Metric) -> Option<usize> {
    metric.series.iter().position(|series| {
        let first = series.attributes().first();
        first.is_some_and(|first| first.key.as_str() == "otel.metric.overflow")
    })
}

fn counted(monotonic: bool, value: Number) -> Data {
    let values = vec![value];
    Data::Sum { monotonic, values }
}

#[test]
fn a_limit_that_is_no_smaller_than_the_providers_changes_nothing() {
    for temporality in [
        TemporalityPreference::Cumulative,
        TemporalityPreference::Delta,
    ] {
        let provider = MeterProvider::builder().with_cardinality_limit(2).build();
        let mut options = ReaderOptions::default();
        options.temporality = temporality;
        let all = provider.reader(options);
        let two = limited(&provider, 2, temporality);
        let counter = provider.meter("test").u64_counter("c").build();
        for round in 0..6u8 {
            (0..4).for_each(|n| counter.add(1, &id(round + n)));
            counter.add(1, &[]);
            let (all, two) = (all.collect(), two.collect());
            let [all, two] = [&all, &two].map(|all| metric(all, "c").expect("it has series"));
            assert_eq!(two.data, all.data, "{round}");
            assert!(Arc::ptr_eq(&two.series[0], &all.series[0]));
            assert_eq!(two.series.len(), all.series.len());
            // Its place goes to another one before the next collection.
            provider.remove("test", "c", &id(round));
        }
    }
}

#[test]
fn an_overflow_of_observations_that_goes_down_begins_anew() {
    let provider = MeterProvider::default();
    let reader = limited(&provider, 1, TemporalityPreference::Cumulative);
    let said = Arc::new(Mutex::new(vec![(1, 1), (2, 20), (3, 300)]));
    let _observed = provider
        .meter("test")
        .u64_observable_counter("o")
        .with_callback({
            let said = Arc::clone(&said);
            move |observer| {
                let said = said.lock().expect("nobody panics");
                said.iter()
                    .for_each(|(n, value)| observer.observe(*value, &id(*n)));
            }
        })
        .build();
    let say = |now: &[(u8, u64)]| {
        *said.lock().expect("nobody panics") = now.to_vec();
        overflow(&reader.collect(), "o")
    };
    let total = |value| counted(true, Number::U64(value));
    let (start, all) = overflow(&reader.collect(), "o").expect("two are folded");
    assert_eq!(all, total(320));
    let before = SystemTime::now();
    let grown = say(&[(1, 1), (2, 21), (3, 300)]);
    assert_eq!(grown, Some((start, total(321))));
    let (anew, less) = say(&[(1, 1), (2, 21)]).expect("one is folded");
    assert_eq!(less, total(21));
    assert!(anew > start && anew >= before, "as one that came back");
    assert_eq!(say(&[(1, 1)]), None);
    let (again, less) = say(&[(1, 1), (3, 301)]).expect("one is folded");
    assert_eq!(less, total(301));
    assert!(again > anew);
}

#[test]
fn an_overflow_that_comes_back_has_a_newer_start() {
    let provider = MeterProvider::default();
    let reader = limited(&provider, 1, TemporalityPreference::Cumulative);
    let level = provider.meter("test").i64_up_down_counter("l").build();
    (1..=3).for_each(|n| level.add(n.into(), &id(n)));
    let (start, five) = overflow(&reader.collect(), "l").expect("two are folded");
    assert_eq!(five, counted(false, Number::I64(5)));
    (2..=3).for_each(|n| assert!(provider.remove("test", "l", &id(n))));
    assert_eq!(overflow(&reader.collect(), "l"), None);
    level.add(4, &id(4));
    let (again, four) = overflow(&reader.collect(), "l").expect("one is folded");
    assert_eq!(four, counted(false, Number::I64(4)));
    assert!(again > start);
}

#[test]
fn extremes_that_are_not_known_of_all_are_not_told() {
    let provider = MeterProvider::default();
    let deltas = limited(&provider, 0, TemporalityPreference::Delta);
    let all = limited(&provider, 0, TemporalityPreference::Cumulative);
    let histogram = provider.meter("test").f64_histogram("h").build();
    let extremes = |snapshot: &Snapshot| match &metric(snapshot, "h").expect("a point").data {
        Data::Histogram(points) => points.iter().map(|point| point.min_max).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let between = |low, high| vec![Some((Number::F64(low), Number::F64(high)))];
    histogram.record(1.0, &id(1));
    histogram.record(9.0, &id(2));
    assert_eq!(extremes(&deltas.collect()), between(1.0, 9.0));
    // Of the first two it is not known which values are new.
    histogram.record(100.0, &id(1));
    histogram.record(5.0, &id(3));
    assert_eq!(extremes(&deltas.collect()), [None]);
    assert_eq!(extremes(&all.collect()), between(1.0, 100.0));
    histogram.record(7.0, &id(4));
    assert_eq!(extremes(&deltas.collect()), between(7.0, 7.0));
}

#[test]
fn a_sum_of_floats_does_not_go_down_because_it_is_added_up_in_another_order() {
    let provider = MeterProvider::default();
    let reader = limited(&provider, 0, TemporalityPreference::Cumulative);
    let meter = provider.meter("test");
    let (histogram, counter) = (
        meter.f64_histogram("h").build(),
        meter.f64_counter("c").build(),
    );
    let sums = || {
        let snapshot = reader.collect();
        ["h", "c"].map(
            |name| match &metric(&snapshot, name).expect("a point").data {
                Data::Histogram(points) => points.iter().next().map(|point| point.sum.as_f64()),
                Data::Sum { values, .. } => values.first().map(|sum| sum.as_f64()),
                other => panic!("{other:?}"),
            },
        )
    };
    // Tenths have no exact sum.
    for n in 1..40u8 {
        histogram.record(f64::from(n) * 0.1, &id(n));
        counter.add(f64::from(n) * 0.1, &id(n));
    }
    let mut before = sums();
    for n in 1..40u8 {
        // From the last on, so that what ended is added up the other way round.
        for name in ["h", "c"] {
            assert!(provider.remove("test", name, &id(40 - n)));
        }
        let now = sums();
        assert!(now >= before, "{now:?} after {before:?}");
        before = now;
    }
}

#[test]
fn buckets_never_become_finer() {
    let options = ExponentialOptions {
        max_size: 400,
        ..ExponentialOptions::default()
    };
    let view = View::builder("h").aggregation(ViewAggregation::Exponential(options));
    let provider = MeterProvider::builder()
        .with_view(view.build().expect("a view"))
        .build();
    let reader = limited(&provider, 0, TemporalityPreference::Cumulative);
    let histogram = provider.meter("test").f64_histogram("h").build();
    let scale = || match &metric(&reader.collect(), "h").expect("a point").data {
        Data::ExponentialHistogram(points) => points.iter().next().map(|point| point.scale),
        other => panic!("{other:?}"),
    };
    // Each alone fits into few buckets, both together do not.
    for (n, low) in [(1u8, 1.0), (2, 1000.0)] {
        (0..2).for_each(|step| histogram.record(low * (1.0 + f64::from(step) * 0.01), &id(n)));
    }
    let mut last = scale();
    // One of them comes to fill all it may have.
    for step in 0..200 {
        histogram.record(1.0 + f64::from(step) * 0.05, &id(1));
        let now = scale();
        assert!(now <= last, "{now:?} after {last:?}");
        last = now;
    }
}
