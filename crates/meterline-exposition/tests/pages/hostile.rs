//! Snapshots that nobody wishes for: names, keys and values made to break a page.

use std::time::{Duration, UNIX_EPOCH};

use meterline_exposition::{Escaping, TranslationOptions, TranslationStrategy};
use meterline_sdk::{
    Data, Exemplar, ExponentialBuckets, ExponentialHistograms, ExponentialPoint, Histograms,
    Metric, Number, Snapshot, Temporality,
};
use opentelemetry::{
    Array, InstrumentationScope, Key, KeyValue, SpanId, StringValue, TraceId, Value,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::build::{in_scope, snapshot};

const NAMES: &[&str] = &[
    "",
    "...",
    "x",
    "x_total",
    "x.total",
    "x_total_total",
    "x_count",
    "x_sum",
    "x_bucket",
    "x_created",
    "x_info",
    "target",
    "x.bucket",
    "x_seconds",
    "a.b",
    "a_b",
    "a..b",
    "1x",
    "_1x",
    "total",
    "le",
    "__name__",
    "target_info",
    "target.info",
    "up:rate",
    "日本",
    "x\n# TYPE y counter\ny 1",
    "x{a=\"b\"}",
];

const KEYS: &[&str] = &[
    "",
    "le",
    "quantile",
    "__name__",
    "name",
    "job",
    "1abc",
    "key_1abc",
    "a.b",
    "a_b",
    "a-b",
    "exported_le",
    "exported.le",
    "otel_scope_name",
    "otel.scope.name",
    "otel_scope_version",
    "otel_scope_schema_url",
    "version",
    "schema.url",
    "{}",
    "=",
    "\"",
    "a\"} 1\ny{b=\"",
    "日本",
    "_",
];

const TEXTS: &[&str] = &[
    "",
    "\\",
    "\\\\",
    "\n",
    "\\n",
    "\"",
    "\\\"",
    "}",
    "\"} 1\n",
    ",",
    "=",
    "#",
    "\0",
    "\r\n",
    " x ",
    "\u{85}\u{2028}",
    "200",
    "true",
    "é",
    "\u{10ffff}",
];

const UNITS: &[&str] = &[
    "",
    "1",
    "s",
    "By",
    "m/s",
    "{request}",
    "%",
    "µs",
    "made up",
    "/",
    "{",
];

fn text(known: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![
        6 => select(known).prop_map(str::to_owned),
        // Any character of any plane, control characters too.
        3 => vec(any::<char>(), 0..12).prop_map(|chars| chars.into_iter().collect()),
        1 => (select(known), 1..300_usize).prop_map(|(text, times)| text.repeat(times)),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let words = vec(text(TEXTS), 0..3);
    let words = words.prop_map(|w| w.into_iter().map(StringValue::from).collect());
    prop_oneof![
        6 => text(TEXTS).prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => prop_oneof![Just(200), any::<i64>()].prop_map(Value::from),
        1 => any_float().prop_map(Value::from),
        1 => words.prop_map(|words| Value::Array(Array::String(words))),
        1 => vec(any_float(), 0..3).prop_map(|floats| Value::Array(Array::F64(floats))),
    ]
}

/// Any string, as a label value.
pub(crate) fn any_text() -> impl Strategy<Value = String> {
    text(TEXTS)
}

/// Every float there is, and often one that is special.
pub(crate) fn any_float() -> impl Strategy<Value = f64> {
    let special = [
        0.0,
        -0.0,
        1.0,
        1e6,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ];
    prop_oneof![
        select(special.to_vec()),
        any::<u64>().prop_map(f64::from_bits)
    ]
}

/// A number of any type.
pub(crate) fn any_number() -> impl Strategy<Value = Number> {
    prop_oneof![
        any::<u64>().prop_map(Number::U64),
        any::<i64>().prop_map(Number::I64),
        any_float().prop_map(Number::F64),
    ]
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let attribute = (text(KEYS), value());
    let attribute = attribute.prop_map(|(key, value)| KeyValue::new(Key::from(key), value));
    vec(attribute, 0..5)
}

fn scope() -> impl Strategy<Value = InstrumentationScope> {
    let identity = (text(TEXTS), text(TEXTS), text(TEXTS));
    let hostile = (identity, attributes()).prop_map(|((name, version, url), attributes)| {
        InstrumentationScope::builder(name)
            .with_version(version)
            .with_schema_url(url)
            .with_attributes(attributes)
            .build()
    });
    let plain = select(&["", "a", "b"][..]);
    let plain = plain.prop_map(|name| InstrumentationScope::builder(name).build());
    prop_oneof![3 => plain, 1 => hostile]
}

fn data(points: usize) -> impl Strategy<Value = Data> {
    let numbers = (0..3, vec(any_number(), points));
    let numbers = numbers.prop_map(|(kind, values)| match kind {
        0 => Data::Gauge(values),
        kind => Data::Sum {
            monotonic: kind == 1,
            values,
        },
    });
    let both = (fixed(points), native(points));
    let both = both.prop_map(|(fixed, native)| match fixed {
        Data::Histogram(fixed) => Data::Both(fixed, native),
        other => other,
    });
    prop_oneof![
        4 => numbers,
        2 => fixed(points),
        1 => native(points).prop_map(Data::ExponentialHistogram),
        1 => both,
    ]
}

fn fixed(points: usize) -> impl Strategy<Value = Data> {
    let bounds = vec(any_float(), 0..5);
    bounds.prop_flat_map(move |bounds| {
        let point = (vec(any::<u64>(), bounds.len() + 1), any_number());
        vec(point, points).prop_map(move |points| {
            let mut data = Histograms::new(bounds.clone().into());
            for (counts, sum) in points {
                data.push(counts, sum, None);
            }
            Data::Histogram(data)
        })
    })
}

fn native(points: usize) -> impl Strategy<Value = ExponentialHistograms> {
    vec(exponential_point(), points).prop_map(|points| {
        let mut data = ExponentialHistograms::default();
        for (scale, zero, positive, negative, sum) in points {
            data.push(ExponentialPoint {
                scale,
                zero_count: zero.0,
                zero_threshold: zero.1,
                positive: ExponentialBuckets {
                    offset: positive.0,
                    counts: &positive.1,
                },
                negative: ExponentialBuckets {
                    offset: negative.0,
                    counts: &negative.1,
                },
                sum,
                min_max: None,
            });
        }
        data
    })
}

type Buckets = (i32, Vec<u64>);

/// Scale, count and width of the zero bucket, positive and negative buckets, sum.
fn exponential_point() -> impl Strategy<Value = (i8, (u64, f64), Buckets, Buckets, Number)> {
    let count = || prop_oneof![3 => 0..9_u64, 1 => any::<u64>()];
    let offset = || prop_oneof![3 => -20..20, 1 => any::<i32>()];
    let buckets = || (offset(), vec(count(), 0..6));
    let threshold = prop_oneof![3 => Just(0.0), 1 => any_float()];
    let scale = prop_oneof![3 => -10..=20_i8, 1 => any::<i8>()];
    (
        scale,
        (count(), threshold),
        buckets(),
        buckets(),
        any_number(),
    )
}

fn exemplars() -> impl Strategy<Value = Vec<(usize, Exemplar)>> {
    let span = any::<Option<(u128, u64)>>();
    let exemplar = (0..4_usize, any_number(), any::<u32>(), span, attributes());
    let exemplar = exemplar.prop_map(|(point, value, time, span, attributes)| {
        let exemplar = Exemplar {
            value,
            time: UNIX_EPOCH + Duration::from_nanos(u64::from(time) << 30),
            span: span.map(|(trace, span)| (TraceId::from(trace), SpanId::from(span))),
            filtered_attributes: attributes.into(),
        };
        (point, exemplar)
    });
    let some = vec(exemplar, 1..8).prop_map(|mut exemplars| {
        exemplars.sort_by_key(|(point, _)| *point);
        exemplars
    });
    prop_oneof![2 => Just(Vec::new()), 1 => some]
}

fn metric() -> impl Strategy<Value = Metric> {
    let named = (text(NAMES), select(UNITS), text(TEXTS));
    let points = vec(attributes(), 0..4).prop_flat_map(|series| {
        let data = data(series.len());
        (Just(series), data)
    });
    let all = (scope(), named, points, exemplars(), 0..20);
    all.prop_map(
        |(scope, (name, unit, help), (series, data), exemplars, kind)| {
            let mut metric = in_scope(scope, [&name, unit, &help], series, data);
            for (point, exemplar) in exemplars {
                metric.exemplars.push(point, exemplar);
            }
            if kind == 0 {
                metric.temporality = Temporality::Delta { since: UNIX_EPOCH };
            }
            metric
        },
    )
}

pub(crate) fn hostile_snapshot() -> impl Strategy<Value = Snapshot> {
    (attributes(), vec(metric(), 0..8)).prop_map(|(resource, metrics)| snapshot(&resource, metrics))
}

pub(crate) fn any_options() -> impl Strategy<Value = TranslationOptions> {
    let strategy = select(&TranslationStrategy::ALL[..]);
    let labels = vec(select(KEYS).prop_map(str::to_owned), 0..3);
    let escaping = select(&Escaping::ALL[..]);
    let all = (strategy, escaping, any::<[bool; 3]>(), labels);
    all.prop_map(|(strategy, escaping, [scope, target, created], labels)| {
        let mut options = TranslationOptions::default();
        options.strategy = strategy;
        options.escaping = escaping;
        options.created_timestamps = created;
        options.scope_labels = scope;
        options.target_info = target;
        options.resource_labels = labels;
        options
    })
}

/// The same hostile snapshots every time, for checks too slow to be done by the thousand.
pub(crate) fn samples(how_many: usize) -> Vec<(TranslationOptions, Snapshot)> {
    let mut runner = TestRunner::deterministic();
    let strategy = (any_options(), hostile_snapshot());
    let sample = |_| {
        strategy
            .new_tree(&mut runner)
            .expect("no filters")
            .current()
    };
    (0..how_many).map(sample).collect()
}
