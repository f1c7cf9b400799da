//! What was recorded, read out of either SDK.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary includes it and uses its part of it"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use meterline_jobs::{Instruments, InstrumentsBuilder};
use meterline_sdk::{Data, MeterProvider};
use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ScopeMetrics};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};

/// Every series as `name{key=value,...}`: a sum's or gauge's value, a histogram's count.
pub type Series = BTreeMap<String, f64>;

/// Meterline's SDK, and instruments on it.
pub fn meterline() -> (MeterProvider, Instruments) {
    let provider = MeterProvider::builder().build();
    let instruments = builder().meter_provider(&provider).build().unwrap();
    (provider, instruments)
}

pub fn builder() -> InstrumentsBuilder {
    Instruments::builder().namespace("shop")
}

/// What Meterline's SDK holds.
pub fn series(provider: &MeterProvider) -> Series {
    let mut all = Series::new();
    for metric in provider.collect().metrics {
        let values: Vec<f64> = match &metric.data {
            Data::Sum { values, .. } | Data::Gauge(values) => {
                values.iter().map(|value| value.as_f64()).collect()
            }
            Data::Histogram(histograms) => histograms
                .iter()
                .map(|point| point.count() as f64)
                .collect(),
            other => panic!("no instrument here makes {other:?}"),
        };
        for (of, value) in metric.series.iter().zip(values) {
            all.insert(key(&metric.descriptor.name, of.attributes().iter()), value);
        }
    }
    all
}

/// The official SDK with a memory to read from.
pub struct Official {
    pub provider: SdkMeterProvider,
    exporter: InMemoryMetricExporter,
}

impl Official {
    pub fn new() -> Self {
        let exporter = InMemoryMetricExporter::default();
        let reader = PeriodicReader::builder(exporter.clone())
            .with_interval(Duration::from_secs(3600))
            .build();
        Self {
            provider: SdkMeterProvider::builder().with_reader(reader).build(),
            exporter,
        }
    }

    /// What it holds.
    pub fn series(&self) -> Series {
        self.exporter.reset();
        self.provider.force_flush().unwrap();
        let mut all = Series::new();
        for resource in self.exporter.get_finished_metrics().unwrap() {
            for metric in resource.scope_metrics().flat_map(ScopeMetrics::metrics) {
                add_points(&mut all, metric.name(), metric.data());
            }
        }
        all
    }
}

fn add_points(all: &mut Series, name: &str, data: &AggregatedMetrics) {
    match data {
        AggregatedMetrics::U64(MetricData::Sum(sum)) => {
            for point in sum.data_points() {
                all.insert(key(name, point.attributes()), point.value() as f64);
            }
        }
        AggregatedMetrics::I64(MetricData::Sum(sum)) => {
            for point in sum.data_points() {
                all.insert(key(name, point.attributes()), point.value() as f64);
            }
        }
        AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
            for point in histogram.data_points() {
                all.insert(key(name, point.attributes()), point.count() as f64);
            }
        }
        AggregatedMetrics::F64(MetricData::Gauge(gauge)) => {
            for point in gauge.data_points() {
                all.insert(key(name, point.attributes()), point.value());
            }
        }
        other => panic!("{name}: no instrument here makes {other:?}"),
    }
}

fn key<'a>(name: &str, attributes: impl Iterator<Item = &'a KeyValue>) -> String {
    let pairs: BTreeMap<_, _> = attributes
        .map(|pair| (pair.key.to_string(), pair.value.to_string()))
        .collect();
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    format!("{name}{{{}}}", pairs.join(","))
}
