//! The points of either SDK in one comparable form.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use meterline_sdk::{Data, Number, Snapshot};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, ExponentialBucket, MetricData, ResourceMetrics, ScopeMetrics,
};
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{InstrumentKind, ManualReader, Pipeline, Temporality};

/// By instrument and (sorted, printed) attributes.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Points(BTreeMap<(String, String), Point>);

#[derive(Debug, PartialEq)]
enum Point {
    Integer(i128),
    Float(f64),
    Histogram {
        bounds: Vec<f64>,
        counts: Vec<u64>,
        sum: Box<Point>,
        min_max: Option<[Box<Point>; 2]>,
    },
    Exponential {
        scale: i8,
        zeros: u64,
        positive: Buckets,
        negative: Buckets,
        sum: Box<Point>,
        min_max: Option<[Box<Point>; 2]>,
    },
}

/// Counts by bucket, those that are not zero.
type Buckets = BTreeMap<i32, u64>;

fn buckets(offset: i32, counts: impl Iterator<Item = u64>) -> Buckets {
    (offset..)
        .zip(counts)
        .filter(|(_, count)| *count > 0)
        .collect()
}

/// The smallest and the largest value, where there is any.
fn extremes<T: Into<Point>>(min_max: Option<(T, T)>) -> Option<[Box<Point>; 2]> {
    min_max.map(|(min, max)| [Box::new(min.into()), Box::new(max.into())])
}

impl Points {
    /// Of one of our snapshots.
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let mut points = Self::default();
        for metric in &snapshot.metrics {
            let values: Vec<Point> = match &metric.data {
                Data::Sum { values, .. } | Data::Gauge(values) => {
                    values.iter().map(|value| Point::from(*value)).collect()
                }
                Data::Histogram(histograms) => histograms
                    .iter()
                    .map(|point| Point::Histogram {
                        bounds: histograms.bounds().to_vec(),
                        counts: point.counts.to_vec(),
                        sum: Box::new(point.sum.into()),
                        min_max: extremes(point.min_max),
                    })
                    .collect(),
                Data::ExponentialHistogram(histograms) => histograms
                    .iter()
                    .map(|point| Point::Exponential {
                        scale: point.scale,
                        zeros: point.zero_count,
                        positive: buckets(
                            point.positive.offset,
                            point.positive.counts.iter().copied(),
                        ),
                        negative: buckets(
                            point.negative.offset,
                            point.negative.counts.iter().copied(),
                        ),
                        sum: Box::new(point.sum.into()),
                        min_max: extremes(point.min_max),
                    })
                    .collect(),
                other => panic!("a kind of data this test doesn't know: {other:?}"),
            };
            assert_eq!(values.len(), metric.series.len(), "one value per series");
            for (series, value) in metric.series.iter().zip(values) {
                points.add(&metric.descriptor.name, series.attributes().iter(), value);
            }
        }
        points
    }

    /// Of a collection by the official SDK.
    pub(crate) fn collected(reader: &SharedReader) -> Self {
        let mut collected = ResourceMetrics::default();
        // An error here says that there is nothing to collect yet.
        let _ = reader.collect(&mut collected);
        let mut points = Self::default();
        for metric in collected.scope_metrics().flat_map(ScopeMetrics::metrics) {
            match metric.data() {
                AggregatedMetrics::F64(data) => points.add_official(metric.name(), data),
                AggregatedMetrics::U64(data) => points.add_official(metric.name(), data),
                AggregatedMetrics::I64(data) => points.add_official(metric.name(), data),
            }
        }
        points
    }

    /// Those whose name and (printed) attributes are wanted.
    pub(crate) fn only(mut self, wanted: impl Fn(&str, &str) -> bool) -> Self {
        self.0
            .retain(|(name, attributes), _| wanted(name, attributes));
        self
    }

    /// Those that hold anything, without extremes: what deltas of both have in common.
    pub(crate) fn recorded(mut self) -> Self {
        self.0.retain(|_, point| match point {
            Point::Integer(value) => *value != 0,
            Point::Float(value) => *value != 0.0,
            Point::Histogram {
                counts, min_max, ..
            } => {
                *min_max = None;
                counts.iter().any(|count| *count > 0)
            }
            Point::Exponential { .. } => true,
        });
        self
    }

    fn add_official<T: Copy + Debug + Into<Point>>(&mut self, name: &str, data: &MetricData<T>) {
        match data {
            MetricData::Gauge(gauge) => {
                for point in gauge.data_points() {
                    self.add(name, point.attributes(), point.value().into());
                }
            }
            MetricData::Sum(sum) => {
                for point in sum.data_points() {
                    self.add(name, point.attributes(), point.value().into());
                }
            }
            MetricData::Histogram(histogram) => {
                for point in histogram.data_points() {
                    let min_max = point.min().zip(point.max());
                    let value = Point::Histogram {
                        bounds: point.bounds().collect(),
                        // Without bounds it exports no buckets; there is one, which holds everything.
                        counts: match point.bounds().count() {
                            0 => vec![point.count()],
                            _ => point.bucket_counts().collect(),
                        },
                        sum: Box::new(point.sum().into()),
                        min_max: extremes(min_max.filter(|_| point.count() > 0)),
                    };
                    self.add(name, point.attributes(), value);
                }
            }
            MetricData::ExponentialHistogram(histogram) => {
                for point in histogram.data_points() {
                    let of = |side: &ExponentialBucket| buckets(side.offset(), side.counts());
                    let min_max = point.min().zip(point.max());
                    let value = Point::Exponential {
                        scale: point.scale(),
                        zeros: point.zero_count(),
                        positive: of(point.positive_bucket()),
                        negative: of(point.negative_bucket()),
                        sum: Box::new(point.sum().into()),
                        min_max: extremes(min_max.filter(|_| point.count() > 0)),
                    };
                    self.add(name, point.attributes(), value);
                }
            }
        }
    }

    fn add<'a>(
        &mut self,
        name: &str,
        attributes: impl Iterator<Item = &'a KeyValue>,
        value: Point,
    ) {
        let mut attributes: Vec<String> = attributes
            .map(|attribute| format!("{}={:?}", attribute.key, attribute.value))
            .collect();
        attributes.sort();
        let attributes = attributes.join(",");
        let replaced = self.0.insert((name.to_owned(), attributes.clone()), value);
        assert!(replaced.is_none(), "{name} has two points for {attributes}");
    }
}

