//! Any names, attributes and values, split anywhere.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use meterline_otlp::{Encoder, EncoderOptions};
use meterline_sdk::{
    Data, Descriptor, Exemplar, Exemplars, ExponentialBuckets, ExponentialHistograms,
    ExponentialPoint, Histograms, InstrumentKind, Metric, Number, Resource, Series, Snapshot,
    Temporality,
};
use opentelemetry::{Array, InstrumentationScope, KeyValue, SpanId, TraceId, Value};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::{expected, merged};

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![
        any::<u64>().prop_map(Number::U64),
        any::<i64>().prop_map(Number::I64),
        // NaN is not equal to itself; everything else is.
        any::<f64>()
            .prop_filter("NaN", |value| !value.is_nan())
            .prop_map(Number::F64),
    ]
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let value = prop_oneof![
        ".{0,20}".prop_map(Value::from),
        ".{130,140}".prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(Value::from),
        vec(any::<i64>(), 0..4).prop_map(|values| Value::Array(Array::I64(values))),
        vec(any::<bool>(), 0..4).prop_map(|values| Value::Array(Array::Bool(values))),
        vec(-1e9..1e9, 0..4).prop_map(|values| Value::Array(Array::F64(values))),
        vec(".{0,9}", 0..4).prop_map(|values| {
            let values = values.into_iter().map(Into::into);
            Value::Array(Array::String(values.collect()))
        }),
    ];
    let attribute = (".{0,12}", value).prop_map(|(key, value)| KeyValue::new(key, value));
    vec(attribute, 0..5)
}

fn scope() -> impl Strategy<Value = Arc<InstrumentationScope>> {
    let parts = (
        ".{0,9}",
        option::of(".{1,9}"),
        option::of(".{1,9}"),
        attributes(),
    );
    parts.prop_map(|(name, version, schema_url, attributes)| {
        let mut scope = InstrumentationScope::builder(name).with_attributes(attributes);
        if let Some(version) = version {
            scope = scope.with_version(version);
        }
        if let Some(url) = schema_url {
            scope = scope.with_schema_url(url);
        }
        Arc::new(scope.build())
    })
}

#[derive(Clone, Debug)]
enum Kind {
    Sum(bool),
    Gauge,
    Explicit(Vec<i32>),
    Exponential,
    Both(Vec<i32>),
}

fn kind() -> impl Strategy<Value = Kind> {
    let bounds = || proptest::collection::btree_set(any::<i32>(), 0..20);
    prop_oneof![
        any::<bool>().prop_map(Kind::Sum),
        Just(Kind::Gauge),
        bounds().prop_map(|bounds| Kind::Explicit(bounds.into_iter().collect())),
        Just(Kind::Exponential),
        bounds().prop_map(|bounds| Kind::Both(bounds.into_iter().collect())),
    ]
}

type Point = (
    Number,
    Option<(Number, Number)>,
    Vec<u32>,
    (i8, i32, f64),
    Option<u128>,
);

fn point() -> impl Strategy<Value = Point> {
    let buckets = vec(any::<u32>(), 1..40);
    let shape = (any::<i8>(), any::<i32>(), 0.0..9.0);
    (
        number(),
        option::of((number(), number())),
        buckets,
        shape,
        option::of(1_u128..),
    )
}

fn metric() -> impl Strategy<Value = Metric> {
    let named = (".{1,20}", ".{0,5}", ".{0,30}");
    let points = vec((attributes(), 0..1_u64 << 60, point()), 0..20);
    let delta = option::of(0..1_u64 << 60);
    (scope(), named, kind(), points, delta).prop_map(|(scope, named, kind, points, delta)| {
        let (name, unit, description) = named;
        let series = points.iter().map(|(attributes, start, _)| {
            Arc::new(Series::new(
                attributes,
                UNIX_EPOCH + Duration::from_nanos(*start),
            ))
        });
        let since = |nanos| UNIX_EPOCH + Duration::from_nanos(nanos);
        let mut exemplars = Exemplars::default();
        for (index, (attributes, start, (value, .., trace))) in points.iter().enumerate() {
            if let Some(trace) = trace {
                exemplars.push(
                    index,
                    Exemplar {
                        value: *value,
                        time: since(*start),
                        span: (trace % 2 == 0).then(|| (TraceId::from(*trace), SpanId::from(7))),
                        filtered_attributes: attributes.clone().into(),
                    },
                );
            }
        }
        Metric {
            scope,
            descriptor: Arc::new(Descriptor {
                name: name.into(),
                kind: InstrumentKind::Counter,
                unit: unit.into(),
                description: description.into(),
            }),
            series: series.collect(),
            data: data(
                &kind,
                &points
                    .into_iter()
                    .map(|(.., point)| point)
                    .collect::<Vec<_>>(),
            ),
            temporality: delta.map_or(Temporality::Cumulative, |nanos| Temporality::Delta {
                since: since(nanos),
            }),
            exemplars,
        }
    })
}

