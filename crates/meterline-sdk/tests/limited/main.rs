//! Readers that see fewer series than there are: the others are added up for them, of every kind of
//! point, and beside readers that see all.

mod concurrent;
mod model;
mod overflow;
mod places;
mod random;
mod work;

use meterline_sdk::{
    MeterProvider, Metric, Reader, ReaderOptions, Snapshot, TemporalityPreference,
};
use opentelemetry::KeyValue;

fn limited(provider: &MeterProvider, limit: usize, temporality: TemporalityPreference) -> Reader {
    let mut options = ReaderOptions::default();
    options.cardinality_limit = Some(limit);
    options.temporality = temporality;
    provider.reader(options)
}

fn id(id: u8) -> [KeyValue; 1] {
    [KeyValue::new("id", i64::from(id))]
}

fn metric<'a>(snapshot: &'a Snapshot, name: &str) -> Option<&'a Metric> {
    let mut metrics = snapshot.metrics.iter();
    metrics.find(|metric| metric.descriptor.name == name)
}
