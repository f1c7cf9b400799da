//! A snapshot in the official message types, made the long way.

use std::time::{SystemTime, UNIX_EPOCH};

use meterline_sdk::{Data, Exemplar, Metric, Number, Snapshot, Temporality};
use opentelemetry::{Array, KeyValue, Value};
use opentelemetry_proto::tonic::common::v1 as common;
use opentelemetry_proto::tonic::metrics::v1 as proto;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::{exemplar, metric, number_data_point};
use opentelemetry_proto::tonic::resource::v1::Resource;

pub(crate) fn request(snapshot: &Snapshot) -> Vec<proto::ResourceMetrics> {
    let mut scopes: Vec<proto::ScopeMetrics> = Vec::new();
    for metric in snapshot
        .metrics
        .iter()
        .filter(|metric| !metric.data.is_empty())
    {
        let scope = common::InstrumentationScope {
            name: metric.scope.name().to_owned(),
            version: metric.scope.version().unwrap_or_default().to_owned(),
            attributes: metric.scope.attributes().map(key_value).collect(),
            dropped_attributes_count: 0,
        };
        let schema_url = metric.scope.schema_url().unwrap_or_default().to_owned();
        let scope = Some(scope);
        if scopes
            .last()
            .is_none_or(|last| last.scope != scope || last.schema_url != schema_url)
        {
            scopes.push(proto::ScopeMetrics {
                scope,
                metrics: Vec::new(),
                schema_url,
            });
        }
        let last = scopes.last_mut().expect("there is one");
        last.metrics.push(proto_metric(snapshot, metric));
    }
    if scopes.is_empty() {
        return Vec::new();
    }
    let attributes = snapshot.resource.attributes().iter().map(key_value);
    let resource = Resource {
        attributes: attributes.collect(),
        ..Resource::default()
    };
    vec![proto::ResourceMetrics {
        resource: Some(resource),
        scope_metrics: scopes,
        schema_url: snapshot
            .resource
            .schema_url()
            .unwrap_or_default()
            .to_owned(),
    }]
}

fn proto_metric(snapshot: &Snapshot, metric: &Metric) -> proto::Metric {
    let temporality = match metric.temporality {
        Temporality::Cumulative => proto::AggregationTemporality::Cumulative,
        Temporality::Delta { .. } => proto::AggregationTemporality::Delta,
    };
    let aggregation_temporality = temporality.into();
    let point = Point { snapshot, metric };
    let data = match &metric.data {
        Data::Sum { monotonic, values } => metric::Data::Sum(proto::Sum {
            data_points: point.numbers(values, true),
            aggregation_temporality,
            is_monotonic: *monotonic,
        }),
        Data::Gauge(values) => metric::Data::Gauge(proto::Gauge {
            data_points: point.numbers(values, false),
        }),
        Data::Histogram(histograms) | Data::Both(histograms, _) => {
            let points = histograms.iter().enumerate();
            let points = points.map(|(i, p)| point.explicit(i, histograms.bounds(), p));
            metric::Data::Histogram(proto::Histogram {
                data_points: points.collect(),
                aggregation_temporality,
            })
        }
        Data::ExponentialHistogram(histograms) => {
            let points = histograms.iter().enumerate();
            metric::Data::ExponentialHistogram(proto::ExponentialHistogram {
                data_points: points.map(|(i, p)| point.exponential(i, p)).collect(),
                aggregation_temporality,
            })
        }
        other => panic!("{other:?}"),
    };
    proto::Metric {
        name: metric.descriptor.name.clone().into_owned(),
        description: metric.descriptor.description.clone().into_owned(),
        unit: metric.descriptor.unit.clone().into_owned(),
        metadata: Vec::new(),
        data: Some(data),
    }
}

struct Point<'a> {
    snapshot: &'a Snapshot,
    metric: &'a Metric,
}

