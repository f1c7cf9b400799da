//! Where everything records to: a meter, a namespace, and how instruments are made from rows of the catalogue.

use std::sync::Arc;

use opentelemetry::metrics::{
    AsyncInstrument, Counter, Histogram, Meter, MeterProvider, NoopMeterProvider, UpDownCounter,
};
use opentelemetry::{InstrumentationScope, global};
use thiserror::Error;

use crate::catalogue::{self, Kind, Metric};

/// Why [`InstrumentsBuilder::build`] refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Buckets that are not finite or do not increase: an SDK would drop the whole histogram silently.
    #[error("{0} must be finite numbers, each greater than the one before")]
    Buckets(&'static str),
    /// A namespace no instrument name may begin with.
    #[error(
        "namespace {0:?} must begin with a letter and go on with letters, digits, '_', '.' or '-', 200 at most"
    )]
    Namespace(String),
}

/// What all metrics of one job system share; cheap to clone.
#[derive(Clone, Debug)]
pub struct Instruments {
    meter: Meter,
    namespace: Arc<str>,
    duration_buckets: Option<Arc<[f64]>>,
    wait_buckets: Option<Arc<[f64]>>,
    pub(crate) max_operations: usize,
    pub(crate) bind: bool,
}

impl Instruments {
    /// Starts a set-up.
    pub fn builder() -> InstrumentsBuilder {
        InstrumentsBuilder {
            meter: None,
            namespace: "app".to_owned(),
            duration_buckets: None,
            wait_buckets: None,
            max_operations: 1000,
            bind: true,
        }
    }

    /// Instruments that record nothing, for a program whose metrics are off.
    #[must_use]
    pub fn disabled() -> Self {
        let meter = NoopMeterProvider::new().meter_with_scope(scope());
        Self::builder().meter(meter).assemble()
    }

    pub(crate) fn counter(&self, row: &Metric) -> Counter<u64> {
        debug_assert!(matches!(row.kind, Kind::Counter), "{}", row.name);
        let counter = self.meter.u64_counter(self.name(row));
        counter
            .with_unit(row.unit)
            .with_description(row.description)
            .build()
    }

    pub(crate) fn up_down_counter(&self, row: &Metric) -> UpDownCounter<i64> {
        debug_assert!(matches!(row.kind, Kind::UpDownCounter), "{}", row.name);
        let counter = self.meter.i64_up_down_counter(self.name(row));
        counter
            .with_unit(row.unit)
            .with_description(row.description)
            .build()
    }

    pub(crate) fn duration(&self) -> Histogram<f64> {
        self.histogram(&catalogue::JOB_DURATION, self.duration_buckets.as_deref())
    }

    pub(crate) fn wait(&self) -> Histogram<f64> {
        self.histogram(&catalogue::JOB_WAIT, self.wait_buckets.as_deref())
    }

    fn histogram(&self, row: &Metric, buckets: Option<&[f64]>) -> Histogram<f64> {
        let Kind::Histogram(usual) = row.kind else {
            unreachable!("{} is a histogram", row.name);
        };
        let histogram = self.meter.f64_histogram(self.name(row));
        histogram
            .with_unit(row.unit)
            .with_description(row.description)
            .with_boundaries(buckets.unwrap_or(usual).to_vec())
            .build()
    }

    /// A gauge or counter that `tell` is asked for at each collection.
    pub(crate) fn observe(
        &self,
        row: &Metric,
        tell: impl Fn(&dyn AsyncInstrument<f64>) + Send + Sync + 'static,
    ) {
        match row.kind {
            Kind::Gauge => {
                let gauge = self.meter.f64_observable_gauge(self.name(row));
                gauge
                    .with_callback(tell)
                    .with_unit(row.unit)
                    .with_description(row.description)
                    .build();
            }
            Kind::Counter | Kind::UpDownCounter | Kind::Histogram(_) => {
                unreachable!("{} is not observed as a gauge", row.name)
            }
        }
    }

    /// A counter that `tell` is asked for at each collection.
    #[cfg(feature = "nats")]
    pub(crate) fn observe_counter(
        &self,
        row: &Metric,
        tell: impl Fn(&dyn AsyncInstrument<u64>) + Send + Sync + 'static,
    ) {
        debug_assert!(matches!(row.kind, Kind::Counter), "{}", row.name);
        let counter = self.meter.u64_observable_counter(self.name(row));
        counter
            .with_callback(tell)
            .with_unit(row.unit)
            .with_description(row.description)
            .build();
    }

    fn name(&self, row: &Metric) -> String {
        format!("{}.{}", self.namespace, row.name)
    }
}

