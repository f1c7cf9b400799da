//! Short ways to make snapshots, and pages of them.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use meterline_exposition::{TranslationOptions, Translator, encode_json, encode_text};
use meterline_sdk::{
    Data, Descriptor, Exemplars, Histograms, InstrumentKind, Metric, Number, Resource, Series,
    Snapshot, Temporality,
};
use opentelemetry::{InstrumentationScope, KeyValue};

/// The attributes of a series.
pub(crate) type Attributes = Vec<KeyValue>;

pub(crate) fn attributes(pairs: &[(&'static str, &'static str)]) -> Attributes {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| KeyValue::new(*key, *value))
        .collect()
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
        Data::Histogram(_) => InstrumentKind::Histogram,
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
        .map(|a| Arc::new(Series::new(&a, UNIX_EPOCH)));
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

pub(crate) fn text_page(options: &TranslationOptions, snapshot: &Snapshot) -> String {
    let mut page = Vec::new();
    let mut translator = Translator::new(options.clone());
    encode_text(&translator.translate(snapshot), &mut page);
    String::from_utf8(page).expect("a page is UTF-8")
}

pub(crate) fn json_page(options: &TranslationOptions, snapshot: &Snapshot) -> String {
    let mut page = Vec::new();
    let mut translator = Translator::new(options.clone());
    encode_json(&translator.translate(snapshot), &mut page).expect("every value has a JSON form");
    String::from_utf8(page).expect("a page is UTF-8")
}