impl Point<'_> {
    fn attributes(&self, index: usize) -> Vec<common::KeyValue> {
        let attributes = self.metric.series[index].attributes().iter();
        attributes.map(key_value).collect()
    }

    fn start(&self, index: usize) -> u64 {
        let series = &self.metric.series[index];
        nanos(match self.metric.temporality {
            Temporality::Cumulative => series.start(),
            Temporality::Delta { since } => since.max(series.start()),
        })
    }

    fn exemplars(&self, index: usize) -> Vec<proto::Exemplar> {
        self.metric
            .exemplars
            .of(index)
            .map(proto_exemplar)
            .collect()
    }

    fn numbers(&self, values: &[Number], started: bool) -> Vec<proto::NumberDataPoint> {
        let points = values.iter().enumerate();
        let points = points.map(|(index, value)| proto::NumberDataPoint {
            attributes: self.attributes(index),
            start_time_unix_nano: if started { self.start(index) } else { 0 },
            time_unix_nano: nanos(self.snapshot.time),
            exemplars: self.exemplars(index),
            flags: 0,
            value: Some(match *value {
                Number::I64(value) => number_data_point::Value::AsInt(value),
                Number::U64(value) if value < 1 << 63 => {
                    number_data_point::Value::AsInt(value.cast_signed())
                }
                other => number_data_point::Value::AsDouble(other.as_f64()),
            }),
        });
        points.collect()
    }

    fn explicit(
        &self,
        index: usize,
        bounds: &[f64],
        point: meterline_sdk::HistogramPoint<'_>,
    ) -> proto::HistogramDataPoint {
        proto::HistogramDataPoint {
            attributes: self.attributes(index),
            start_time_unix_nano: self.start(index),
            time_unix_nano: nanos(self.snapshot.time),
            count: point.count(),
            sum: Some(point.sum.as_f64()),
            bucket_counts: point.counts.to_vec(),
            explicit_bounds: bounds.to_vec(),
            exemplars: self.exemplars(index),
            flags: 0,
            min: point.min_max.map(|(min, _)| min.as_f64()),
            max: point.min_max.map(|(_, max)| max.as_f64()),
        }
    }

    fn exponential(
        &self,
        index: usize,
        point: meterline_sdk::ExponentialPoint<'_>,
    ) -> proto::ExponentialHistogramDataPoint {
        let buckets = |buckets: meterline_sdk::ExponentialBuckets<'_>| {
            let counts = (!buckets.counts.is_empty()).then(|| buckets.counts.to_vec());
            counts.map(|bucket_counts| Buckets {
                offset: buckets.offset,
                bucket_counts,
            })
        };
        proto::ExponentialHistogramDataPoint {
            attributes: self.attributes(index),
            start_time_unix_nano: self.start(index),
            time_unix_nano: nanos(self.snapshot.time),
            count: point.count(),
            sum: Some(point.sum.as_f64()),
            scale: i32::from(point.scale),
            zero_count: point.zero_count,
            positive: buckets(point.positive),
            negative: buckets(point.negative),
            flags: 0,
            exemplars: self.exemplars(index),
            min: point.min_max.map(|(min, _)| min.as_f64()),
            max: point.min_max.map(|(_, max)| max.as_f64()),
            zero_threshold: point.zero_threshold,
        }
    }
}

fn proto_exemplar(exemplar: &Exemplar) -> proto::Exemplar {
    let (trace_id, span_id) = exemplar
        .span
        .map_or_else(Default::default, |(trace, span)| {
            (trace.to_bytes().to_vec(), span.to_bytes().to_vec())
        });
    proto::Exemplar {
        filtered_attributes: exemplar.filtered_attributes.iter().map(key_value).collect(),
        time_unix_nano: nanos(exemplar.time),
        span_id,
        trace_id,
        value: Some(match exemplar.value {
            Number::I64(value) => exemplar::Value::AsInt(value),
            Number::U64(value) if value < 1 << 63 => exemplar::Value::AsInt(value.cast_signed()),
            other => exemplar::Value::AsDouble(other.as_f64()),
        }),
    }
}

fn key_value(attribute: &KeyValue) -> common::KeyValue {
    common::KeyValue {
        key: attribute.key.to_string(),
        value: Some(any_value(&attribute.value)),
        ..common::KeyValue::default()
    }
}

fn any_value(value: &Value) -> common::AnyValue {
    use common::any_value::Value as Any;
    let list = |values: Vec<Any>| {
        let values = values
            .into_iter()
            .map(|value| common::AnyValue { value: Some(value) });
        Any::ArrayValue(common::ArrayValue {
            values: values.collect(),
        })
    };
    let value = match value {
        Value::String(value) => Any::StringValue(value.to_string()),
        Value::Bool(value) => Any::BoolValue(*value),
        Value::I64(value) => Any::IntValue(*value),
        Value::F64(value) => Any::DoubleValue(*value),
        Value::Array(Array::String(values)) => list(
            values
                .iter()
                .map(|v| Any::StringValue(v.to_string()))
                .collect(),
        ),
        Value::Array(Array::Bool(values)) => {
            list(values.iter().map(|v| Any::BoolValue(*v)).collect())
        }
        Value::Array(Array::I64(values)) => {
            list(values.iter().map(|v| Any::IntValue(*v)).collect())
        }
        Value::Array(Array::F64(values)) => {
            list(values.iter().map(|v| Any::DoubleValue(*v)).collect())
        }
        other => panic!("{other:?}"),
    };
    common::AnyValue { value: Some(value) }
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).expect("after the epoch");
    u64::try_from(since.as_nanos()).expect("before 2554")
}
