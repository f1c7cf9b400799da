//! What a series is, and when it exists.

use std::time::SystemTime;

use meterline_sdk::{Data, InstrumentKind, MeterProvider, Metric, Number, Resource, Snapshot};
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::{InstrumentationScope, KeyValue};

fn metric<'a>(snapshot: &'a Snapshot, name: &str) -> &'a Metric {
    let found: Vec<_> = snapshot
        .metrics
        .iter()
        .filter(|metric| metric.descriptor.name == name)
        .collect();
    assert_eq!(found.len(), 1, "{name} in {snapshot:?}");
    found[0]
}

fn values(snapshot: &Snapshot, name: &str) -> Vec<Number> {
    match &metric(snapshot, name).data {
        Data::Sum { values, .. } | Data::Gauge(values) => values.clone(),
        other => panic!("{name} has no single values: {other:?}"),
    }
}

#[test]
fn the_order_of_attributes_and_earlier_duplicates_do_not_matter() {
    let provider = MeterProvider::default();
    let counter = provider.meter("test").u64_counter("c").build();
    let (a, b) = (KeyValue::new("a", 1), KeyValue::new("b", "x"));
    counter.add(1, &[a.clone(), b.clone()]);
    counter.add(2, &[b.clone(), a.clone()]);
    counter.add(
        4,
        &[KeyValue::new("a", "overwritten"), b.clone(), a.clone()],
    );
    counter.bind(&[b.clone(), a.clone(), b.clone()]).add(8);

    let snapshot = provider.collect();
    assert_eq!(values(&snapshot, "c"), [Number::U64(15)]);
    assert_eq!(**metric(&snapshot, "c").series[0].attributes(), [a, b]);
}

#[test]
fn values_of_different_types_are_different_series_in_a_stable_order() {
    let provider = MeterProvider::default();
    let counter = provider.meter("test").u64_counter("c").build();
    counter.add(1, &[KeyValue::new("a", "1")]);
    counter.add(2, &[KeyValue::new("a", 1)]);
    counter.add(4, &[KeyValue::new("a", 1.0)]);
    counter.add(8, &[KeyValue::new("a", true)]);
    counter.add(16, &[]);
    let expected = [16, 8, 2, 4, 1].map(Number::U64);
    assert_eq!(values(&provider.collect(), "c"), expected);
}

#[test]
fn the_list_of_series_is_shared_until_one_comes() {
    let provider = MeterProvider::default();
    let counter = provider.meter("test").u64_counter("c").build();
    counter.add(1, &[KeyValue::new("a", 2)]);
    let (first, second) = (provider.collect(), provider.collect());
    assert!(std::sync::Arc::ptr_eq(
        &first.metrics[0].series,
        &second.metrics[0].series
    ));

    counter.add(1, &[KeyValue::new("a", 1)]);
    let third = provider.collect();
    assert_eq!(third.metrics[0].series.len(), 2);
    let kept = &third.metrics[0].series[1];
    assert!(
        std::sync::Arc::ptr_eq(kept, &first.metrics[0].series[0]),
        "a series stays the same"
    );
}

#[test]
fn a_series_starts_when_it_is_first_recorded() {
    let provider = MeterProvider::default();
    let counter = provider.meter("test").u64_counter("c").build();
    let before = SystemTime::now();
    counter.add(1, &[]);
    let after = SystemTime::now();
    let start = provider.collect().metrics[0].series[0].start();
    assert!(before <= start && start <= after);
    counter.add(1, &[]);
    assert_eq!(provider.collect().metrics[0].series[0].start(), start);
}

#[test]
fn binding_starts_a_sum_at_zero_but_a_gauge_only_with_a_value() {
    let provider = MeterProvider::default();
    let meter = provider.meter("test");
    let bound_counter = meter
        .u64_counter("c")
        .build()
        .bind(&[KeyValue::new("a", 1)]);
    let bound_gauge = meter.f64_gauge("g").build().bind(&[KeyValue::new("a", 1)]);

    let snapshot = provider.collect();
    assert_eq!(values(&snapshot, "c"), [Number::U64(0)]);
    assert!(
        snapshot
            .metrics
            .iter()
            .all(|metric| metric.descriptor.name != "g")
    );

    bound_counter.add(3);
    bound_gauge.record(-1.5);
    let snapshot = provider.collect();
    assert_eq!(values(&snapshot, "c"), [Number::U64(3)]);
    assert_eq!(values(&snapshot, "g"), [Number::F64(-1.5)]);
}

#[test]
fn values_that_cannot_be_recorded_are_dropped_and_counted() {
    let provider = MeterProvider::default();
    let meter = provider.meter("test");
    let counter = meter.f64_counter("c").build();
    let histogram = meter.f64_histogram("h").build();
    counter.add(1.0, &[]);
    counter.add(f64::NAN, &[]);
    counter.add(-1.0, &[]);
    counter.bind(&[]).add(f64::INFINITY);
    histogram.record(f64::NEG_INFINITY, &[KeyValue::new("never", "seen")]);

    let snapshot = provider.collect();
    assert_eq!(values(&snapshot, "c"), [Number::F64(1.0)]);
    assert_eq!(
        snapshot.metrics.len(),
        1,
        "nothing of the histogram: {snapshot:?}"
    );
    let stats = provider.stats();
    assert_eq!((stats.non_finite, stats.negative, stats.series), (3, 1, 1));
}

