//! For tests of instrumented code: a pipeline in memory, and values and series to assert on instead
//! of text.
//!
//! ```
//! use meterline::testing::TestPipeline;
//! use opentelemetry::KeyValue;
//! use opentelemetry::metrics::Meter;
//!
//! // The code under test: it is given a meter, or uses the global one.
//! fn checkout(meter: &Meter, paid: bool) {
//!     let orders = meter.u64_counter("orders").build();
//!     orders.add(1, &[KeyValue::new("paid", paid)]);
//!     meter.f64_histogram("basket").build().record(12.5, &[]);
//! }
//!
//! let pipeline = TestPipeline::new();
//! checkout(&pipeline.meter("shop"), true);
//! checkout(&pipeline.meter("shop"), true);
//!
//! let seen = pipeline.collect();
//! assert_eq!(seen.number("orders", &[KeyValue::new("paid", true)]), 2.0);
//! assert_eq!(seen.series("orders").len(), 1, "nobody failed to pay");
//! let basket = seen.histogram("basket", &[]);
//! assert_eq!((basket.count, basket.sum), (2, 25.0));
//! assert!(!seen.has("orders", &[KeyValue::new("paid", false)]));
//! ```
//!
//! Code that uses the global meter is tested with
//! `opentelemetry::global::set_meter_provider(pipeline.provider().clone())`: once per process, before
//! it creates instruments. Tests that share a process then share its values.
//!
//! The HTTP layer takes the provider as well:
//!
//! ```
//! # use meterline::testing::TestPipeline;
//! # let pipeline = TestPipeline::new();
//! let layer = meterline_http::HttpMetricsLayer::builder()
//!     .meter_provider(pipeline.provider())
//!     .build()?;
//! # let _ = layer;
//! # Ok::<(), meterline_http::BuildError>(())
//! ```

use std::fmt;

use meterline_sdk::{
    Attributes, Data, HistogramPoint, Histograms, MeterProvider, Metric, Snapshot,
};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, MeterProvider as _};

/// A provider whose metrics stay in memory. It is not the global one.
#[derive(Clone, Debug, Default)]
pub struct TestPipeline {
    provider: MeterProvider,
}

/// What a [`TestPipeline`] has seen.
///
/// Metrics are found by their OpenTelemetry name, in whatever scope, and series by their whole set of
/// attributes, in any order. Methods that return a value panic if there is none, and say what there
/// is.
#[derive(Clone)]
pub struct Seen(Snapshot);

/// The distribution of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// How many values were recorded.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The smallest and the largest value; `None` if there was none.
    pub min_max: Option<(f64, f64)>,
    /// The upper bound of each explicit bucket, inclusive, infinity the last, and how many values
    /// fell into it; empty for a histogram that has only exponential buckets.
    pub buckets: Vec<(f64, u64)>,
}

impl TestPipeline {
    /// One with the defaults of [`MeterProvider`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One around a provider with settings of its own, such as views.
    #[must_use]
    pub fn with_provider(provider: MeterProvider) -> Self {
        Self { provider }
    }

    /// The provider, for code that wants one.
    #[must_use]
    pub fn provider(&self) -> &MeterProvider {
        &self.provider
    }

    /// A meter of the provider.
    #[must_use]
    pub fn meter(&self, name: &'static str) -> Meter {
        self.provider.meter(name)
    }

    /// Runs callbacks, and reads all that was recorded so far.
    #[must_use]
    pub fn collect(&self) -> Seen {
        Seen(self.provider.collect())
    }
}

impl Seen {
    /// Whether a metric has a series with these attributes.
    #[must_use]
    pub fn has(&self, metric: &str, attributes: &[KeyValue]) -> bool {
        self.find(metric, attributes).is_some()
    }

    /// The attributes of all series of a metric, sorted; none if there is no such metric.
    #[must_use]
    pub fn series(&self, metric: &str) -> Vec<&Attributes> {
        let series = self.named(metric).flat_map(|metric| &*metric.series);
        series.map(|series| series.attributes()).collect()
    }

    /// The total of a counter's series, or the value of a gauge's. Integers beyond 2^53 are rounded;
    /// [`snapshot`](Self::snapshot) has them exactly.
    ///
    /// # Panics
    /// If there is no such series, or the metric is a histogram.
    #[must_use]
    #[track_caller]
    pub fn number(&self, metric: &str, attributes: &[KeyValue]) -> f64 {
        match self.expect(metric, attributes) {
            (Data::Sum { values, .. } | Data::Gauge(values), at) => values[at].as_f64(),
            _ => panic!("{metric} is a histogram, which has no single value"),
        }
    }