fn data(kind: &Kind, points: &[Point]) -> Data {
    let values = || points.iter().map(|point| point.0).collect();
    match kind {
        Kind::Sum(monotonic) => Data::Sum {
            monotonic: *monotonic,
            values: values(),
        },
        Kind::Gauge => Data::Gauge(values()),
        Kind::Explicit(bounds) => Data::Histogram(explicit(bounds, points)),
        Kind::Exponential => Data::ExponentialHistogram(exponential(points)),
        Kind::Both(bounds) => Data::Both(explicit(bounds, points), exponential(points)),
    }
}

fn explicit(bounds: &[i32], points: &[Point]) -> Histograms {
    let bounds: Vec<f64> = bounds.iter().copied().map(f64::from).collect();
    let buckets = bounds.len() + 1;
    let mut histograms = Histograms::new(bounds.into());
    for (sum, min_max, counts, ..) in points {
        let counts = counts
            .iter()
            .cycle()
            .take(buckets)
            .map(|&count| u64::from(count));
        histograms.push(counts, *sum, *min_max);
    }
    histograms
}

fn exponential(points: &[Point]) -> ExponentialHistograms {
    let mut histograms = ExponentialHistograms::default();
    for (sum, min_max, counts, (scale, offset, zero_threshold), _) in points {
        let counts: Vec<_> = counts.iter().map(|&count| u64::from(count)).collect();
        let (positive, negative) = counts.split_at(counts.len() / 2);
        histograms.push(ExponentialPoint {
            scale: *scale,
            zero_count: counts[0],
            zero_threshold: *zero_threshold,
            positive: ExponentialBuckets {
                offset: *offset,
                counts: positive,
            },
            negative: ExponentialBuckets {
                offset: offset.wrapping_neg(),
                counts: negative,
            },
            sum: *sum,
            min_max: *min_max,
        });
    }
    histograms
}

fn snapshot() -> impl Strategy<Value = Snapshot> {
    let resource = (attributes(), option::of(".{1,20}"));
    (resource, vec(metric(), 0..6), 0..1_u64 << 60).prop_map(|(resource, mut metrics, time)| {
        // As in a snapshot of the SDK: metrics of one scope stand together.
        for at in 1..metrics.len() {
            if at % 2 == 0 {
                metrics[at].scope = Arc::clone(&metrics[at - 1].scope);
            }
        }
        let (attributes, schema_url) = resource;
        let resource = Resource::new(&attributes);
        let resource = match schema_url {
            Some(url) => resource.with_schema_url(url),
            None => resource,
        };
        Snapshot {
            time: UNIX_EPOCH + Duration::from_nanos(time),
            resource: Arc::new(resource),
            metrics,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// However small the requests, together they hold every point, once and in order; and none is
    /// larger than allowed unless it has a single point.
    #[test]
    fn any_snapshot_reads_back(
        snapshot in snapshot(),
        max_points in prop_oneof![Just(1_usize), 2..9_usize, Just(10_000)],
        max_bytes in prop_oneof![Just(0_usize), 200..5_000_usize, Just(1 << 20)],
    ) {
        let mut options = EncoderOptions::default();
        (options.max_points, options.max_bytes) = (max_points, max_bytes);
        let mut encoder = Encoder::new(options);
        let batches = encoder.encode(&snapshot);
        prop_assert_eq!(merged(&batches), expected::request(&snapshot));
        for batch in &batches {
            prop_assert!(batch.points <= max_points as u64);
            prop_assert!(batch.message.len() <= max_bytes || batch.points == 1);
        }
        prop_assert_eq!(encoder.encode(&snapshot), batches, "what is remembered is right");
    }
}
