//! Instruments made from rows of the catalogue.

use opentelemetry::metrics::{AsyncInstrument, Counter, Gauge, Histogram, Meter, UpDownCounter};

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

    /// A counter of a catalogue row.
    #[must_use]
    pub fn counter(&self, metric: &Metric) -> Counter<u64> {
        debug_assert!(matches!(metric.kind, Kind::Counter), "{}", metric.name);
        let counter = self.meter.u64_counter(metric.name_in(&self.namespace));
        counter
            .with_unit(metric.unit)
            .with_description(metric.help)
            .build()
    }

    /// An up-down counter of a catalogue row.
    #[must_use]
    pub fn up_down_counter(&self, metric: &Metric) -> UpDownCounter<i64> {
        debug_assert!(
            matches!(metric.kind, Kind::UpDownCounter),
            "{}",
            metric.name
        );
        let counter = self
            .meter
            .i64_up_down_counter(metric.name_in(&self.namespace));
        counter
            .with_unit(metric.unit)
            .with_description(metric.help)
            .build()
    }

    /// A gauge of a catalogue row.
    #[must_use]
    pub fn gauge(&self, metric: &Metric) -> Gauge<u64> {
        debug_assert!(matches!(metric.kind, Kind::Gauge), "{}", metric.name);
        let gauge = self.meter.u64_gauge(metric.name_in(&self.namespace));
        gauge
            .with_unit(metric.unit)
            .with_description(metric.help)
            .build()
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
