//! Reservoirs of exemplars that users bring along.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use meterline_sdk::{
    Exemplar, ExemplarFilter, ExemplarReservoir, Measurement, MeterProvider, Number, Snapshot,
    View, ViewBuilder,
};
use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider as _;

/// Keeps the largest measurements, two at most.
#[derive(Default)]
struct Largest(Vec<Exemplar>);

impl ExemplarReservoir for Largest {
    fn offer(&mut self, measurement: &Measurement<'_>) {
        self.0.push(measurement.exemplar());
        self.0
            .sort_by(|a, b| b.value.as_f64().total_cmp(&a.value.as_f64()));
        self.0.truncate(2);
    }

    fn collect(&mut self) -> Vec<Exemplar> {
        self.0.clone()
    }
}

fn provider(view: ViewBuilder) -> MeterProvider {
    MeterProvider::builder()
        .with_exemplars(ExemplarFilter::Always)
        .with_view(view.build().expect("a view that can be"))
        .build()
}

fn values(snapshot: &Snapshot, point: usize) -> Vec<f64> {
    let exemplars = snapshot.metrics[0].exemplars.of(point);
    exemplars.map(|exemplar| exemplar.value.as_f64()).collect()
}

#[test]
fn each_series_has_one_of_its_own_and_sees_all_that_was_given() {
    let view = View::builder("h")
        .keep_attributes(["kept"])
        .exemplar_reservoir(Largest::default);
    let provider = provider(view);
    let histogram = provider.meter("test").f64_histogram("h").build();
    for value in [3.0, 900.0, 1.0, 20.0, 2.0] {
        for kept in [1, 2] {
            let attributes = [KeyValue::new("kept", kept), KeyValue::new("user", value)];
            histogram.record(value * kept as f64, &attributes);
        }
    }
    let snapshot = provider.collect();
    assert_eq!(
        values(&snapshot, 0),
        [20.0, 900.0],
        "in the order of buckets"
    );
    assert_eq!(values(&snapshot, 1), [40.0, 1800.0]);
    let first = snapshot.metrics[0].exemplars.of(0).next();
    let left_out = first.map(|exemplar| exemplar.filtered_attributes.to_vec());
    assert_eq!(left_out, Some(vec![KeyValue::new("user", 20.0)]));
    assert_eq!(values(&provider.collect(), 0), [20.0, 900.0], "as it says");
}

#[test]
fn a_series_that_came_back_has_a_new_one_and_other_instruments_none() {
    let made = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&made);
    let view = View::builder("c").exemplar_reservoir(move || {
        counted.fetch_add(1, Relaxed);
        Largest::default()
    });
    let provider = provider(view);
    let meter = provider.meter("test");
    let counter = meter.u64_counter("c").build();
    counter.add(5, &[]);
    assert_eq!(values(&provider.collect(), 0), [5.0]);
    assert!(provider.remove("test", "c", &[]));
    counter.add(3, &[]);
    assert_eq!(values(&provider.collect(), 0), [3.0]);
    assert_eq!(made.load(Relaxed), 2);

    meter.u64_counter("d").build().add(1, &[]);
    drop(provider.collect());
    assert_eq!(made.load(Relaxed), 2, "the view does not select it");
}

/// Panics wherever it can.
struct Bad;

impl ExemplarReservoir for Bad {
    fn offer(&mut self, _: &Measurement<'_>) {
        panic!("on purpose")
    }

    fn collect(&mut self) -> Vec<Exemplar> {
        panic!("on purpose")
    }
}

#[test]
fn one_that_panics_disturbs_neither_recording_nor_collecting() {
    let bad = provider(View::builder("c").exemplar_reservoir(|| Bad));
    let worse =
        provider(View::builder("c").exemplar_reservoir(|| -> Largest { panic!("on purpose") }));
    for provider in [bad, worse] {
        let counter = provider.meter("test").u64_counter("c").build();
        counter.add(1, &[]);
        counter.add(2, &[]);
        let snapshot = provider.collect();
        assert_eq!(values(&snapshot, 0), []);
        let total = meterline_sdk::Data::Sum {
            monotonic: true,
            values: vec![Number::U64(3)],
        };
        assert_eq!(snapshot.metrics[0].data, total);
    }
}

/// Records into its own series.
struct Recursive(MeterProvider);

impl ExemplarReservoir for Recursive {
    fn offer(&mut self, _: &Measurement<'_>) {
        let counter = self.0.meter("test").u64_counter("c").build();
        counter.add(10, &[]);
    }

    fn collect(&mut self) -> Vec<Exemplar> {
        Vec::new()
    }
}

#[test]
fn one_that_records_and_many_threads_at_once_wait_for_nobody() {
    let inner = MeterProvider::default();
    let records = inner.clone();
    let view = View::builder("c").exemplar_reservoir(move || Recursive(records.clone()));
    let provider = provider(view);
    let counter = provider.meter("test").u64_counter("c").build();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..1000).for_each(|_| counter.add(1, &[])));
        }
    });
    let total = |provider: &MeterProvider| match &provider.collect().metrics[0].data {
        meterline_sdk::Data::Sum { values, .. } => values[0].as_f64(),
        other => panic!("{other:?}"),
    };
    assert_eq!(total(&provider), 4000.0);
    let offered = total(&inner) / 10.0;
    assert!((1.0..=4000.0).contains(&offered), "{offered}");
}
