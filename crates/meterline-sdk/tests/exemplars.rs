//! Which measurements come out as exemplars, and with what.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::SystemTime;

use meterline_sdk::{
    Exemplar, ExemplarFilter, ExponentialOptions, MeterProvider, MeterProviderBuilder, Number,
    ReaderOptions, Snapshot, TemporalityPreference, View, ViewAggregation,
};
use opentelemetry::metrics::{BoundCounter, MeterProvider as _};
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceFlags, TraceState};
use opentelemetry::{Context, ContextGuard, KeyValue, SpanId, TraceId};

const TRACE: TraceId =
    TraceId::from_bytes(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes());

/// Makes a span of this number the current one.
fn enter(span: u64, flags: TraceFlags) -> ContextGuard {
    let span = SpanContext::new(
        TRACE,
        SpanId::from(span),
        flags,
        false,
        TraceState::default(),
    );
    Context::new().with_remote_span_context(span).attach()
}

fn sampled(span: u64) -> ContextGuard {
    enter(span, TraceFlags::SAMPLED)
}

/// The exemplars of one point.
fn exemplars(snapshot: &Snapshot, name: &str, point: usize) -> Vec<Exemplar> {
    let metric = snapshot
        .metrics
        .iter()
        .find(|metric| metric.descriptor.name == name);
    let metric = metric.unwrap_or_else(|| panic!("{name} in {snapshot:?}"));
    metric.exemplars.of(point).cloned().collect()
}

fn values(exemplars: &[Exemplar]) -> Vec<f64> {
    exemplars
        .iter()
        .map(|exemplar| exemplar.value.as_f64())
        .collect()
}

fn with_view(view: meterline_sdk::ViewBuilder) -> MeterProviderBuilder {
    MeterProvider::builder().with_view(view.build().expect("a view that can be"))
}

#[test]
fn a_measurement_in_a_sampled_span_is_an_exemplar_with_its_trace() {
    let provider = MeterProvider::default();
    let counter = provider.meter("test").u64_counter("c").build();
    let attributes = [KeyValue::new("a", 1)];
    counter.add(1, &attributes);
    let before = SystemTime::now();
    let span = sampled(7);
    counter.add(2, &attributes);
    drop(span);
    let after = SystemTime::now();
    counter.add(4, &attributes);
    let not_sampled = enter(8, TraceFlags::default());
    counter.add(8, &attributes);
    drop(not_sampled);

    let found = exemplars(&provider.collect(), "c", 0);
    let [exemplar] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(exemplar.value, Number::U64(2));
    assert_eq!(exemplar.span, Some((TRACE, SpanId::from(7))));
    assert!(before <= exemplar.time && exemplar.time <= after);
    assert!(exemplar.filtered_attributes.is_empty());
}

#[test]
fn the_filter_decides() {
    let found = |filter| {
        let provider = MeterProvider::builder().with_exemplars(filter).build();
        let gauge = provider.meter("test").f64_gauge("g").build();
        gauge.record(1.0, &[KeyValue::new("in", "none")]);
        let span = enter(5, TraceFlags::default());
        gauge.record(2.0, &[KeyValue::new("in", "other")]);
        drop(span);
        let span = sampled(6);
        gauge.record(3.0, &[KeyValue::new("in", "sampled")]);
        drop(span);
        let snapshot = provider.collect();
        let of = |point| exemplars(&snapshot, "g", point);
        let all = (0..3)
            .flat_map(of)
            .map(|e| (e.value.as_f64(), e.span.map(|span| span.1)));
        all.collect::<Vec<_>>()
    };
    let span = |number: u64| Some(SpanId::from(number));
    assert_eq!(found(ExemplarFilter::Off), []);
    assert_eq!(found(ExemplarFilter::TraceBased), [(3.0, span(6))]);
    let all = [(1.0, None), (2.0, span(5)), (3.0, span(6))];
    assert_eq!(found(ExemplarFilter::Always), all);
}

#[test]
fn a_histogram_has_one_for_each_bucket_in_their_order() {
    let provider = MeterProvider::default();
    let meter = provider.meter("test");
    let histogram = meter
        .f64_histogram("h")
        .with_boundaries(vec![1.0, 2.0])
        .build();
    let span = sampled(1);
    for value in [5.0, 0.5, 2.0] {
        histogram.record(value, &[]);
    }
    drop(span);
    let snapshot = provider.collect();
    assert_eq!(values(&exemplars(&snapshot, "h", 0)), [0.5, 2.0, 5.0]);
}

#[test]
fn exponential_histograms_have_a_fixed_number_and_both_have_those_of_the_buckets() {
    let exponential = ExponentialOptions {
        max_size: 5,
        ..ExponentialOptions::default()
    };
    let count = |aggregation| {
        let provider = with_view(View::builder("h").histograms_as(aggregation)).build();
        let histogram = provider.meter("test").u64_histogram("h").build();
        let _span = sampled(1);
        (1..=1000).for_each(|value| histogram.record(value, &[]));
        exemplars(&provider.collect(), "h", 0).len()
    };
    assert_eq!(count(ViewAggregation::Exponential(exponential)), 5);
    assert_eq!(
        count(ViewAggregation::Exponential(ExponentialOptions::default())),
        20
    );
    // (0, 5], (5, 10], (10, 25] and so on to (750, 1000] of the default boundaries.
    assert_eq!(count(ViewAggregation::Both(exponential)), 10);
}

