//! One case for each thing that an overflow series promises.

use std::sync::Arc;

use meterline_sdk::{Data, MeterProvider, Number, ReaderOptions, Snapshot, TemporalityPreference};
use opentelemetry::metrics::MeterProvider as _;

use super::{id, limited, metric};

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
