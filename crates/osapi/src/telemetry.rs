//! A process's telemetry: meterline set up from the configuration, and osapi's own metrics on it.
//!
//! With metrics off there is no provider, no layer, no route and no poller; whoever wants something
//! to report to gets one that does nothing.

use std::sync::Arc;

use axum::Router;
use meterline::{BuildError, Telemetry};
use opentelemetry::InstrumentationScope;
use opentelemetry::metrics::MeterProvider as _;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::{JobEvents, Lifecycle};
use crate::config::Config;
use crate::metrics::catalogue::Process;
use crate::metrics::{Instruments, JobMetrics, Readings, StateMetrics, keep_current};
use crate::queue::SharedQueue;
use crate::queue::sqlite::OnTransaction;
use crate::worker::{JobObserver, Unobserved};

/// The scope of osapi's own metrics.
const SCOPE: &str = "osapi";

/// What a process records, and where it shows it.
#[derive(Debug)]
pub struct ProcessTelemetry {
    telemetry: Telemetry,
    recorded: Option<Recorded>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What there is only while metrics are on.
#[derive(Debug)]
struct Recorded {
    instruments: Instruments,
    jobs: JobMetrics,
    readings: Readings,
}

impl ProcessTelemetry {
    /// Sets up what the configuration asks for. A worker serves its metrics beside its health
    /// checks, on the same listener; so here it gets none of its own.
    ///
    /// # Errors
    /// As [`meterline::TelemetryBuilder::build`]; nothing was bound then.
    pub fn start(config: &Config, process: Process) -> Result<Self, BuildError> {
        let mut telemetry = config.telemetry.clone();
        telemetry.metrics.enabled = Some(config.metrics_enabled());
        if process == Process::Worker {
            telemetry.metrics.listen = None;
        }
        let readings = Readings::default();
        let database = readings.clone();
        let telemetry = Telemetry::builder()
            .config(telemetry)
            .json_section("database", move || {
                serde_json::to_value(database.database()).unwrap_or(Value::Null)
            })
            .build()?;
        let recorded = telemetry.provider().map(|provider| {
            let namespace = &config.telemetry.metrics.namespace;
            let scope = InstrumentationScope::builder(SCOPE);
            let scope = scope.with_version(env!("CARGO_PKG_VERSION")).build();
            let instruments = Instruments::new(provider.meter_with_scope(scope), namespace);
            let jobs = JobMetrics::new(&instruments);
            Recorded {
                instruments,
                jobs,
                readings,
            }
        });
        Ok(Self {
            telemetry,
            recorded,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })
    }

    /// Where metrics have a listener of their own, its address.
    #[must_use]
    pub fn listen_addr(&self) -> Option<std::net::SocketAddr> {
        self.telemetry.listen_addr()
    }

    /// What workers report to.
    #[must_use]
    pub fn observer(&self) -> Arc<dyn JobObserver> {
        match &self.recorded {
            Some(recorded) => Arc::new(recorded.jobs.clone()),
            None => Arc::new(Unobserved),
        }
    }

    /// What the API reports to.
    #[must_use]
    pub fn events(&self) -> Arc<dyn JobEvents> {
        match &self.recorded {
            Some(recorded) => Arc::new(recorded.jobs.clone()),
            None => Arc::new(()),
        }
    }

    /// What the queue tells of its transactions.
    #[must_use]
    pub fn on_transaction(&self) -> Option<OnTransaction> {
        let jobs = self.recorded.as_ref()?.jobs.clone();
        Some(Arc::new(move |took| jobs.transaction(took)))
    }

    /// Starts the counters of these operations at zero, so that `rate()` and `increase()` see the
    /// first thing that happens.
    pub fn expect(&self, operations: &[&'static str], process: Process) {
        if let Some(recorded) = &self.recorded {
            recorded.jobs.expect(operations, process);
        }
    }

    /// Shows how the queue, the fleet and the process are, from now on.
    pub fn watch(&self, queue: &SharedQueue, lifecycle: &Lifecycle, process: Process) {
        let Some(Recorded {
            instruments,
            readings,
            ..
        }) = &self.recorded
        else {
            return;
        };
        StateMetrics::observe(instruments, readings, lifecycle, process);
        self.tasks.spawn(keep_current(
            readings.clone(),
            Arc::clone(queue),
            self.stop.clone(),
        ));
    }

    /// The metrics endpoints, for a router to be merged with: none if metrics are off or have a
    /// listener of their own.
    pub fn routes(&self) -> Router {
        self.telemetry.routes()
    }

    /// Measures the requests of these routes, if metrics are on.
    pub fn measure(&self, routes: Router) -> Router {
        match &self.recorded {
            Some(_) => routes.layer(self.telemetry.http_layer()),
            None => routes,
        }
    }

    /// Ends the poller and then the scrape endpoint: to be called when nothing else is left to end.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        if let Err(error) = self.telemetry.shutdown().await {
            tracing::warn!("{error}");
        }
    }
}