    /// The distribution of a histogram's series.
    ///
    /// # Panics
    /// If there is no such series, or the metric is no histogram.
    #[must_use]
    #[track_caller]
    pub fn histogram(&self, metric: &str, attributes: &[KeyValue]) -> Distribution {
        let distribution = match self.expect(metric, attributes) {
            (Data::Histogram(histograms) | Data::Both(histograms, _), at) => {
                let point = histograms.iter().nth(at);
                point.map(|point| Distribution::of(histograms, &point))
            }
            (Data::ExponentialHistogram(histograms), at) => {
                histograms.iter().nth(at).map(|point| Distribution {
                    count: point.count(),
                    sum: point.sum.as_f64(),
                    min_max: point.min_max.map(|(min, max)| (min.as_f64(), max.as_f64())),
                    buckets: Vec::new(),
                })
            }
            _ => None,
        };
        distribution.unwrap_or_else(|| panic!("{metric} is no histogram"))
    }

    /// Everything, as the SDK gives it.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.0
    }

    fn named<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Metric> {
        let metrics = self.0.metrics.iter();
        metrics.filter(move |metric| metric.descriptor.name == name)
    }

    fn find(&self, metric: &str, attributes: &[KeyValue]) -> Option<(&Data, usize)> {
        let wanted = Attributes::new(attributes);
        self.named(metric).find_map(|metric| {
            let mut series = metric.series.iter();
            let at = series.position(|series| *series.attributes() == wanted)?;
            Some((&metric.data, at))
        })
    }

    #[track_caller]
    fn expect(&self, metric: &str, attributes: &[KeyValue]) -> (&Data, usize) {
        self.find(metric, attributes).unwrap_or_else(|| {
            let wanted = Labels(attributes);
            panic!("there is no {metric}{wanted}; there is:\n{self:?}")
        })
    }
}

impl Distribution {
    fn of(histograms: &Histograms, point: &HistogramPoint<'_>) -> Self {
        let bounds = histograms.bounds().iter().copied().chain([f64::INFINITY]);
        Self {
            count: point.count(),
            sum: point.sum.as_f64(),
            min_max: point.min_max.map(|(min, max)| (min.as_f64(), max.as_f64())),
            buckets: bounds.zip(point.counts.iter().copied()).collect(),
        }
    }
}

/// One line per series.
impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for metric in &self.0.metrics {
            for series in &*metric.series {
                let labels = Labels(series.attributes());
                writeln!(f, "  {}{labels}", metric.descriptor.name)?;
            }
        }
        Ok(())
    }
}

struct Labels<'a>(&'a [KeyValue]);

impl fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = |label: &KeyValue| format!("{}={:?}", label.key, label.value.as_str());
        let labels: Vec<String> = self.0.iter().map(label).collect();
        write!(f, "{{{}}}", labels.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_of_each_form_are_distributions() {
        let pipeline = TestPipeline::new();
        let meter = pipeline.meter("test");
        let histogram = meter
            .u64_histogram("h")
            .with_boundaries(vec![1.0, 2.0])
            .build();
        for value in [1, 2, 8] {
            histogram.record(value, &[]);
        }
        let expected = Distribution {
            count: 3,
            sum: 11.0,
            min_max: Some((1.0, 8.0)),
            buckets: vec![(1.0, 1), (2.0, 1), (f64::INFINITY, 1)],
        };
        assert_eq!(pipeline.collect().histogram("h", &[]), expected);
    }

    #[test]
    fn attributes_are_a_whole_set_in_any_order() {
        let pipeline = TestPipeline::new();
        let (a, b) = (KeyValue::new("a", 1), KeyValue::new("b", "x"));
        let gauge = pipeline.meter("test").i64_gauge("g").build();
        gauge.record(-3, &[b.clone(), a.clone()]);
        let seen = pipeline.collect();
        assert_eq!(seen.number("g", &[a.clone(), b.clone()]), -3.0);
        assert!(!seen.has("g", std::slice::from_ref(&a)) && !seen.has("other", &[a, b]));
        assert!(seen.series("other").is_empty());
    }

    #[test]
    #[should_panic(
        expected = "there is no orders{paid=\"no\"}; there is:\n  orders{paid=\"yes\"}\n"
    )]
    fn what_is_missing_is_told_with_what_there_is() {
        let pipeline = TestPipeline::new();
        let orders = pipeline.meter("test").u64_counter("orders").build();
        orders.add(1, &[KeyValue::new("paid", "yes")]);
        let _ = pipeline
            .collect()
            .number("orders", &[KeyValue::new("paid", "no")]);
    }
}