#[test]
fn what_a_view_leaves_out_is_on_the_exemplar() {
    let view = View::builder("c")
        .keep_attributes(["route"])
        .cardinality_limit(1);
    let provider = with_view(view).build();
    let counter = provider.meter("test").u64_counter("c").build();
    let given = |route: &'static str, user: i64| {
        [
            KeyValue::new("user", user),
            KeyValue::new("route", route),
            KeyValue::new("debug", true),
        ]
    };
    let _span = sampled(1);
    counter.add(1, &given("/a", 5));
    let snapshot = provider.collect();
    let left_out = [KeyValue::new("debug", true), KeyValue::new("user", 5)];
    assert_eq!(
        *exemplars(&snapshot, "c", 0)[0].filtered_attributes,
        left_out
    );

    // Once more, as the thread remembers; through a handle; and beyond the limit.
    counter.add(1, &given("/a", 6));
    let of = |snapshot: &Snapshot, point| {
        exemplars(snapshot, "c", point)[0]
            .filtered_attributes
            .clone()
    };
    assert!(of(&provider.collect(), 0).contains(&KeyValue::new("user", 6)));
    counter.bind(&given("/a", 7)).add(1);
    assert!(of(&provider.collect(), 0).contains(&KeyValue::new("user", 7)));
    counter.add(1, &given("/b", 8));
    assert_eq!(*of(&provider.collect(), 0), {
        let [user, route, debug] = given("/b", 8);
        [debug, route, user]
    });
}

#[test]
fn cumulative_readers_find_exemplars_again_and_deltas_only_new_ones() {
    let provider = MeterProvider::default();
    let counter = provider.meter("test").u64_counter("c").build();
    let mut options = ReaderOptions::default();
    options.temporality = TemporalityPreference::Delta;
    let deltas = provider.reader(options);
    let add_in_span = |value| {
        let _span = sampled(1);
        counter.add(value, &[]);
    };
    add_in_span(1);
    for _ in 0..3 {
        assert_eq!(values(&exemplars(&provider.collect(), "c", 0)), [1.0]);
    }
    assert_eq!(values(&exemplars(&deltas.collect(), "c", 0)), [1.0]);
    counter.add(10, &[]);
    assert_eq!(
        values(&exemplars(&deltas.collect(), "c", 0)),
        [],
        "that one is reported"
    );
    assert_eq!(values(&exemplars(&provider.collect(), "c", 0)), [1.0]);
    add_in_span(2);
    assert_eq!(values(&exemplars(&deltas.collect(), "c", 0)), [2.0]);
    assert_eq!(values(&exemplars(&provider.collect(), "c", 0)), [2.0]);
}

#[test]
fn a_series_that_was_removed_and_came_back_has_new_exemplars_only() {
    let provider = MeterProvider::default();
    let counter = provider.meter("test").u64_counter("c").build();
    let span = sampled(1);
    counter.add(1, &[]);
    drop(span);
    assert!(provider.remove("test", "c", &[]));
    counter.add(2, &[]);
    assert_eq!(exemplars(&provider.collect(), "c", 0), []);
}

#[test]
fn exemplars_are_whole_while_threads_record_and_others_read() {
    let bounds = [10.0, 20.0, 30.0];
    let view = View::builder("h")
        .keep_attributes(["route"])
        .buckets(bounds);
    let provider = with_view(view).build();
    let histogram = provider.meter("test").u64_histogram("h").build();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4u64)
            .map(|thread| {
                let histogram = &histogram;
                scope.spawn(move || {
                    for value in (0..4000).map(|round| (round * 7 + thread) % 40) {
                        let _span = sampled(value + 1);
                        let value_attribute = KeyValue::new("value", value.cast_signed());
                        histogram.record(value, &[KeyValue::new("route", 1), value_attribute]);
                    }
                })
            })
            .collect();
        let (provider, done) = (&provider, &done);
        let reader = scope.spawn(move || {
            while !done.load(Relaxed) {
                let snapshot = provider.collect();
                if snapshot.metrics.is_empty() {
                    continue;
                }
                let found = exemplars(&snapshot, "h", 0);
                let bucket = |value: f64| bounds.iter().filter(|bound| **bound < value).count();
                let buckets: Vec<_> = values(&found).into_iter().map(bucket).collect();
                assert!(buckets.is_sorted_by(|a, b| a < b), "one of each: {found:?}");
                for exemplar in &found {
                    let Number::U64(value) = exemplar.value else {
                        panic!("{exemplar:?}");
                    };
                    let left_out = KeyValue::new("value", value.cast_signed());
                    assert_eq!(*exemplar.filtered_attributes, [left_out]);
                    assert_eq!(exemplar.span, Some((TRACE, SpanId::from(value + 1))));
                }
            }
        });
        for writer in writers {
            writer.join().expect("it records");
        }
        done.store(true, Relaxed);
        reader.join().expect("all it saw was whole");
    });
    assert_eq!(exemplars(&provider.collect(), "h", 0).len(), 4);
}

#[test]
fn recording_while_a_thread_ends_is_no_trouble() {
    /// Records when its thread is gone but for its locals.
    struct Last(BoundCounter<u64>);
    impl Drop for Last {
        fn drop(&mut self) {
            self.0.add(1);
        }
    }
    thread_local! {
        static BEFORE: RefCell<Option<Last>> = const { RefCell::new(None) };
        static AFTER: RefCell<Option<Last>> = const { RefCell::new(None) };
    }
    let provider = MeterProvider::builder()
        .with_exemplars(ExemplarFilter::Always)
        .build();
    let counter = provider.meter("test").u64_counter("c").build();
    let thread = std::thread::spawn(move || {
        BEFORE.set(Some(Last(counter.bind(&[]))));
        counter.add(1, &[]);
        AFTER.set(Some(Last(counter.bind(&[]))));
    });
    thread.join().expect("it did not panic");
    match &provider.collect().metrics[0].data {
        meterline_sdk::Data::Sum { values, .. } => assert_eq!(values[..], [Number::U64(3)]),
        other => panic!("{other:?}"),
    }
}
