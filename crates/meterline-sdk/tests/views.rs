//! What views make of instruments.

use meterline_sdk::{
    Data, ExponentialOptions, InstrumentKind, MeterProvider, Metric, Number, Snapshot, View,
    ViewAggregation, ViewBuilder,
};
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::{InstrumentationScope, KeyValue};

fn provider<const N: usize>(views: [ViewBuilder; N]) -> MeterProvider {
    let builder = views
        .into_iter()
        .fold(MeterProvider::builder(), |builder, view| {
            builder.with_view(view.build().expect("a view that can be"))
        });
    builder.build()
}

fn names(snapshot: &Snapshot) -> Vec<&str> {
    let metrics = snapshot.metrics.iter();
    metrics.map(|metric| &*metric.descriptor.name).collect()
}

fn metric<'a>(snapshot: &'a Snapshot, name: &str) -> &'a Metric {
    let found = snapshot
        .metrics
        .iter()
        .find(|metric| metric.descriptor.name == name);
    found.unwrap_or_else(|| panic!("{name} in {snapshot:?}"))
}

/// The series of a metric as text: attributes, and the value or count.
fn series(metric: &Metric) -> Vec<String> {
    let values: Vec<f64> = match &metric.data {
        Data::Sum { values, .. } | Data::Gauge(values) => {
            values.iter().map(|value| value.as_f64()).collect()
        }
        Data::Histogram(points) => points.iter().map(|p| p.count() as f64).collect(),
        Data::ExponentialHistogram(points) => points.iter().map(|p| p.count() as f64).collect(),
        other => panic!("{other:?}"),
    };
    let attributes = metric.series.iter().map(|series| {
        let pairs = series
            .attributes()
            .iter()
            .map(|a| format!("{}={}", a.key, a.value));
        pairs.collect::<Vec<_>>().join(",")
    });
    attributes
        .zip(values)
        .map(|(a, value)| format!("{a} {value}"))
        .collect()
}

fn attributes(route: &'static str, user: i64) -> [KeyValue; 2] {
    [KeyValue::new("user", user), KeyValue::new("route", route)]
}

#[test]
fn a_view_renames_and_describes_one_instrument() {
    let provider = provider([View::builder("Old.Name")
        .rename("new.name")
        .describe("Better.")]);
    let meter = provider.meter("test");
    meter
        .u64_counter("old.name")
        .with_unit("By")
        .build()
        .add(1, &[]);
    meter.u64_counter("old.name.too").build().add(1, &[]);
    let snapshot = provider.collect();
    assert_eq!(names(&snapshot), ["new.name", "old.name.too"]);
    let descriptor = &metric(&snapshot, "new.name").descriptor;
    assert_eq!(
        (&*descriptor.description, &*descriptor.unit),
        ("Better.", "By")
    );
}

#[test]
fn a_view_selects_by_every_criterion_at_once() {
    let provider = provider([View::builder("a.*")
        .kind(InstrumentKind::Counter)
        .unit("s")
        .meter("m")
        .meter_version("1")
        .meter_schema_url("https://example.com/1")
        .discard()]);
    let scope = |name: &'static str, version: &'static str, schema: &'static str| {
        let scope = InstrumentationScope::builder(name).with_version(version);
        provider.meter_with_scope(scope.with_schema_url(schema).build())
    };
    let meter = scope("m", "1", "https://example.com/1");
    meter
        .u64_counter("a.gone")
        .with_unit("s")
        .build()
        .add(1, &[]);
    meter.u64_counter("b").with_unit("s").build().add(1, &[]);
    meter
        .u64_counter("a.other.unit")
        .with_unit("ms")
        .build()
        .add(1, &[]);
    meter
        .u64_gauge("a.gauge")
        .with_unit("s")
        .build()
        .record(1, &[]);
    for (name, version, schema) in [
        ("n", "1", "https://example.com/1"),
        ("m", "2", "https://example.com/1"),
        ("m", "1", "https://example.com/2"),
    ] {
        let meter = scope(name, version, schema);
        meter
            .u64_counter("a.stays")
            .with_unit("s")
            .build()
            .add(1, &[]);
    }
    provider
        .meter("m")
        .u64_counter("a.stays")
        .with_unit("s")
        .build()
        .add(1, &[]);
    let snapshot = provider.collect();
    let mut found = names(&snapshot);
    found.sort_unstable();
    let stays = "a.stays";
    assert_eq!(
        found,
        ["a.gauge", "a.other.unit", stays, stays, stays, stays, "b"]
    );
}

#[test]
fn what_is_left_out_of_attributes_joins_series() {
    let provider = provider([
        View::builder("kept").keep_attributes(["route"]),
        View::builder("dropped").drop_attributes(["user"]),
        View::builder("none").keep_attributes([""; 0]),
    ]);
    let meter = provider.meter("test");
    for name in ["kept", "dropped", "none"] {
        let counter = meter.u64_counter(name).build();
        // Twice, so that what a thread remembers is used as well.
        for _ in 0..2 {
            counter.add(1, &attributes("/a", 1));
            counter.add(10, &attributes("/a", 2));
            counter.add(100, &attributes("/b", 1));
        }
        counter.bind(&attributes("/a", 3)).add(1000);
    }
    let snapshot = provider.collect();
    for name in ["kept", "dropped"] {
        assert_eq!(
            series(metric(&snapshot, name)),
            ["route=/a 1022", "route=/b 200"]
        );
    }
    assert_eq!(series(metric(&snapshot, "none")), [" 1222"]);
}

