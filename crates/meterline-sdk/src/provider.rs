use std::sync::{Arc, Weak};

use opentelemetry::InstrumentationScope;
use opentelemetry::metrics::Meter;

use crate::diagnostics::Stats;
use crate::pipeline::{Options, Pipeline};
use crate::reader::{Reader, ReaderOptions};
use crate::snapshot::Snapshot;
use crate::{Resource, View, meter};

/// How many series an instrument may have if nobody says otherwise (OpenTelemetry metrics SDK,
/// "Cardinality limits").
const DEFAULT_CARDINALITY_LIMIT: usize = 2000;

/// The OpenTelemetry meter provider: hand it to [`opentelemetry::global::set_meter_provider`], and
/// every instrument in the process records here. Clones share everything.
///
/// Set it before instruments are created: the API leaves earlier ones without effect.
///
/// ```
/// use opentelemetry::metrics::MeterProvider as _;
///
/// let provider = meterline_sdk::MeterProvider::default();
/// let orders = provider.meter("shop").u64_counter("orders").build();
/// orders.add(2, &[opentelemetry::KeyValue::new("paid", true)]);
///
/// let snapshot = provider.collect();
/// assert_eq!(snapshot.metrics[0].descriptor.name, "orders");
/// ```
#[derive(Clone)]
pub struct MeterProvider {
    pipeline: Arc<Pipeline>,
}

/// A [`MeterProvider`] that may be gone: for callbacks, which the provider itself keeps.
#[derive(Clone)]
pub struct WeakMeterProvider {
    pipeline: Weak<Pipeline>,
}

/// Builds a [`MeterProvider`].
#[derive(Clone, Debug)]
pub struct MeterProviderBuilder {
    options: Options,
}

impl MeterProvider {
    /// A builder with an empty resource and a limit of 2,000 series per instrument.
    #[must_use]
    pub fn builder() -> MeterProviderBuilder {
        MeterProviderBuilder {
            options: Options {
                resource: Resource::default(),
                cardinality_limit: DEFAULT_CARDINALITY_LIMIT,
                views: Vec::new(),
            },
        }
    }

    /// Runs the callbacks of observable instruments and reads all series; cumulative, sorted.
    ///
    /// Collections run one at a time; recording goes on meanwhile. A callback must not collect: it
    /// would wait for itself.
    #[must_use]
    pub fn collect(&self) -> Snapshot {
        self.pipeline.collect()
    }

    /// One more reader of what all record, with a temporality of its own.
    #[must_use]
    pub fn reader(&self, options: ReaderOptions) -> Reader {
        Reader::new(Arc::clone(&self.pipeline), options)
    }

    /// What the SDK could not do as asked, and how many series there are.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.pipeline.stats()
    }

    /// What the telemetry describes.
    #[must_use]
    pub fn resource(&self) -> &Resource {
        self.pipeline.resource()
    }

    /// A reference that does not keep the provider alive.
    #[must_use]
    pub fn downgrade(&self) -> WeakMeterProvider {
        WeakMeterProvider {
            pipeline: Arc::downgrade(&self.pipeline),
        }
    }
}

impl WeakMeterProvider {
    /// The provider, unless every clone of it is gone.
    #[must_use]
    pub fn upgrade(&self) -> Option<MeterProvider> {
        self.pipeline
            .upgrade()
            .map(|pipeline| MeterProvider { pipeline })
    }
}

impl std::fmt::Debug for WeakMeterProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WeakMeterProvider")
            .field("provider", &self.upgrade())
            .finish()
    }
}

impl Default for MeterProvider {
    fn default() -> Self {
        Self::builder().build()
    }
}

impl std::fmt::Debug for MeterProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MeterProvider")
            .field("resource", self.resource())
            .field("stats", &self.stats())
            .finish()
    }
}

impl opentelemetry::metrics::MeterProvider for MeterProvider {
    fn meter_with_scope(&self, scope: InstrumentationScope) -> Meter {
        let scope = self.pipeline.scope(scope);
        Meter::new(Arc::new(meter::Meter {
            scope,
            pipeline: Arc::clone(&self.pipeline),
        }))
    }
}

impl MeterProviderBuilder {
    /// What the telemetry describes.
    #[must_use]
    pub fn with_resource(mut self, resource: Resource) -> Self {
        self.options.resource = resource;
        self
    }

    /// How many series an instrument may have. Measurements of further ones are added up in one
    /// series with the attribute `otel.metric.overflow` = true, which comes on top, as does the
    /// series without attributes.
    #[must_use]
    pub fn with_cardinality_limit(mut self, limit: usize) -> Self {
        self.options.cardinality_limit = limit;
        self
    }

    /// One view more: how the instruments it selects become streams.
    #[must_use]
    pub fn with_view(mut self, view: View) -> Self {
        self.options.views.push(view);
        self
    }

    /// The provider.
    #[must_use]
    pub fn build(self) -> MeterProvider {
        MeterProvider {
            pipeline: Arc::new(Pipeline::new(self.options)),
        }
    }
}
