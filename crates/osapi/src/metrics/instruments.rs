//! Instruments made from rows of the catalogue.

use opentelemetry::metrics::{AsyncInstrument, Histogram, Meter};

use super::catalogue::{Kind, Metric};

/// Makes instruments of one meter, with osapi's own names under one namespace.
#[derive(Clone, Debug)]
pub struct Instruments {
    meter: Meter,
    namespace: String,
}

impl Instruments {
    /// Instruments of this meter.
    #[must_use]
    pub fn new(meter: Meter, namespace: &str) -> Self {
        Self {
            meter,
            namespace: namespace.to_owned(),
        }
    }

    /// A histogram of a catalogue row, with the row's bounds.
    #[must_use]
    pub fn histogram(&self, metric: &Metric) -> Histogram<f64> {
        debug_assert!(matches!(metric.kind, Kind::Histogram(_)), "{}", metric.name);
        let histogram = self.meter.f64_histogram(metric.name_in(&self.namespace));
        let histogram = histogram
            .with_unit(metric.unit)
            .with_description(metric.help);
        match metric.kind {
            Kind::Histogram(bounds) => histogram.with_boundaries(bounds.to_vec()).build(),
            Kind::Counter | Kind::UpDownCounter | Kind::Gauge => histogram.build(),
        }
    }

    /// A gauge or counter of a catalogue row that `tell` is asked for at each collection.
    pub fn observe(
        &self,
        metric: &Metric,
        tell: impl Fn(&dyn AsyncInstrument<f64>) + Send + Sync + 'static,
    ) {
        debug_assert!(
            matches!(metric.kind, Kind::Counter | Kind::Gauge),
            "{}",
            metric.name
        );
        let name = metric.name_in(&self.namespace);
        match metric.kind {
            Kind::Counter => {
                let counter = self.meter.f64_observable_counter(name).with_callback(tell);
                counter
                    .with_unit(metric.unit)
                    .with_description(metric.help)
                    .build();
            }
            Kind::UpDownCounter | Kind::Gauge | Kind::Histogram(_) => {
                let gauge = self.meter.f64_observable_gauge(name).with_callback(tell);
                gauge
                    .with_unit(metric.unit)
                    .with_description(metric.help)
                    .build();
            }
        }
    }
}
