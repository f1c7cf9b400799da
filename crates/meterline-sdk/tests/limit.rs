//! An attacker who makes up attributes gets no memory.

use meterline_sdk::{Data, MeterProvider, Number};
use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider as _;

const DISTINCT: u64 = 1_000_000;

fn resident_bytes() -> u64 {
    let process = procfs::process::Process::myself().expect("/proc is there");
    let statm = process.statm().expect("it can be read");
    statm.resident * procfs::page_size()
}

#[test]
fn a_million_distinct_values_stay_within_the_limit_and_within_memory() {
    let provider = MeterProvider::default();
    let meter = provider.meter("test");
    let counter = meter.u64_counter("c").build();
    let histogram = meter.f64_histogram("h").build();
    let record = |value: u64| {
        let attributes = [KeyValue::new("id", format!("made-up-{value}"))];
        counter.add(1, &attributes);
        histogram.record(1.0, &attributes);
    };
    (0..10_000).for_each(record);
    let _ = provider.collect();
    let at_the_limit = resident_bytes();

    (10_000..DISTINCT).for_each(record);

    let snapshot = provider.collect();
    let grown = resident_bytes().saturating_sub(at_the_limit);
    assert!(grown < 4 << 20, "990,000 further values took {grown} bytes");
    let counted = match &snapshot.metrics[0].data {
        Data::Sum { values, .. } => values.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(counted.len(), 2001, "2,000 series and the overflow");
    let total: f64 = counted.iter().copied().map(Number::as_f64).sum();
    assert_eq!(total, DISTINCT as f64, "nothing is lost");
    assert_eq!(provider.stats().overflowed, 2 * (DISTINCT - 2000));
}

#[test]
fn a_handle_bound_beyond_the_limit_counts_each_measurement_as_overflowed() {
    let provider = MeterProvider::builder().with_cardinality_limit(1).build();
    let counter = provider.meter("test").u64_counter("c").build();
    counter.bind(&[KeyValue::new("id", 1)]).add(1);
    let beyond = counter.bind(&[KeyValue::new("id", 2)]);
    assert_eq!(provider.stats().overflowed, 0);
    beyond.add(1);
    beyond.add(1);
    assert_eq!(provider.stats().overflowed, 2);
}
