//! What is encoded here, the official message types decode.

mod expected;
mod hostile;
mod values;

use meterline_otlp::Batch;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{
    Metric, ResourceMetrics, ScopeMetrics, metric::Data,
};
use prost::Message;

/// The requests as one: what was split is put together again.
fn merged(batches: &[Batch]) -> Vec<ResourceMetrics> {
    let mut all: Vec<ResourceMetrics> = Vec::new();
    for batch in batches {
        let request = ExportMetricsServiceRequest::decode(&*batch.message);
        let mut resources = request.expect("it is well formed").resource_metrics;
        let resource = resources.pop().expect("a resource");
        assert!(resources.is_empty(), "one resource");
        assert_eq!(
            points(&resource.scope_metrics),
            batch.points,
            "points are counted"
        );
        match all.last_mut() {
            Some(last) => {
                assert_eq!(last.resource, resource.resource);
                assert_eq!(last.schema_url, resource.schema_url);
                for scope in resource.scope_metrics {
                    merge_scope(&mut last.scope_metrics, scope);
                }
            }
            None => all.push(resource),
        }
    }
    all
}

fn merge_scope(all: &mut Vec<ScopeMetrics>, scope: ScopeMetrics) {
    match all.last_mut() {
        Some(last) if last.scope == scope.scope && last.schema_url == scope.schema_url => {
            for metric in scope.metrics {
                merge_metric(&mut last.metrics, metric);
            }
        }
        _ => all.push(scope),
    }
}

fn merge_metric(all: &mut Vec<Metric>, metric: Metric) {
    let Some(last) = all.last_mut().filter(|last| last.name == metric.name) else {
        return all.push(metric);
    };
    match (last.data.as_mut(), metric.data) {
        (Some(Data::Sum(last)), Some(Data::Sum(more))) => {
            assert_eq!(last.is_monotonic, more.is_monotonic);
            assert_eq!(last.aggregation_temporality, more.aggregation_temporality);
            last.data_points.extend(more.data_points);
        }
        (Some(Data::Gauge(last)), Some(Data::Gauge(more))) => {
            last.data_points.extend(more.data_points);
        }
        (Some(Data::Histogram(last)), Some(Data::Histogram(more))) => {
            assert_eq!(last.aggregation_temporality, more.aggregation_temporality);
            last.data_points.extend(more.data_points);
        }
        (Some(Data::ExponentialHistogram(last)), Some(Data::ExponentialHistogram(more))) => {
            assert_eq!(last.aggregation_temporality, more.aggregation_temporality);
            last.data_points.extend(more.data_points);
        }
        (last, more) => panic!("parts of one metric differ in kind: {last:?}, {more:?}"),
    }
}

fn points(scopes: &[ScopeMetrics]) -> u64 {
    let metrics = scopes.iter().flat_map(|scope| &scope.metrics);
    let points = metrics.map(|metric| match &metric.data {
        Some(Data::Sum(sum)) => sum.data_points.len(),
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(Data::Histogram(histogram)) => histogram.data_points.len(),
        Some(Data::ExponentialHistogram(histogram)) => histogram.data_points.len(),
        other => panic!("no data, or of a kind that is never sent: {other:?}"),
    });
    let each: Vec<_> = points.collect();
    assert!(!each.contains(&0), "a metric without points");
    each.iter().sum::<usize>() as u64
}
