use std::sync::Arc;
use std::time::Duration;

use meterline_sdk::{Data, MeterProvider, Number};
use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider as _;

use super::{delta_reader, forgetful, metric, named, values, worker};

#[test]
fn an_idle_series_ends_and_comes_back_at_zero_with_a_newer_start() {
    let provider = forgetful();
    let counter = provider.meter("test").u64_counter("c").build();
    counter.add(5, &worker("a"));
    counter.add(5, &worker("b"));
    let first = provider.collect();
    assert_eq!(values(&first, "c"), named(&[("a", 5), ("b", 5)]));
    counter.add(1, &worker("b"));
    assert_eq!(values(&provider.collect(), "c"), named(&[("b", 6)]));
    assert_eq!(provider.stats().series, 1);

    counter.add(2, &worker("a"));
    let again = provider.collect();
    assert_eq!(values(&again, "c"), named(&[("a", 2)]));
    let (old, new) = (&first.metrics[0].series[0], &again.metrics[0].series[0]);
    assert!(new.start() > old.start());
    assert_eq!(
        values(&first, "c"),
        named(&[("a", 5), ("b", 5)]),
        "unchanged"
    );
}

#[test]
fn without_a_time_to_live_nothing_ends() {
    let provider = MeterProvider::default();
    let counter = provider.meter("test").u64_counter("c").build();
    counter.add(5, &worker("a"));
    for _ in 0..5 {
        assert_eq!(values(&provider.collect(), "c"), named(&[("a", 5)]));
    }
}

#[test]
fn a_series_lives_for_as_long_as_it_was_promised() {
    let ttl = Some(Duration::from_secs(3600));
    let provider = MeterProvider::builder().with_series_ttl(ttl).build();
    let counter = provider.meter("test").u64_counter("c").build();
    counter.add(5, &worker("a"));
    for _ in 0..5 {
        assert_eq!(values(&provider.collect(), "c"), named(&[("a", 5)]));
    }
}

#[test]
fn recordings_that_change_no_value_keep_a_series() {
    let provider = forgetful();
    let meter = provider.meter("test");
    let counter = meter.u64_counter("c").build();
    let gauge = meter.u64_gauge("g").build();
    let up_down = meter.i64_up_down_counter("u").build();
    for _ in 0..4 {
        counter.add(0, &worker("a"));
        gauge.record(7, &worker("a"));
        up_down.add(1, &worker("a"));
        up_down.add(-1, &worker("a"));
        assert_eq!(provider.collect().metrics.len(), 3);
    }
    assert!(provider.collect().metrics.is_empty(), "now all were idle");
}

#[test]
fn what_is_still_there_is_still_counted() {
    let provider = forgetful();
    let open = provider.meter("test").i64_up_down_counter("open").build();
    open.add(2, &worker("a"));
    for _ in 0..4 {
        let value = vec![("a".to_owned(), Number::I64(2))];
        assert_eq!(values(&provider.collect(), "open"), value);
    }
    open.add(-2, &worker("a"));
    let zero = vec![("a".to_owned(), Number::I64(0))];
    assert_eq!(values(&provider.collect(), "open"), zero);
    assert!(provider.collect().metrics.is_empty());
}

#[test]
fn the_series_without_attributes_and_all_kinds_of_instruments_end_and_return() {
    let provider = forgetful();
    let meter = provider.meter("test");
    let counter = meter.f64_counter("c").build();
    let gauge = meter.i64_gauge("g").build();
    let histogram = meter.f64_histogram("h").with_boundaries(vec![1.0]).build();
    for _ in 0..3 {
        counter.add(0.1, &[]);
        gauge.record(-3, &[]);
        histogram.record(4.0, &[]);
        histogram.record(0.5, &[]);
        let snapshot = provider.collect();
        assert_eq!(values(&snapshot, "c")[0].1, Number::F64(0.1), "exactly");
        assert_eq!(values(&snapshot, "g")[0].1, Number::I64(-3));
        let Some(Data::Histogram(histograms)) = metric(&snapshot, "h").map(|m| &m.data) else {
            panic!("{snapshot:?}")
        };
        let point = histograms.iter().next().unwrap();
        assert_eq!((point.counts, point.sum), (&[1, 1][..], Number::F64(4.5)));
        assert_eq!(point.min_max, Some((Number::F64(0.5), Number::F64(4.0))));
        assert!(provider.collect().metrics.is_empty());
    }
}

#[test]
fn a_series_waits_for_every_reader() {
    let provider = forgetful();
    let counter = provider.meter("test").u64_counter("c").build();
    let (quick, slow) = (delta_reader(&provider), delta_reader(&provider));
    counter.add(5, &worker("a"));
    for _ in 0..3 {
        let _ = quick.collect();
        assert_eq!(
            provider.stats().series,
            1,
            "the slow reader has not seen it"
        );
    }
    assert_eq!(values(&slow.collect(), "c"), named(&[("a", 5)]));
    let _ = provider.collect();
    assert_eq!(provider.stats().series, 0);

    counter.add(5, &worker("a"));
    let _ = quick.collect();
    drop(slow);
    let _ = quick.collect();
    assert_eq!(provider.stats().series, 0, "who is gone is not waited for");
}

