use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use meterline_sdk::{Data, MeterProvider, Number, Reader};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, MeterProvider as _};

use super::delta_reader;

const THREADS: u64 = 4;
const ROUNDS: u64 = 30_000;
const SERIES: u64 = 8;

/// What the deltas of one reader add up to: of the counter, and count and sum of the histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Totals {
    counted: u64,
    observed: u64,
    sum: u64,
}

impl Totals {
    fn add(&mut self, reader: &Reader) {
        for metric in reader.collect().metrics {
            match metric.data {
                Data::Sum { values, .. } => {
                    self.counted += values.into_iter().map(integer).sum::<u64>();
                }
                Data::Histogram(histograms) => {
                    for point in histograms.iter() {
                        self.observed += point.count();
                        self.sum = self.sum.wrapping_add(integer(point.sum));
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

fn integer(number: Number) -> u64 {
    let Number::U64(value) = number else {
        panic!("{number:?}")
    };
    value
}

fn attributes(series: u64) -> [KeyValue; 1] {
    [KeyValue::new("series", series.cast_signed())]
}

fn record(thread: u64, counter: &Counter<u64>, histogram: &Histogram<u64>) {
    let bound = counter.bind(&attributes(0));
    for round in 0..ROUNDS {
        // In bursts, so that series have time to expire.
        let series = 1 + (round / 64 + thread) % SERIES;
        counter.add(1, &attributes(series));
        histogram.record(2, &attributes(series));
        if round % 256 < 8 {
            bound.add(1);
            counter.add(0, &[]);
        }
    }
}

/// Threads record while two readers collect, series expire whenever nobody records for an instant,
/// and others remove and declare them. No recording is missed, and none is seen twice.
fn exact(limit: usize) {
    let provider = MeterProvider::builder()
        .with_series_ttl(Some(Duration::ZERO))
        .with_cardinality_limit(limit)
        .build();
    let meter = provider.meter("test");
    let counter = meter.u64_counter("c").build();
    let histogram = meter.u64_histogram("h").build();
    let readers = [delta_reader(&provider), delta_reader(&provider)];
    let done = AtomicBool::new(false);
    let totals = thread::scope(|scope| {
        let collecting = readers.each_ref().map(|reader| {
            let done = &done;
            scope.spawn(move || {
                let mut totals = Totals::default();
                while !done.load(Relaxed) {
                    totals.add(reader);
                }
                totals
            })
        });
        scope.spawn(|| {
            for round in (0..=SERIES).cycle() {
                if done.load(Relaxed) {
                    return;
                }
                provider.remove("test", "c", &attributes(round));
                provider.remove("test", "h", &attributes(round));
                provider.declare("test", "c", &attributes(SERIES - round));
                thread::yield_now();
            }
        });
        let recording: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn({
                    let (counter, histogram) = (&counter, &histogram);
                    move || record(thread, counter, histogram)
                })
            })
            .collect();
        recording
            .into_iter()
            .for_each(|thread| thread.join().expect("no thread panics"));
        done.store(true, Relaxed);
        collecting.map(|reader| reader.join().expect("no thread panics"))
    });

    let expected = Totals {
        counted: THREADS * (ROUNDS + bound_rounds()),
        observed: THREADS * ROUNDS,
        sum: THREADS * ROUNDS * 2,
    };
    for (mut totals, reader) in totals.into_iter().zip(&readers) {
        // What removals left for later, and what came back after them, takes two more.
        totals.add(reader);
        totals.add(reader);
        assert_eq!(totals, expected, "with a limit of {limit}");
    }
}

fn bound_rounds() -> u64 {
    (0..ROUNDS).filter(|round| round % 256 < 8).count() as u64
}

#[test]
fn every_recording_is_counted_once_whatever_ends_meanwhile() {
    exact(2000);
}

#[test]
fn every_recording_is_counted_once_at_the_limit_too() {
    exact(3);
}
