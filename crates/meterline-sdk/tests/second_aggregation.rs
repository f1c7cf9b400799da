//! Readers that see the same histograms in different buckets.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use meterline_sdk::{
    Data, HistogramPreference, MeterProvider, Number, Reader, ReaderOptions, Snapshot,
    TemporalityPreference, View,
};
use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider as _;

fn exponential(provider: &MeterProvider, temporality: TemporalityPreference) -> Reader {
    let mut options = ReaderOptions::default();
    options.histograms = HistogramPreference::Exponential;
    options.temporality = temporality;
    provider.reader(options)
}

/// The counts of a metric's points, and the kind of its data.
fn counts(snapshot: &Snapshot, name: &str) -> (&'static str, Vec<u64>) {
    let found = snapshot
        .metrics
        .iter()
        .find(|metric| metric.descriptor.name == name);
    match found.map(|metric| &metric.data) {
        Some(Data::Histogram(points)) => ("explicit", points.iter().map(|p| p.count()).collect()),
        Some(Data::ExponentialHistogram(points)) => {
            ("exponential", points.iter().map(|p| p.count()).collect())
        }
        Some(Data::Both(..)) => ("both", Vec::new()),
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn each_reader_sees_the_buckets_it_prefers() {
    let view = View::builder("viewed")
        .buckets([1.0])
        .build()
        .expect("a view that can be");
    let provider = MeterProvider::builder().with_view(view).build();
    let reader = exponential(&provider, TemporalityPreference::Cumulative);
    let deltas = exponential(&provider, TemporalityPreference::Delta);
    let meter = provider.meter("test");
    let (free, viewed) = (
        meter.f64_histogram("free").build(),
        meter.f64_histogram("viewed").build(),
    );
    let attributes = [KeyValue::new("a", 1)];
    for round in 1..=3 {
        for value in [0.5, 2.0] {
            free.record(value, &[]);
            free.record(value, &attributes);
            viewed.record(value, &[]);
        }
        let all = vec![2 * round, 2 * round];
        assert_eq!(
            counts(&provider.collect(), "free"),
            ("explicit", all.clone())
        );
        assert_eq!(counts(&reader.collect(), "free"), ("exponential", all));
        assert_eq!(
            counts(&deltas.collect(), "free"),
            ("exponential", vec![2, 2])
        );
        assert_eq!(
            counts(&reader.collect(), "viewed"),
            ("explicit", vec![2 * round])
        );
    }
}

#[test]
fn one_that_comes_later_counts_from_then_on() {
    let provider = MeterProvider::default();
    let histogram = provider.meter("test").u64_histogram("h").build();
    let attributes = [KeyValue::new("a", 1)];
    let bound = histogram.bind(&attributes);
    histogram.record(1, &[]);
    bound.record(1);
    let _ = provider.collect();
    histogram.record(1, &[KeyValue::new("b", 1)]);

    let reader = exponential(&provider, TemporalityPreference::Cumulative);
    histogram.record(1, &[]);
    bound.record(1);
    bound.record(1);
    histogram.record(1, &[KeyValue::new("c", 1)]);
    assert_eq!(
        counts(&provider.collect(), "h"),
        ("explicit", vec![2, 3, 1, 1])
    );
    assert_eq!(
        counts(&reader.collect(), "h"),
        ("exponential", vec![1, 2, 0, 1])
    );
}

#[test]
fn a_removed_series_is_in_the_delta_of_either_kind() {
    let provider = MeterProvider::default();
    let deltas = exponential(&provider, TemporalityPreference::Delta);
    let histogram = provider.meter("test").u64_histogram("h").build();
    histogram.record(1, &[]);
    assert!(provider.remove("test", "h", &[]));
    assert_eq!(counts(&deltas.collect(), "h"), ("exponential", vec![1]));
    histogram.record(1, &[]);
    assert_eq!(counts(&deltas.collect(), "h"), ("exponential", vec![1]));
}

#[test]
fn asking_while_others_record_and_read_keeps_points_and_series_together() {
    const SERIES: i64 = 200;
    for _ in 0..20 {
        let provider = MeterProvider::default();
        let histogram = provider.meter("test").u64_histogram("h").build();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                for series in 0..SERIES {
                    histogram.record(1, &[KeyValue::new("series", series)]);
                }
                histogram.record(1, &[]);
                done.store(true, Relaxed);
            });
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    for metric in &provider.collect().metrics {
                        assert_eq!(metric.data.len(), metric.series.len());
                    }
                }
            });
            let reader = exponential(&provider, TemporalityPreference::Cumulative);
            while !done.load(Relaxed) {
                for metric in &reader.collect().metrics {
                    assert_eq!(metric.data.len(), metric.series.len());
                }
            }
            let snapshot = reader.collect();
            assert_eq!(snapshot.metrics[0].data.len(), SERIES as usize + 1);
        });
    }
}

/// What all points of the histogram hold: how many values, and their sum.
fn total(snapshot: &Snapshot) -> (u64, u64) {
    let mut total = (0, 0);
    let mut add = |count: u64, sum: Number| match sum {
        Number::U64(sum) => total = (total.0 + count, total.1 + sum),
        other => panic!("{other:?}"),
    };
    for metric in &snapshot.metrics {
        match &metric.data {
            Data::Histogram(points) => points.iter().for_each(|p| add(p.count(), p.sum)),
            Data::ExponentialHistogram(points) => points.iter().for_each(|p| add(p.count(), p.sum)),
            other => panic!("{other:?}"),
        }
    }
    total
}

#[test]
fn deltas_of_either_kind_add_up_to_all_that_was_recorded() {
    const THREADS: u64 = 4;
    const ROUNDS: u64 = 20_000;
    let view = View::builder("h").drop_attributes(["user"]).build();
    let provider = MeterProvider::builder()
        .with_view(view.expect("a view that can be"))
        .build();
    let mut explicit = ReaderOptions::default();
    explicit.temporality = TemporalityPreference::Delta;
    let readers = [
        provider.reader(explicit),
        exponential(&provider, TemporalityPreference::Delta),
    ];
    let histogram = provider.meter("test").u64_histogram("h").build();
    // Wider and wider, so that everybody rescales.
    let value = |thread: u64, round: u64| (thread + 1) << (round / (ROUNDS / 30));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let histogram = &histogram;
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        let user = KeyValue::new("user", (round % 7).cast_signed());
                        let route = KeyValue::new("route", (round % 3).cast_signed());
                        histogram.record(value(thread, round), &[user, route]);
                    }
                })
            })
            .collect();
        let totals = readers.each_ref().map(|reader| {
            let done = &done;
            scope.spawn(move || {
                let mut all = (0, 0);
                loop {
                    let last = done.load(Relaxed);
                    let (count, sum) = total(&reader.collect());
                    all = (all.0 + count, all.1 + sum);
                    if last {
                        return all;
                    }
                }
            })
        });
        for writer in writers {
            writer.join().expect("it records");
        }
        done.store(true, Relaxed);
        let each =
            (0..THREADS).flat_map(|thread| (0..ROUNDS).map(move |round| value(thread, round)));
        let expected = (THREADS * ROUNDS, each.sum());
        for all in totals {
            assert_eq!(all.join().expect("it reads"), expected);
        }
    });
    let all = provider.collect();
    assert_eq!(all.metrics[0].series.len(), 3, "one for each route");
}
