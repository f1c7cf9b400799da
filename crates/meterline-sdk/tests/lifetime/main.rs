//! How series begin and end: expiry, removal, declaration, and what comes back.

mod concurrent;
mod ending;
mod handles;

use std::time::Duration;

use meterline_sdk::{
    Data, MeterProvider, Metric, Number, Reader, ReaderOptions, Snapshot, TemporalityPreference,
};
use opentelemetry::KeyValue;

/// Series expire in the second collection after the last recording.
fn forgetful() -> MeterProvider {
    let builder = MeterProvider::builder();
    builder.with_series_ttl(Some(Duration::ZERO)).build()
}

fn delta_reader(provider: &MeterProvider) -> Reader {
    let mut options = ReaderOptions::default();
    options.temporality = TemporalityPreference::Delta;
    provider.reader(options)
}

fn metric<'a>(snapshot: &'a Snapshot, name: &str) -> Option<&'a Metric> {
    let mut metrics = snapshot.metrics.iter();
    metrics.find(|metric| metric.descriptor.name == name)
}

/// The values of a sum or gauge by the (only) attribute of their series.
fn values(snapshot: &Snapshot, name: &str) -> Vec<(String, Number)> {
    let Some(metric) = metric(snapshot, name) else {
        return Vec::new();
    };
    let (Data::Sum { values, .. } | Data::Gauge(values)) = &metric.data else {
        panic!("{metric:?}")
    };
    assert_eq!(values.len(), metric.series.len());
    let names = metric.series.iter().map(|series| {
        let first = series.attributes().first();
        first.map_or(String::new(), |first| first.value.to_string())
    });
    names.zip(values.iter().copied()).collect()
}

fn named(values: &[(&str, u64)]) -> Vec<(String, Number)> {
    let owned = |(name, value): &(&str, u64)| ((*name).to_owned(), Number::U64(*value));
    values.iter().map(owned).collect()
}

fn worker(name: &'static str) -> [KeyValue; 1] {
    [KeyValue::new("worker", name)]
}
