//! A snapshot as OTLP messages (opentelemetry-proto 1.x, `metrics/v1/metrics.proto`).

mod attributes;
mod batches;
mod points;

use std::sync::Arc;

use bytes::Bytes;
use meterline_protobuf::Writer;
use meterline_sdk::{Data, Descriptor, Metric, Resource, Snapshot, Temporality};
use opentelemetry::InstrumentationScope;

use attributes::{AttributeCache, key_values};
use batches::{Batches, Headers};
use points::{PointWriter, fields};

/// Turns snapshots into requests, and remembers the encoded attributes of series for as long as the
/// same series are there.
#[derive(Debug)]
pub struct Encoder {
    options: EncoderOptions,
    cache: AttributeCache,
}

/// How an [`Encoder`] encodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EncoderOptions {
    /// No request is larger than this, before compression, unless one point alone is. A gRPC server
    /// takes 4 MiB if nobody told it otherwise, so the default is 2 MiB.
    pub max_bytes: usize,
    /// No request has more points. 10,000 by default.
    pub max_points: usize,
    /// Which one of two histograms of the same recordings is sent. A receiver would take two metrics
    /// of one name and different kinds for a conflict.
    pub of_both: OfBoth,
}

/// Which half of [`Data::Both`] is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OfBoth {
    /// The one over explicit buckets.
    #[default]
    Explicit,
    /// The one over exponential buckets.
    Exponential,
}

/// One encoded request: an `ExportMetricsServiceRequest`, or what [`Signal`](crate::Signal) says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The message.
    pub message: Bytes,
    /// How many points, or spans, it holds.
    pub points: u64,
}

impl Default for EncoderOptions {
    fn default() -> Self {
        Self {
            max_bytes: 2 << 20,
            max_points: 10_000,
            of_both: OfBoth::default(),
        }
    }
}

impl Encoder {
    /// An encoder that remembers nothing yet.
    #[must_use]
    pub fn new(options: EncoderOptions) -> Self {
        Self {
            options,
            cache: AttributeCache::default(),
        }
    }

    /// The requests that carry this snapshot, each complete in itself; none if it has no points.
    /// Points come in the snapshot's order. Series and values are matched by position; what one list
    /// has more than the other is left out.
    pub fn encode(&mut self, snapshot: &Snapshot) -> Vec<Batch> {
        let mut batches = Batches::new(self.options, resource(&snapshot.resource));
        let mut scope: Option<&Arc<InstrumentationScope>> = None;
        for metric in &snapshot.metrics {
            if !scope.is_some_and(|scope| Arc::ptr_eq(scope, &metric.scope)) {
                batches.scope(scope_headers(&metric.scope));
                scope = Some(&metric.scope);
            }
            self.metric(&mut batches, snapshot, metric);
        }
        self.cache.forget_unused();
        batches.finish()
    }

    fn metric(&mut self, batches: &mut Batches, snapshot: &Snapshot, metric: &Metric) {
        let data = match (&metric.data, self.options.of_both) {
            (Data::Sum { monotonic, values }, _) => Values::Sum(*monotonic, values),
            (Data::Gauge(values), _) => Values::Gauge(values),
            (Data::Histogram(explicit), _) | (Data::Both(explicit, _), OfBoth::Explicit) => {
                Values::Explicit(explicit)
            }
            (Data::ExponentialHistogram(exponential), _)
            | (Data::Both(_, exponential), OfBoth::Exponential) => Values::Exponential(exponential),
            // A kind that the SDK may grow.
            _ => return,
        };
        let (data_field, attributes_field) = match data {
            Values::Gauge(_) => (5, fields::NUMBER_ATTRIBUTES),
            Values::Sum(..) => (7, fields::NUMBER_ATTRIBUTES),
            Values::Explicit(_) => (9, fields::HISTOGRAM_ATTRIBUTES),
            Values::Exponential(_) => (10, fields::EXPONENTIAL_ATTRIBUTES),
        };
        let monotonic = match data {
            Values::Sum(monotonic, _) => Some(monotonic),
            _ => None,
        };
        let temporality = (!matches!(data, Values::Gauge(_))).then_some(metric.temporality);
        batches.metric(
            metric_headers(&metric.descriptor, temporality, monotonic),
            data_field,
        );
        let points = PointWriter::new(metric, snapshot.time);
        let attributes = self.cache.of(&metric.series, attributes_field);
        let series = attributes.iter().zip(metric.series.iter()).enumerate();
        match data {
            Values::Gauge(values) => {
                for ((i, (attributes, _)), &value) in series.zip(values) {
                    batches.point(|out| points.number(out, i, attributes, None, value));
                }
            }
            Values::Sum(_, values) => {
                for ((i, (attributes, series)), &value) in series.zip(values) {
                    let start = Some(points.start(series));
                    batches.point(|out| points.number(out, i, attributes, start, value));
                }
            }
            Values::Explicit(histograms) => {
                for ((i, (attributes, series)), point) in series.zip(histograms.iter()) {
                    let (start, bounds) = (points.start(series), histograms.bounds());
                    batches.point(|out| points.explicit(out, i, attributes, start, bounds, point));
                }
            }
            Values::Exponential(histograms) => {
                for ((i, (attributes, series)), point) in series.zip(histograms.iter()) {
                    let start = points.start(series);
                    batches.point(|out| points.exponential(out, i, attributes, start, point));
                }
            }
        }
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new(EncoderOptions::default())
    }
}

/// What of a metric's data is sent.
#[derive(Clone, Copy)]
enum Values<'a> {
    Sum(bool, &'a [meterline_sdk::Number]),
    Gauge(&'a [meterline_sdk::Number]),
    Explicit(&'a meterline_sdk::Histograms),
    Exponential(&'a meterline_sdk::ExponentialHistograms),
}

/// `ResourceMetrics` but for its scopes.
fn resource(resource: &Resource) -> Headers {
    let (mut before, mut after) = (Writer::new(), Writer::new());
    let message = before.begin(1);
    key_values(&mut before, 1, resource.attributes().iter());
    before.end(message);
    if let Some(url) = resource.schema_url() {
        after.string(3, url);
    }
    Headers { before, after }
}

/// `ScopeMetrics` but for its metrics.
fn scope_headers(scope: &InstrumentationScope) -> Headers {
    let (mut before, mut after) = (Writer::new(), Writer::new());
    let message = before.begin(1);
    if !scope.name().is_empty() {
        before.string(1, scope.name());
    }
    if let Some(version) = scope.version() {
        before.string(2, version);
    }
    key_values(&mut before, 3, scope.attributes());
    before.end(message);
    if let Some(url) = scope.schema_url() {
        after.string(3, url);
    }
    Headers { before, after }
}

/// `Metric` but for its data, and what follows the points within the data.
fn metric_headers(
    descriptor: &Descriptor,
    temporality: Option<Temporality>,
    monotonic: Option<bool>,
) -> Headers {
    let (mut before, mut after) = (Writer::new(), Writer::new());
    before.string(1, &descriptor.name);
    if !descriptor.description.is_empty() {
        before.string(2, &descriptor.description);
    }
    if !descriptor.unit.is_empty() {
        before.string(3, &descriptor.unit);
    }
    match temporality {
        Some(Temporality::Delta { .. }) => after.uint64(2, 1),
        Some(Temporality::Cumulative) => after.uint64(2, 2),
        None => {}
    }
    if monotonic == Some(true) {
        after.bool(3, true);
    }
    Headers { before, after }
}
