use std::time::Duration;

use meterline_sdk::{MeterProvider, Number};
use opentelemetry::metrics::MeterProvider as _;

use super::{delta_reader, forgetful, named, values, worker};

#[test]
fn a_handle_stays_valid_through_expiry_and_removal() {
    let provider = forgetful();
    let meter = provider.meter("test");
    let counter = meter.u64_counter("c").build().bind(&worker("a"));
    let gauge = meter.i64_gauge("g").build().bind(&worker("a"));
    for round in 1..4u64 {
        counter.add(round);
        gauge.record(round.cast_signed());
        let snapshot = provider.collect();
        assert_eq!(values(&snapshot, "c"), named(&[("a", round)]));
        let value = Number::I64(round.cast_signed());
        assert_eq!(values(&snapshot, "g"), [("a".to_owned(), value)]);
        if round == 2 {
            assert!(provider.remove("test", "c", &worker("a")));
            assert!(provider.remove("test", "g", &worker("a")));
        }
        assert!(provider.collect().metrics.is_empty());
    }
}

#[test]
fn a_handle_and_the_attributes_are_the_same_series_after_expiry_too() {
    let provider = forgetful();
    let counter = provider.meter("test").u64_counter("c").build();
    let bound = counter.bind(&worker("a"));
    for _ in 0..3 {
        counter.add(1, &worker("a"));
        bound.add(2);
        let again = counter.bind(&worker("a"));
        again.add(4);
        assert_eq!(values(&provider.collect(), "c"), named(&[("a", 7)]));
        assert!(provider.collect().metrics.is_empty());
    }
}

#[test]
fn a_handle_leaves_the_overflow_series_when_there_is_room() {
    let provider = MeterProvider::builder().with_cardinality_limit(1).build();
    let counter = provider.meter("test").u64_counter("c").build();
    counter.add(1, &worker("a"));
    let late = counter.bind(&worker("b"));
    late.add(2);
    let values_now = || values(&provider.collect(), "c");
    assert_eq!(values_now(), named(&[("true", 2), ("a", 1)]));
    assert_eq!(provider.stats().overflowed, 1);

    assert!(provider.remove("test", "c", &worker("a")));
    late.add(4);
    late.add(8);
    assert_eq!(values_now(), named(&[("true", 2), ("b", 12)]));
    assert_eq!(provider.stats().overflowed, 1);
}

#[test]
fn handles_whose_place_was_taken_overflow_instead_of_breaking_the_limit() {
    let provider = MeterProvider::builder()
        .with_series_ttl(Some(Duration::ZERO))
        .with_cardinality_limit(1)
        .build();
    let counter = provider.meter("test").u64_counter("c").build();
    let reader = delta_reader(&provider);
    let early = counter.bind(&worker("a"));
    early.add(1);
    assert_eq!(values(&reader.collect(), "c"), named(&[("a", 1)]));
    let _ = reader.collect();
    counter.add(2, &worker("b"));
    early.add(4);
    counter.add(8, &worker("a"));
    let deltas = values(&reader.collect(), "c");
    assert_eq!(deltas, named(&[("true", 12), ("b", 2)]));
    assert_eq!(provider.stats().overflowed, 2);
    let _ = reader.collect();
    early.add(16);
    assert_eq!(values(&reader.collect(), "c"), named(&[("a", 16)]));
}