#[test]
fn what_is_left_out_of_observations_adds_up_in_sums_and_the_last_gauge_counts() {
    let provider = provider([View::builder("*").keep_attributes(["route"])]);
    let meter = provider.meter("test");
    meter
        .u64_observable_counter("c")
        .with_callback(|to| (1..4).for_each(|user| to.observe(2, &attributes("/a", user))))
        .build();
    meter
        .i64_observable_gauge("g")
        .with_callback(|to| (1..4).for_each(|user| to.observe(user, &attributes("/a", user))))
        .build();
    for _ in 0..2 {
        let snapshot = provider.collect();
        assert_eq!(series(metric(&snapshot, "c")), ["route=/a 6"]);
        assert_eq!(series(metric(&snapshot, "g")), ["route=/a 3"]);
    }
}

#[test]
fn several_views_of_one_instrument_are_several_streams() {
    let provider = provider([
        View::builder("latency")
            .rename("latency.by.route")
            .keep_attributes(["route"]),
        View::builder("latency")
            .keep_attributes(["user"])
            .buckets([1.0]),
        View::builder("nothing").discard(),
    ]);
    let histogram = provider.meter("test").f64_histogram("latency").build();
    histogram.record(0.5, &attributes("/a", 1));
    histogram.bind(&attributes("/b", 1)).record(2.0);
    let snapshot = provider.collect();
    assert_eq!(names(&snapshot), ["latency", "latency.by.route"]);
    assert_eq!(series(metric(&snapshot, "latency")), ["user=1 2"]);
    let by_route = series(metric(&snapshot, "latency.by.route"));
    assert_eq!(by_route, ["route=/a 1", "route=/b 1"]);
    match &metric(&snapshot, "latency").data {
        Data::Histogram(points) => assert_eq!(**points.bounds(), [1.0]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn views_that_make_no_difference_count_once() {
    let provider = provider([View::builder("*"), View::builder("c"), View::builder("d")]);
    let meter = provider.meter("test");
    meter.u64_counter("c").build().add(1, &[]);
    meter.u64_counter("c").build().add(1, &[]);
    meter
        .u64_observable_counter("d")
        .with_callback(|to| to.observe(5, &[]))
        .build();
    let snapshot = provider.collect();
    assert_eq!(names(&snapshot), ["c", "d"]);
    assert_eq!(series(metric(&snapshot, "c")), [" 2"]);
    assert_eq!(series(metric(&snapshot, "d")), [" 5"]);
}

#[test]
fn two_views_of_one_name_that_differ_are_both_there() {
    let provider = provider([
        View::builder("h").histograms_as(ViewAggregation::Explicit),
        View::builder("h").histograms_as(ViewAggregation::Sum),
    ]);
    provider
        .meter("test")
        .u64_histogram("h")
        .build()
        .record(7, &[]);
    assert_eq!(names(&provider.collect()), ["h", "h"]);
}

#[test]
fn two_instruments_renamed_alike_are_one_stream() {
    let provider = provider([
        View::builder("a").rename("both"),
        View::builder("b").rename("both"),
    ]);
    let meter = provider.meter("test");
    meter.u64_counter("a").build().add(1, &[]);
    meter.u64_counter("b").build().add(2, &[]);
    let snapshot = provider.collect();
    assert_eq!(names(&snapshot), ["both"]);
    assert_eq!(series(metric(&snapshot, "both")), [" 3"]);
}

#[test]
fn what_a_view_discards_is_not_even_asked_for() {
    let provider = provider([View::builder("*").meter("noisy").discard()]);
    let meter = provider.meter("noisy");
    meter.u64_counter("c").build().add(1, &[]);
    meter.f64_histogram("h").build().bind(&[]).record(1.0);
    meter
        .u64_observable_gauge("g")
        .with_callback(|_| panic!("nobody wants to know"))
        .build();
    assert!(provider.collect().metrics.is_empty());
    assert_eq!(provider.stats().callback_panics, 0);
}

#[test]
fn an_aggregation_that_cannot_be_leaves_the_instrument_as_it_is() {
    let provider = provider([
        View::builder("*")
            .aggregation(ViewAggregation::LastValue)
            .describe("Ignored."),
        View::builder("observed").aggregation(ViewAggregation::Explicit),
    ]);
    let meter = provider.meter("test");
    meter
        .u64_counter("c")
        .with_description("Kept.")
        .build()
        .add(3, &[]);
    meter
        .u64_observable_counter("observed")
        .with_callback(|to| to.observe(4, &[]))
        .build();
    let snapshot = provider.collect();
    assert_eq!(series(metric(&snapshot, "c")), [" 3"]);
    assert_eq!(metric(&snapshot, "c").descriptor.description, "Kept.");
    let sum = Data::Sum {
        monotonic: true,
        values: vec![Number::U64(4)],
    };
    assert_eq!(metric(&snapshot, "observed").data, sum);
}

#[test]
fn a_view_chooses_the_aggregation() {
    let provider = provider([
        View::builder("exponential").histograms_as(ViewAggregation::Exponential(
            ExponentialOptions {
                max_size: 4,
                ..ExponentialOptions::default()
            },
        )),
        View::builder("both")
            .buckets([2.0])
            .histograms_as(ViewAggregation::Both(ExponentialOptions::default())),
        View::builder("summed").aggregation(ViewAggregation::Sum),
        View::builder("counter")
            .aggregation(ViewAggregation::Explicit)
            .buckets([10.0]),
    ]);
    let meter = provider.meter("test");
    for name in ["exponential", "both", "summed"] {
        let histogram = meter.u64_histogram(name).build();
        (1..=4).for_each(|value| histogram.record(value, &[]));
    }
    meter.f64_counter("counter").build().add(11.0, &[]);
    meter.f64_counter("counter").build().add(-11.0, &[]);

    let snapshot = provider.collect();
    match &metric(&snapshot, "exponential").data {
        Data::ExponentialHistogram(points) => {
            let point = points.iter().next().unwrap();
            assert_eq!((point.scale, point.positive.offset), (0, -1));
            assert_eq!(point.positive.counts, [1, 1, 2]);
            assert_eq!(point.min_max, Some((Number::U64(1), Number::U64(4))));
        }
        other => panic!("{other:?}"),
    }
    match &metric(&snapshot, "both").data {
        Data::Both(explicit, exponential) => {
            assert_eq!(explicit.iter().next().unwrap().counts, [2, 2]);
            let point = exponential.iter().next().unwrap();
            assert_eq!((point.count(), point.sum), (4, Number::U64(10)));
        }
        other => panic!("{other:?}"),
    }
    let sum = Data::Sum {
        monotonic: true,
        values: vec![Number::U64(10)],
    };
    assert_eq!(metric(&snapshot, "summed").data, sum);
    match &metric(&snapshot, "counter").data {
        Data::Histogram(points) => assert_eq!(points.iter().next().unwrap().counts, [0, 1]),
        other => panic!("{other:?}"),
    }
    assert_eq!(provider.stats().negative, 1, "a counter stays one");
}

#[test]
fn wildcards_and_histogram_settings_leave_other_kinds_alone() {
    let provider = provider([View::builder("*")
        .buckets([1.0, 2.0])
        .histograms_as(ViewAggregation::Explicit)]);
    let meter = provider.meter("test");
    meter.u64_counter("c").build().add(1, &[]);
    meter
        .u64_histogram("h")
        .with_boundaries(vec![7.0])
        .build()
        .record(1, &[]);
    let snapshot = provider.collect();
    assert!(matches!(metric(&snapshot, "c").data, Data::Sum { .. }));
    match &metric(&snapshot, "h").data {
        Data::Histogram(points) => assert_eq!(**points.bounds(), [1.0, 2.0]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn advised_boundaries_hold_where_a_view_gives_none() {
    let provider = provider([View::builder("h").describe("Seen.")]);
    let meter = provider.meter("test");
    meter
        .u64_histogram("h")
        .with_boundaries(vec![7.0])
        .build()
        .record(1, &[]);
    match &metric(&provider.collect(), "h").data {
        Data::Histogram(points) => assert_eq!(**points.bounds(), [7.0]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_view_limits_the_series_left_after_filtering() {
    let provider = provider([View::builder("c")
        .drop_attributes(["user"])
        .cardinality_limit(2)]);
    let counter = provider.meter("test").u64_counter("c").build();
    for (route, user) in [
        ("/a", 1),
        ("/a", 2),
        ("/b", 3),
        ("/c", 4),
        ("/a", 5),
        ("/d", 6),
    ] {
        counter.add(1, &attributes(route, user));
    }
    let snapshot = provider.collect();
    let found = series(metric(&snapshot, "c"));
    assert_eq!(
        found,
        ["otel.metric.overflow=true 2", "route=/a 3", "route=/b 1"]
    );
    assert_eq!(provider.stats().overflowed, 2);
}

#[test]
fn series_are_declared_and_removed_by_either_name_and_all_attributes() {
    let provider = provider([View::builder("c")
        .rename("renamed")
        .keep_attributes(["route"])]);
    let counter = provider.meter("test").u64_counter("c").build();
    assert!(provider.declare("test", "c", &attributes("/a", 1)));
    counter.add(3, &attributes("/b", 2));
    let snapshot = provider.collect();
    let found = series(metric(&snapshot, "renamed"));
    assert_eq!(found, ["route=/a 0", "route=/b 3"]);
    assert!(provider.remove("test", "renamed", &attributes("/a", 7)));
    assert!(provider.remove("test", "C", &attributes("/b", 7)));
    assert!(provider.collect().metrics.is_empty());
}
