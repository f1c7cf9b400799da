//! Short ways to make snapshots, and pages of them.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use meterline_exposition::{Exposition, Format, TranslationOptions, Translator, encode_json};
use meterline_sdk::{
    Data, Descriptor, Exemplar, Exemplars, ExponentialBuckets, ExponentialHistograms,
    ExponentialPoint, Histograms, InstrumentKind, Metric, Number, Resource, Series, Snapshot,
    Temporality,
};
use opentelemetry::{InstrumentationScope, KeyValue, SpanId, TraceId};

/// The attributes of a series.
pub(crate) type Attributes = Vec<KeyValue>;

pub(crate) fn attributes(pairs: &[(&'static str, &'static str)]) -> Attributes {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| KeyValue::new(*key, *value))
        .collect()
}

/// When all series began.
fn began() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_600_000_000_250)
}

pub(crate) fn snapshot(resource: &[KeyValue], metrics: Vec<Metric>) -> Snapshot {
    Snapshot {
        time: UNIX_EPOCH,
        resource: Arc::new(Resource::new(resource)),
        metrics,
    }
}

/// A metric of scope `shop`; `named` is name, unit and description.
pub(crate) fn metric(
    named: [&str; 3],
    series: impl IntoIterator<Item = Attributes>,
    data: Data,
) -> Metric {
    in_scope(
        InstrumentationScope::builder("shop").build(),
        named,
        series,
        data,
    )
}

pub(crate) fn in_scope(
    scope: InstrumentationScope,
    [name, unit, description]: [&str; 3],
    series: impl IntoIterator<Item = Attributes>,
    data: Data,
) -> Metric {
    let kind = match &data {
        Data::Sum {
            monotonic: true, ..
        } => InstrumentKind::Counter,
        Data::Sum { .. } => InstrumentKind::UpDownCounter,
        Data::Histogram(_) | Data::Both(..) | Data::ExponentialHistogram(_) => {
            InstrumentKind::Histogram
        }
        _ => InstrumentKind::Gauge,
    };
    let descriptor = Descriptor {
        name: name.to_owned().into(),
        kind,
        unit: unit.to_owned().into(),
        description: description.to_owned().into(),
    };
    let series = series
        .into_iter()
        .map(|a| Arc::new(Series::new(&a, began())));
    Metric {
        scope: Arc::new(scope),
        descriptor: Arc::new(descriptor),
        series: series.collect(),
        data,
        temporality: Temporality::Cumulative,
        exemplars: Exemplars::default(),
    }
}

pub(crate) fn counter(values: &[u64]) -> Data {
    Data::Sum {
        monotonic: true,
        values: values.iter().copied().map(Number::U64).collect(),
    }
}

pub(crate) fn gauge(values: &[f64]) -> Data {
    Data::Gauge(values.iter().copied().map(Number::F64).collect())
}

pub(crate) fn histogram(bounds: &[f64], points: &[(&[u64], Number)]) -> Data {
    let mut data = Histograms::new(bounds.into());
    for (counts, sum) in points {
        data.push(counts.iter().copied(), *sum, None);
    }
    Data::Histogram(data)
}

pub(crate) fn page(format: Format, options: &TranslationOptions, snapshot: &Snapshot) -> Vec<u8> {
    let mut page = Vec::new();
    let mut translator = Translator::new(options.clone());
    format.encode(&translator.translate(snapshot), &mut page);
    page
}

/// The metric with exemplars of its points, each with its position; all of them recorded in a span.
pub(crate) fn with_exemplars(
    mut metric: Metric,
    exemplars: &[(usize, f64, &[KeyValue])],
) -> Metric {
    for (n, (point, value, attributes)) in (1..).zip(exemplars) {
        let exemplar = Exemplar {
            value: Number::F64(*value),
            time: UNIX_EPOCH + Duration::from_millis(1_700_000_000_000 + n),
            span: Some((TraceId::from(u128::from(n)), SpanId::from(n))),
            filtered_attributes: attributes.to_vec().into(),
        };
        metric.exemplars.push(*point, exemplar);
    }
    metric
}

/// The offset and the counts of exponential buckets.
type Buckets<'a> = (i32, &'a [u64]);

/// Exponential histograms: scale, zero count, and offset and counts of positive and negative buckets.
pub(crate) fn exponential(points: &[(i8, u64, Buckets<'_>, Buckets<'_>)]) -> ExponentialHistograms {
    let buckets = |(offset, counts)| ExponentialBuckets { offset, counts };
    let mut data = ExponentialHistograms::default();
    for &(scale, zero_count, positive, negative) in points {
        data.push(ExponentialPoint {
            scale,
            zero_count,
            zero_threshold: 0.0,
            positive: buckets(positive),
            negative: buckets(negative),
            sum: Number::F64(12.5),
            min_max: None,
        });
    }
    data
}

/// These options as far as the format has room for them.
pub(crate) fn for_format(format: Format, mut options: TranslationOptions) -> TranslationOptions {
    options.escaping = Exposition::new(format, options.escaping).escaping;
    options
}

pub(crate) fn text_page(options: &TranslationOptions, snapshot: &Snapshot) -> String {
    let options = &for_format(Format::Text, options.clone());
    String::from_utf8(page(Format::Text, options, snapshot)).expect("a page is UTF-8")
}

pub(crate) fn json_page(options: &TranslationOptions, snapshot: &Snapshot) -> String {
    let mut page = Vec::new();
    let mut translator = Translator::new(options.clone());
    encode_json(&translator.translate(snapshot), &mut page).expect("every value has a JSON form");
    String::from_utf8(page).expect("a page is UTF-8")
}
