//! Exact totals while many threads record and others collect.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use meterline_sdk::{Data, MeterProvider, Number, Snapshot};
use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider as _;

const THREADS: u64 = 8;
const ROUNDS: u64 = 20_000;
const SERIES: u64 = 16;

fn attributes(series: u64) -> [KeyValue; 2] {
    [
        KeyValue::new("series", series.cast_signed()),
        KeyValue::new("constant", "x"),
    ]
}

/// All totals of the counter, and all counts and sums of the histogram.
fn totals(snapshot: &Snapshot) -> (u64, u64, f64) {
    let (mut counted, mut observed, mut sum) = (0, 0, 0.0);
    for metric in &snapshot.metrics {
        match &metric.data {
            Data::Sum { values, .. } => {
                for value in values {
                    let Number::U64(value) = value else {
                        panic!("{value:?}")
                    };
                    counted += value;
                }
            }
            Data::Histogram(histograms) => {
                for point in histograms.iter() {
                    observed += point.count();
                    sum += point.sum.as_f64();
                    if let Some((min, max)) = point.min_max {
                        assert!(min.as_f64() >= 0.0 && max.as_f64() < 4.0, "{point:?}");
                    }
                }
            }
            other => panic!("{other:?}"),
        }
    }
    (counted, observed, sum)
}

#[test]
fn totals_are_exact_and_never_go_down() {
    let provider = MeterProvider::default();
    let meter = provider.meter("test");
    let counter = meter.u64_counter("c").build();
    let histogram = meter
        .f64_histogram("h")
        .with_boundaries(vec![0.5, 1.5, 2.5])
        .build();
    let done = AtomicBool::new(false);

    thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut last = (0, 0);
                    let mut collections = 0;
                    while !done.load(Relaxed) || collections == 0 {
                        let (counted, observed, sum) = totals(&provider.collect());
                        assert!(counted >= last.0 && observed >= last.1, "a total went down");
                        assert!(sum >= 0.0);
                        last = (counted, observed);
                        collections += 1;
                    }
                })
            })
            .collect();
        let writers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (counter, histogram) = (&counter, &histogram);
                scope.spawn(move || {
                    // All write the first series, bound: that is the contended one.
                    let hot = counter.bind(&attributes(0));
                    for round in 0..ROUNDS {
                        counter.add(1, &attributes((thread + round) % SERIES));
                        hot.add(1);
                        histogram.record((round % 4) as f64, &attributes(round % SERIES));
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Relaxed);
        for reader in readers {
            reader.join().unwrap();
        }
    });

    let snapshot = provider.collect();
    let (counted, observed, sum) = totals(&snapshot);
    assert_eq!(counted, THREADS * ROUNDS * 2);
    assert_eq!(observed, THREADS * ROUNDS);
    // Multiples of 1 are exact in a float, in any order.
    assert_eq!(sum, (THREADS * ROUNDS / 4 * (1 + 2 + 3)) as f64);
    assert!(
        snapshot
            .metrics
            .iter()
            .all(|metric| metric.series.len() as u64 == SERIES)
    );
}

#[test]
fn creating_series_at_the_limit_from_many_threads_loses_nothing() {
    let provider = MeterProvider::builder().with_cardinality_limit(100).build();
    let counter = provider.meter("test").u64_counter("c").build();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..1000).for_each(|series| counter.add(1, &attributes(series))));
        }
    });
    let snapshot = provider.collect();
    assert_eq!(snapshot.metrics[0].series.len(), 101);
    assert_eq!(totals(&snapshot).0, THREADS * 1000);
    assert_eq!(provider.stats().overflowed, THREADS * 900);
}