#[test]
fn places_under_the_limit_are_free_again() {
    let provider = MeterProvider::builder()
        .with_series_ttl(Some(Duration::ZERO))
        .with_cardinality_limit(2)
        .build();
    let counter = provider.meter("test").u64_counter("c").build();
    for names in [["a", "b"], ["c", "d"], ["a", "c"]] {
        names.iter().for_each(|name| counter.add(1, &worker(name)));
        let expected = named(&[(names[0], 1), (names[1], 1)]);
        assert_eq!(values(&provider.collect(), "c"), expected);
        assert!(provider.collect().metrics.is_empty());
    }
    assert_eq!(provider.stats().overflowed, 0);
}

#[test]
fn memory_is_given_back() {
    let provider = forgetful();
    let histogram = provider.meter("test").f64_histogram("h").build();
    let text: Arc<str> = "a text that series keep alive".into();
    let record = |id: i64| {
        let text = KeyValue::new("text", Arc::clone(&text));
        histogram.record(1.0, &[text, KeyValue::new("id", id)]);
    };
    (0..1000).for_each(record);
    assert!(Arc::strong_count(&text) > 1000);
    let _ = provider.collect();
    let _ = provider.collect();
    // This thread remembers some of them until it records the next time.
    histogram.record(1.0, &worker("other"));
    let _ = provider.collect();
    assert_eq!(Arc::strong_count(&text), 1);
}

#[test]
fn a_removed_series_is_gone_at_once_and_only_that_one() {
    let provider = MeterProvider::default();
    let meter = provider.meter("test");
    let counter = meter.u64_counter("c").build();
    meter.u64_counter("other").build().add(1, &worker("a"));
    counter.add(5, &worker("a"));
    counter.add(5, &worker("b"));
    assert!(provider.remove("test", "c", &worker("a")));
    assert!(!provider.remove("test", "c", &worker("a")), "a second time");
    assert!(!provider.remove("test", "unknown", &worker("b")));
    assert!(!provider.remove("unknown", "c", &worker("b")));
    let snapshot = provider.collect();
    assert_eq!(values(&snapshot, "c"), named(&[("b", 5)]));
    assert_eq!(values(&snapshot, "other"), named(&[("a", 1)]));

    counter.add(3, &worker("a"));
    let snapshot = provider.collect();
    assert_eq!(values(&snapshot, "c"), named(&[("a", 3), ("b", 5)]));
    let series = &metric(&snapshot, "c").unwrap().series;
    assert!(series[0].start() > series[1].start());
}

#[test]
fn deltas_report_what_a_series_held_when_it_was_removed() {
    let provider = MeterProvider::default();
    let meter = provider.meter("test");
    let counter = meter.u64_counter("c").build();
    let reader = delta_reader(&provider);
    let next = || values(&reader.collect(), "c");
    counter.add(5, &worker("a"));
    counter.add(1, &worker("b"));
    assert_eq!(next(), named(&[("a", 5), ("b", 1)]));
    counter.add(2, &worker("a"));
    provider.remove("test", "c", &worker("a"));
    let _ = provider.collect();
    assert_eq!(next(), named(&[("a", 2)]));
    assert_eq!(next(), named(&[]));

    // Removed before any reader saw it, and the last one of its instrument.
    counter.add(4, &worker("z"));
    provider.remove("test", "c", &worker("z"));
    provider.remove("test", "c", &worker("b"));
    assert_eq!(next(), named(&[("z", 4)]));
    assert_eq!(next(), named(&[]));
}

#[test]
fn a_series_that_is_back_already_waits_until_its_end_was_reported() {
    let provider = MeterProvider::default();
    let counter = provider.meter("test").u64_counter("c").build();
    let reader = delta_reader(&provider);
    let next = || values(&reader.collect(), "c");
    counter.add(5, &worker("a"));
    assert_eq!(next(), named(&[("a", 5)]));
    counter.add(2, &worker("a"));
    provider.remove("test", "c", &worker("a"));
    counter.add(10, &worker("a"));
    assert_eq!(next(), named(&[("a", 2)]));
    counter.add(20, &worker("a"));
    assert_eq!(next(), named(&[("a", 30)]));
    // Nothing new before the end: nothing to wait for.
    provider.remove("test", "c", &worker("a"));
    counter.add(7, &worker("a"));
    assert_eq!(next(), named(&[("a", 7)]));
    assert_eq!(next(), named(&[]));
}

#[test]
fn a_declared_series_is_at_zero_until_its_first_increment() {
    let provider = MeterProvider::default();
    let meter = provider.meter("test");
    let counter = meter.u64_counter("c").build();
    let _gauge = meter.u64_gauge("g").build();
    assert!(provider.declare("test", "c", &worker("a")));
    assert!(provider.declare("test", "C", &worker("a")), "it is there");
    assert!(!provider.declare("test", "g", &worker("a")), "no value");
    assert!(!provider.declare("test", "unknown", &worker("a")));
    let snapshot = provider.collect();
    assert_eq!(snapshot.metrics.len(), 1);
    assert_eq!(values(&snapshot, "c"), named(&[("a", 0)]));
    counter.add(3, &worker("a"));
    provider.declare("test", "c", &worker("a"));
    let after = provider.collect();
    assert_eq!(values(&after, "c"), named(&[("a", 3)]));
    assert!(Arc::ptr_eq(
        &snapshot.metrics[0].series,
        &after.metrics[0].series
    ));

    provider.remove("test", "c", &worker("a"));
    assert!(provider.declare("test", "c", &worker("a")));
    assert_eq!(values(&provider.collect(), "c"), named(&[("a", 0)]));
}