/// Sets up [`Instruments`]; get one from [`Instruments::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct InstrumentsBuilder {
    meter: Option<Meter>,
    namespace: String,
    duration_buckets: Option<Vec<f64>>,
    wait_buckets: Option<Vec<f64>>,
    max_operations: usize,
    bind: bool,
}

impl InstrumentsBuilder {
    /// Creates the instruments from this meter.
    pub fn meter(mut self, meter: Meter) -> Self {
        self.meter = Some(meter);
        self
    }

    /// Creates the instruments from this provider, under this crate's own scope. Without this and
    /// [`meter`](Self::meter), the global provider at the time of [`build`](Self::build) serves.
    pub fn meter_provider(self, provider: &dyn MeterProvider) -> Self {
        self.meter(provider.meter_with_scope(scope()))
    }

    /// What every name begins with, `app` by default: letters, digits, `_`, `.` and `-`, a letter first.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// The buckets of durations, in seconds, increasing. By default 5 ms to 1 h.
    pub fn duration_buckets(mut self, seconds: impl Into<Vec<f64>>) -> Self {
        self.duration_buckets = Some(seconds.into());
        self
    }

    /// The buckets of waits, in seconds, increasing. By default 1 ms to 1 h.
    pub fn wait_buckets(mut self, seconds: impl Into<Vec<f64>>) -> Self {
        self.wait_buckets = Some(seconds.into());
        self
    }

    /// For how many operations the series are kept ready: 1000 by default. Beyond it they are recorded all the same,
    /// only more slowly; how many series there may be in all is the SDK's cardinality limit.
    pub fn max_cached_operations(mut self, limit: usize) -> Self {
        self.max_operations = limit;
        self
    }

    /// Whether to record through bound instruments, which the cargo feature `bound` brings and turns on. Set it to
    /// `false` where that feature came with another dependency, but the SDK here cannot bind: the official one
    /// without its own `experimental_metrics_bound_instruments` would silently record nothing.
    #[cfg(feature = "bound")]
    pub fn bind(mut self, on: bool) -> Self {
        self.bind = on;
        self
    }

    /// Checks what was set.
    ///
    /// # Errors
    ///
    /// A namespace or buckets that cannot be used, see [`BuildError`].
    pub fn build(self) -> Result<Instruments, BuildError> {
        check_namespace(&self.namespace)?;
        check_buckets("duration buckets", self.duration_buckets.as_deref())?;
        check_buckets("wait buckets", self.wait_buckets.as_deref())?;
        Ok(self.assemble())
    }

    fn assemble(self) -> Instruments {
        Instruments {
            meter: self
                .meter
                .unwrap_or_else(|| global::meter_with_scope(scope())),
            namespace: self.namespace.into(),
            duration_buckets: self.duration_buckets.map(Arc::from),
            wait_buckets: self.wait_buckets.map(Arc::from),
            max_operations: self.max_operations,
            bind: self.bind,
        }
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
        .with_version(env!("CARGO_PKG_VERSION"))
        .build()
}

fn check_namespace(namespace: &str) -> Result<(), BuildError> {
    let valid = namespace.len() <= 200
        && namespace.starts_with(|first: char| first.is_ascii_alphabetic())
        && namespace
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if valid {
        Ok(())
    } else {
        Err(BuildError::Namespace(namespace.to_owned()))
    }
}

fn check_buckets(what: &'static str, buckets: Option<&[f64]>) -> Result<(), BuildError> {
    let buckets = buckets.unwrap_or_default();
    let increasing = buckets.windows(2).all(|pair| pair[0] < pair[1]);
    if increasing && buckets.iter().all(|bucket| bucket.is_finite()) {
        Ok(())
    } else {
        Err(BuildError::Buckets(what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_sdk_would_drop_silently_is_refused_loudly() {
        let error = |builder: InstrumentsBuilder| builder.build().map(drop).unwrap_err();
        let builder = Instruments::builder;
        assert_eq!(
            error(builder().duration_buckets([1.0, 1.0])),
            BuildError::Buckets("duration buckets")
        );
        assert_eq!(
            error(builder().wait_buckets([f64::NAN])),
            BuildError::Buckets("wait buckets")
        );
        for namespace in ["", "1shop", "a b", "läden", &"x".repeat(201)] {
            assert_eq!(
                error(builder().namespace(namespace)),
                BuildError::Namespace(namespace.to_owned())
            );
        }
    }

    #[test]
    fn every_default_can_be_built() {
        Instruments::builder().build().unwrap();
        let builder = Instruments::builder().namespace("shop.back-end_2");
        builder.duration_buckets([]).build().unwrap();
    }

    #[test]
    fn every_row_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> =
            catalogue::ALL.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), catalogue::ALL.len());
    }
}