impl From<Number> for Point {
    fn from(number: Number) -> Self {
        match number {
            Number::U64(value) => value.into(),
            Number::I64(value) => value.into(),
            Number::F64(value) => value.into(),
        }
    }
}

impl From<u64> for Point {
    fn from(value: u64) -> Self {
        Self::Integer(value.into())
    }
}

impl From<i64> for Point {
    fn from(value: i64) -> Self {
        Self::Integer(value.into())
    }
}

impl From<f64> for Point {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

/// Equal, float sums within 1e-9 of the larger one's magnitude.
pub(crate) fn assert_same(ours: &Points, official: &Points) {
    let keys = |points: &Points| points.0.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(ours), keys(official), "the same series");
    for (key, our) in &ours.0 {
        assert!(
            is_same(our, &official.0[key]),
            "{key:?}: {our:?} != {:?}",
            official.0[key]
        );
    }
}

fn is_same(ours: &Point, official: &Point) -> bool {
    match (ours, official) {
        (Point::Float(a), Point::Float(b)) => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0),
        (
            Point::Histogram {
                bounds,
                counts,
                sum,
                min_max,
            },
            Point::Histogram {
                bounds: b,
                counts: c,
                sum: s,
                min_max: m,
            },
        ) => bounds == b && counts == c && is_same(sum, s) && min_max == m,
        (
            Point::Exponential {
                scale,
                zeros,
                positive,
                negative,
                sum,
                min_max,
            },
            Point::Exponential {
                scale: b,
                zeros: z,
                positive: p,
                negative: n,
                sum: s,
                min_max: m,
            },
        ) => (scale, zeros, positive, negative) == (b, z, p, n) && is_same(sum, s) && min_max == m,
        (a, b) => a == b,
    }
}

/// What callbacks shall say in the next collection.
#[derive(Clone, Default)]
pub(crate) struct Said(Arc<Mutex<Vec<Observation>>>);

type Observation = (Vec<KeyValue>, u32, f64);

impl Said {
    pub(crate) fn set(&self, said: Vec<Observation>) {
        *self.0.lock().expect("no test panics while it holds this") = said;
    }

    fn each(&self, mut observe: impl FnMut(&[KeyValue], u32, f64)) {
        for (attributes, integer, float) in
            &*self.0.lock().expect("no test panics while it holds this")
        {
            observe(attributes, *integer, *float);
        }
    }

    /// Has every kind of observable instrument say it.
    pub(crate) fn observed_by(&self, meter: &Meter) {
        let said = self.clone();
        meter
            .u64_observable_counter("u64.counter")
            .with_callback(move |to| said.each(|a, integer, _| to.observe(integer.into(), a)))
            .build();
        let said = self.clone();
        meter
            .f64_observable_counter("f64.counter")
            .with_callback(move |to| said.each(|a, _, float| to.observe(float.abs(), a)))
            .build();
        let said = self.clone();
        meter
            .i64_observable_up_down_counter("i64.up_down")
            .with_callback(move |to| said.each(|a, n, _| to.observe(i64::from(n) - 500, a)))
            .build();
        let said = self.clone();
        meter
            .f64_observable_up_down_counter("f64.up_down")
            .with_callback(move |to| said.each(|a, _, float| to.observe(float, a)))
            .build();
        let said = self.clone();
        meter
            .u64_observable_gauge("u64.gauge")
            .with_callback(move |to| said.each(|a, integer, _| to.observe(integer.into(), a)))
            .build();
        let said = self.clone();
        meter
            .i64_observable_gauge("i64.gauge")
            .with_callback(move |to| said.each(|a, n, _| to.observe(i64::from(n) - 500, a)))
            .build();
        let said = self.clone();
        meter
            .f64_observable_gauge("f64.gauge")
            .with_callback(move |to| said.each(|a, _, float| to.observe(float, a)))
            .build();
    }
}

/// A manual reader that the test keeps a hand on.
#[derive(Clone, Debug)]
pub(crate) struct SharedReader(Arc<ManualReader>);

impl SharedReader {
    pub(crate) fn new(reader: ManualReader) -> Self {
        Self(Arc::new(reader))
    }
}

impl MetricReader for SharedReader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, into: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(into)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}
