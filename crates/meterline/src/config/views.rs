//! `telemetry.metrics.views`: changes to single instruments.

use meterline_sdk::{ExponentialOptions, InstrumentKind, InvalidView, View};
use serde::{Deserialize, Serialize};

use super::values;

/// A change to the instruments it selects.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ViewConfig {
    /// Instrument name, `*` and `?` as wildcards.
    pub instrument: String,
    /// Only instruments of this kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<ViewKind>,
    /// Only instruments with this unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Only in the scope of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meter: Option<String>,
    /// Only in scopes of this version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meter_version: Option<String>,
    /// Only in scopes with this schema URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meter_schema_url: Option<String>,
    /// New name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// New description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Not recorded at all.
    #[serde(deserialize_with = "values::switch", skip_serializing_if = "is_false")]
    pub drop: bool,
    /// Which attributes stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<AttributeFilter>,
    /// Explicit bounds, of histograms.
    #[serde(
        deserialize_with = "values::bounds",
        skip_serializing_if = "Option::is_none"
    )]
    pub buckets: Option<Vec<f64>>,
    /// Which histogram, of histograms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aggregation: Option<ViewAggregation>,
    /// Limit of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cardinality_limit: Option<usize>,
}

/// Which attributes a view keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttributeFilter {
    /// Only these.
    Keep(Vec<String>),
    /// All but these.
    Drop(Vec<String>),
}

/// Which histogram a view asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ViewAggregation {
    /// Buckets with given bounds.
    Explicit,
    /// Base-2 exponential buckets.
    Exponential,
    /// The two side by side.
    Both,
}

/// A kind of instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ViewKind {
    /// A sum that only grows.
    Counter,
    /// A sum that may shrink.
    UpDownCounter,
    /// A current value.
    Gauge,
    /// A distribution.
    Histogram,
    /// A sum that only grows, told by a callback.
    ObservableCounter,
    /// A sum that may shrink, told by a callback.
    ObservableUpDownCounter,
    /// A current value, told by a callback.
    ObservableGauge,
}

impl ViewConfig {
    /// The view as the SDK takes it.
    ///
    /// # Errors
    /// If it asks for what cannot be: a name for several instruments, buckets of an exponential
    /// histogram.
    pub fn view(&self) -> Result<View, InvalidView> {
        let mut view = View::builder(&self.instrument);
        if let Some(kind) = self.kind {
            view = view.kind(kind.into());
        }
        if let Some(unit) = &self.unit {
            view = view.unit(unit);
        }
        if let Some(meter) = &self.meter {
            view = view.meter(meter);
        }
        if let Some(version) = &self.meter_version {
            view = view.meter_version(version);
        }
        if let Some(url) = &self.meter_schema_url {
            view = view.meter_schema_url(url);
        }
        if let Some(name) = &self.name {
            view = view.rename(name.clone());
        }
        if let Some(description) = &self.description {
            view = view.describe(description.clone());
        }
        if self.drop {
            view = view.discard();
        }
        view = match &self.attributes {
            Some(AttributeFilter::Keep(keys)) => view.keep_attributes(keys),
            Some(AttributeFilter::Drop(keys)) => view.drop_attributes(keys),
            None => view,
        };
        if let Some(buckets) = &self.buckets {
            view = view.buckets(buckets.clone());
        }
        if let Some(aggregation) = self.aggregation {
            view = view.histograms_as(aggregation.into());
        }
        if let Some(limit) = self.cardinality_limit {
            view = view.cardinality_limit(limit);
        }
        view.build()
    }
}

impl From<ViewAggregation> for meterline_sdk::ViewAggregation {
    fn from(aggregation: ViewAggregation) -> Self {
        match aggregation {
            ViewAggregation::Explicit => Self::Explicit,
            ViewAggregation::Exponential => Self::Exponential(ExponentialOptions::default()),
            ViewAggregation::Both => Self::Both(ExponentialOptions::default()),
        }
    }
}

impl From<ViewKind> for InstrumentKind {
    fn from(kind: ViewKind) -> Self {
        match kind {
            ViewKind::Counter => Self::Counter,
            ViewKind::UpDownCounter => Self::UpDownCounter,
            ViewKind::Gauge => Self::Gauge,
            ViewKind::Histogram => Self::Histogram,
            ViewKind::ObservableCounter => Self::ObservableCounter,
            ViewKind::ObservableUpDownCounter => Self::ObservableUpDownCounter,
            ViewKind::ObservableGauge => Self::ObservableGauge,
        }
    }
}

/// Only what is set is shown.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use meterline_sdk::{Data, MeterProvider};
    use opentelemetry::KeyValue;
    use opentelemetry::metrics::MeterProvider as _;
    use serde_json::json;

    use super::*;

    fn view(config: serde_json::Value) -> Result<View, InvalidView> {
        let config: ViewConfig = serde_json::from_value(config).expect("these keys");
        config.view()
    }

    #[test]
    fn every_key_has_its_effect() {
        let views = [
            json!({
                "instrument": "old", "kind": "histogram", "unit": "s", "meter": "shop",
                "meter_version": "1", "meter_schema_url": "https://example.com",
                "name": "new", "description": "Better.", "attributes": {"keep": ["a"]},
                "buckets": [1, 2.5], "aggregation": "both", "cardinality_limit": 1,
            }),
            json!({"instrument": "go?e*", "drop": true}),
            json!({"instrument": "c", "attributes": {"drop": ["a"]}, "aggregation": "exponential"}),
        ];
        let builder = views
            .into_iter()
            .fold(MeterProvider::builder(), |builder, config| {
                builder.with_view(view(config).expect("it can be"))
            });
        let provider = builder.build();
        let scope = opentelemetry::InstrumentationScope::builder("shop")
            .with_version("1")
            .with_schema_url("https://example.com");
        let meter = provider.meter_with_scope(scope.build());
        let attributes = |a| [KeyValue::new("a", a), KeyValue::new("b", 1)];
        let histogram = meter.f64_histogram("old").with_unit("s").build();
        (0..3).for_each(|a| histogram.record(2.0, &attributes(a)));
        meter.u64_counter("gone.with.it").build().add(1, &[]);
        meter.u64_counter("c").build().add(1, &attributes(1));

        let snapshot = provider.collect();
        let [counter, renamed] = &snapshot.metrics[..] else {
            panic!("{snapshot:?}");
        };
        assert_eq!(counter.descriptor.name, "c");
        assert!(matches!(counter.data, Data::Sum { .. }), "no histogram");
        assert_eq!(**counter.series[0].attributes(), [KeyValue::new("b", 1)]);
        assert_eq!(renamed.descriptor.name, "new");
        assert_eq!(renamed.descriptor.description, "Better.");
        assert_eq!(renamed.series.len(), 2, "one and the overflow");
        match &renamed.data {
            Data::Both(explicit, _) => assert_eq!(**explicit.bounds(), [1.0, 2.5]),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_cannot_be_says_why() {
        for (config, message) in [
            (json!({}), "a view needs the name of an instrument"),
            (
                json!({"instrument": "a*", "name": "b"}),
                "cannot all be called",
            ),
            (
                json!({"instrument": "a", "buckets": [1], "aggregation": "exponential"}),
                "no explicit buckets",
            ),
            (
                json!({"instrument": "a", "cardinality_limit": 0}),
                "at least 1",
            ),
        ] {
            let error = view(config.clone()).expect_err("it cannot be").to_string();
            assert!(error.contains(message), "{config}: {error}");
        }
    }
}
