use std::sync::{Arc, Weak};
use std::time::Duration;

use opentelemetry::metrics::{Meter, NoopMeterProvider};
use opentelemetry::{InstrumentationScope, KeyValue};

use crate::diagnostics::Stats;
use crate::pipeline::{Options, Pipeline};
use crate::push::{Push, PushError};
use crate::reader::{Reader, ReaderOptions};
use crate::snapshot::Snapshot;
use crate::{ExemplarFilter, Resource, View, meter};

/// How many series an instrument may have if nobody says otherwise (OpenTelemetry metrics SDK,
/// "Cardinality limits").
const DEFAULT_CARDINALITY_LIMIT: usize = 2000;

/// How long a callback may take if nobody says otherwise.
const CALLBACK_DEADLINE: Duration = Duration::from_secs(5);

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
                series_ttl: None,
                callback_deadline: CALLBACK_DEADLINE,
                callback_window: Duration::ZERO,
                views: Vec::new(),
                exemplars: ExemplarFilter::default(),
            },
        }
    }

    /// Runs the callbacks of observable instruments and reads all series; cumulative, sorted.
    ///
    /// Collections run one at a time; recording goes on meanwhile. Callbacks run on a thread of their
    /// own, one after the other; one that collects waits for its own collection, and is left out as
    /// late.
    #[must_use]
    pub fn collect(&self) -> Snapshot {
        self.pipeline.collect(0).into_snapshot()
    }

    /// Has a series of a counter or a histogram exist before anything is recorded, at zero, so that
    /// the first increment shows as one: `rate()` sees none in a series that begins at 1. `scope` is
    /// the meter's name, `instrument` that of an instrument created before.
    ///
    /// Whether there is such a series now: not if there is no such instrument, it is a gauge (which
    /// has no value to begin with) or observable, or the cardinality limit leaves no room.
    pub fn declare(&self, scope: &str, instrument: &str, attributes: &[KeyValue]) -> bool {
        self.pipeline.declare(scope, instrument, attributes)
    }

    /// Ends a series, as when what it describes is gone; whether there was one. If something is
    /// recorded with its attributes again, also through a handle, it begins anew at zero with a
    /// newer start.
    ///
    /// Deltas still report what was recorded until now (of the last 10,000 series of an instrument that
    /// were removed between two collections of a reader). A recording under way counts either before
    /// or after, as a whole.
    pub fn remove(&self, scope: &str, instrument: &str, attributes: &[KeyValue]) -> bool {
        self.pipeline.remove(scope, instrument, attributes)
    }

    /// One more reader of what all record, with a temporality of its own.
    ///
    /// While there is one, no series expires before it has seen its last values; drop a reader that
    /// no longer collects.
    #[must_use]
    pub fn reader(&self, options: ReaderOptions) -> Reader {
        Reader::new(Arc::clone(&self.pipeline), options)
    }

    /// One more who sends metrics somewhere of its own accord, to be told by
    /// [`force_flush`](Self::force_flush) and [`shutdown`](Self::shutdown) for as long as somebody
    /// keeps it.
    pub fn add_push<P: Push + 'static>(&self, push: &Arc<P>) {
        let push: Weak<P> = Arc::downgrade(push);
        self.pipeline.pushes().add(push);
    }

    /// Has all that push send what has been recorded until now, and waits for it, for so long. Blocks
    /// the thread.
    ///
    /// # Errors
    /// The first failure; the others were told all the same.
    pub fn force_flush(&self, within: Duration) -> Result<(), PushError> {
        self.pipeline.pushes().force_flush(within)
    }

    /// Has all that push do so for the last time, and waits for it, for so long. Blocks the thread.
    ///
    /// Meters that are asked for from then on have no effect. Instruments made before go on recording,
    /// and can be collected: the last scrape sees what happened during the shutdown.
    ///
    /// # Errors
    /// The first failure; the others were told all the same. [`PushError::ShutDown`] from the second
    /// call on.
    pub fn shutdown(&self, within: Duration) -> Result<(), PushError> {
        self.pipeline.pushes().shutdown(within)
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
        if self.pipeline.pushes().is_shut_down() {
            return NoopMeterProvider::new().meter_with_scope(scope);
        }
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

    /// Which measurements may be kept as exemplars; by default those made in a sampled span.
    /// Observable instruments have none: what a callback tells was not measured in a span.
    #[must_use]
    pub fn with_exemplars(mut self, filter: ExemplarFilter) -> Self {
        self.options.exemplars = filter;
        self
    }

    /// Has series end that nothing was recorded into for this long; by default they never do. An
    /// up-down counter that is not at zero stays: it counts something that is still there.
    ///
    /// Expiry happens in collections, as exactly as these are frequent. An attribute set that is
    /// recorded again begins anew at zero with a newer start. Handles stay valid.
    #[must_use]
    pub fn with_series_ttl(mut self, ttl: Option<Duration>) -> Self {
        self.options.series_ttl = ttl;
        self
    }

    /// How long a callback of an observable instrument may take; 5 s by default. A collection goes on
    /// without one that takes longer, and so do others until it has returned: its instrument has no
    /// points in them. With four callbacks blocked at once, none is started any more.
    #[must_use]
    pub fn with_callback_deadline(mut self, deadline: Duration) -> Self {
        self.options.callback_deadline = deadline;
        self
    }

    /// For how long what callbacks said to one reader is good for the others too; by default not at
    /// all. No reader is told the same twice.
    #[must_use]
    pub fn with_callback_window(mut self, window: Duration) -> Self {
        self.options.callback_window = window;
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