#[test]
fn equal_scopes_share_instruments_and_different_ones_do_not() {
    let provider = MeterProvider::default();
    let scope = |version: &'static str| {
        InstrumentationScope::builder("lib")
            .with_version(version)
            .with_schema_url("https://example.com/schema")
            .with_attributes([KeyValue::new("team", "a")])
            .build()
    };
    for version in ["1", "1", "2"] {
        provider
            .meter_with_scope(scope(version))
            .u64_counter("c")
            .build()
            .add(1, &[]);
    }
    let snapshot = provider.collect();
    let totals: Vec<_> = snapshot
        .metrics
        .iter()
        .map(|metric| {
            (
                metric.scope.version().map(str::to_owned),
                metric.data.clone(),
            )
        })
        .collect();
    let sum = |value| Data::Sum {
        monotonic: true,
        values: vec![Number::U64(value)],
    };
    assert_eq!(
        totals,
        [(Some("1".into()), sum(2)), (Some("2".into()), sum(1))]
    );
}

#[test]
fn the_same_instrument_again_is_the_same_and_another_kind_is_another() {
    let provider = MeterProvider::default();
    let meter = provider.meter("test");
    meter
        .u64_counter("requests")
        .with_description("first")
        .build()
        .add(1, &[]);
    meter
        .u64_counter("Requests")
        .with_description("second")
        .build()
        .add(2, &[]);
    meter
        .u64_counter("requests")
        .with_unit("By")
        .build()
        .add(4, &[]);
    meter.f64_counter("requests").build().add(8.0, &[]);
    meter.i64_up_down_counter("requests").build().add(-16, &[]);

    let snapshot = provider.collect();
    let all: Vec<_> = snapshot
        .metrics
        .iter()
        .map(|m| (m.descriptor.kind, m.data.clone()))
        .collect();
    let sum = |monotonic, value| Data::Sum {
        monotonic,
        values: vec![value],
    };
    assert_eq!(all.len(), 4, "{all:?}");
    assert!(all.contains(&(InstrumentKind::Counter, sum(true, Number::U64(3)))));
    assert!(all.contains(&(InstrumentKind::Counter, sum(true, Number::U64(4)))));
    assert!(all.contains(&(InstrumentKind::Counter, sum(true, Number::F64(8.0)))));
    assert!(all.contains(&(InstrumentKind::UpDownCounter, sum(false, Number::I64(-16)))));
    assert!(
        snapshot
            .metrics
            .iter()
            .any(|metric| metric.descriptor.description == "first")
    );
    assert!(
        snapshot
            .metrics
            .iter()
            .all(|metric| metric.descriptor.description != "second")
    );
}

#[test]
fn snapshots_are_in_the_same_order_whatever_came_first() {
    let names = ["z", "a", "m"];
    let order = |names: &[&'static str]| {
        let provider = MeterProvider::default();
        for name in names {
            provider.meter("b").u64_counter(*name).build().add(1, &[]);
            provider.meter("a").u64_gauge(*name).build().record(1, &[]);
        }
        let snapshot = provider.collect();
        let named = |m: &Metric| (m.scope.name().to_owned(), m.descriptor.name.to_string());
        snapshot.metrics.iter().map(named).collect::<Vec<_>>()
    };
    let mut reversed = names;
    reversed.reverse();
    assert_eq!(order(&names), order(&reversed));
    assert_eq!(order(&names)[0], ("a".into(), "a".into()));
}

#[test]
fn refused_instruments_record_nothing_and_break_nothing() {
    let provider = MeterProvider::default();
    let meter = provider.meter("test");
    let refused = meter.u64_counter("1 bad name").build();
    refused.add(1, &[]);
    refused.bind(&[]).add(1);
    meter
        .u64_observable_gauge("")
        .with_callback(|to| to.observe(1, &[]))
        .build();
    assert!(provider.collect().metrics.is_empty());
}

#[test]
fn a_meter_without_a_name_works() {
    let provider = MeterProvider::default();
    provider.meter("").u64_counter("c").build().add(3, &[]);
    let snapshot = provider.collect();
    assert_eq!(values(&snapshot, "c"), [Number::U64(3)]);
    assert_eq!(metric(&snapshot, "c").scope.name(), "");
}

#[test]
fn the_resource_is_carried_along() {
    let resource = Resource::new(&[KeyValue::new("service.name", "shop")]);
    let provider = MeterProvider::builder()
        .with_resource(resource.clone())
        .build();
    assert_eq!(*provider.collect().resource, resource);
}

#[test]
fn the_global_provider_can_be_ours() {
    let provider = MeterProvider::default();
    opentelemetry::global::set_meter_provider(provider.clone());
    opentelemetry::global::meter("global")
        .u64_counter("c")
        .build()
        .add(7, &[]);
    assert_eq!(values(&provider.collect(), "c"), [Number::U64(7)]);
}
