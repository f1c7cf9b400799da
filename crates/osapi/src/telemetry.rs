//! A process's telemetry: meterline set up from the configuration, and osapi's own metrics on it.
//!
//! With metrics off there is no provider, no layer, no route and no poller; whoever wants something
//! to record with gets what records nothing.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use meterline::config::Auth;
use meterline::{MeterProvider, Telemetry};
use meterline_jobs::{JobMetrics, NatsMetrics, Probe, WorkerMetrics};
use opentelemetry::InstrumentationScope;
use opentelemetry::metrics::MeterProvider as _;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::SigningKey;
use crate::api::{Lifecycle, metrics_check};
use crate::config::{Backend, Config};
use crate::metrics::catalogue::{self, Process};
use crate::metrics::{Instruments, Readings, Sources, StateMetrics, keep_current};
use crate::queue::SharedQueue;
use crate::queue::nats::NatsQueue;
use crate::queue::sqlite::OnTransaction;
use crate::traces::{self, Serving};

/// The scope of osapi's own metrics.
const SCOPE: &str = "osapi";

/// How long a push may take while the rest of the process still waits to end.
const FLUSH: Duration = Duration::from_secs(3);

/// Why telemetry cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The pipeline or its endpoints.
    #[error(transparent)]
    Pipeline(#[from] meterline::BuildError),
    /// The instruments of jobs.
    #[error("telemetry.metrics: {0}")]
    Jobs(#[from] meterline_jobs::BuildError),
}

/// What a process records, and where it shows it.
#[derive(Debug)]
pub struct ProcessTelemetry {
    telemetry: Telemetry,
    recorded: Option<Recorded>,
    job_instruments: meterline_jobs::Instruments,
    jobs: JobMetrics,
    nats: OnceLock<NatsMetrics>,
    traces: Option<Serving>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What there is only while metrics are on.
#[derive(Debug)]
struct Recorded {
    instruments: Instruments,
    readings: Readings,
}

impl ProcessTelemetry {
    /// Sets up what the configuration asks for. A worker serves its metrics beside its health
    /// checks, on the same listener; so here it gets none of its own.
    ///
    /// # Errors
    /// See [`StartError`]; nothing was bound then.
    pub fn start(
        config: &Config,
        key: Option<&Arc<SigningKey>>,
        process: Process,
    ) -> Result<Self, StartError> {
        let mut telemetry = config.telemetry.clone();
        telemetry.metrics.enabled = Some(config.metrics_enabled());
        if process == Process::Worker {
            telemetry.metrics.listen = None;
            telemetry.metrics.tls = None;
        }
        let locked = key.filter(|_| telemetry.metrics.auth == Auth::Bearer);
        let readings = Readings::default();
        let database = readings.clone();
        let mut builder = Telemetry::builder()
            .config(telemetry)
            .url_scheme(scheme(config));
        if let Some(key) = locked {
            builder = builder.bearer_check(metrics_check(Arc::clone(key)));
        }
        builder = builder.json_section("database", move || {
            serde_json::to_value(database.database()).unwrap_or(Value::Null)
        });
        if config.queue.backend == Backend::Nats {
            let broker = readings.clone();
            builder = builder.json_section("nats", move || {
                serde_json::to_value(broker.broker()).unwrap_or(Value::Null)
            });
        }
        let telemetry = builder.build()?;
        let meter = telemetry.provider().map(|provider| {
            let scope = InstrumentationScope::builder(SCOPE);
            let scope = scope.with_version(env!("CARGO_PKG_VERSION")).build();
            provider.meter_with_scope(scope)
        });
        let namespace = &config.telemetry.metrics.namespace;
        let job_instruments = match &meter {
            Some(meter) => {
                let builder = meterline_jobs::Instruments::builder().meter(meter.clone());
                builder.namespace(namespace.clone()).build()?
            }
            None => meterline_jobs::Instruments::disabled(),
        };
        Ok(Self {
            recorded: meter.map(|meter| Recorded {
                instruments: Instruments::new(meter, namespace),
                readings,
            }),
            telemetry,
            jobs: JobMetrics::new(&job_instruments),
            job_instruments,
            nats: OnceLock::new(),
            traces: serving(config),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })
    }

    /// What everything is recorded with; none while metrics are off.
    #[must_use]
    pub fn provider(&self) -> Option<&MeterProvider> {
        self.telemetry.provider()
    }

    /// The latest readings of the queue; none are taken while metrics are off.
    #[must_use]
    pub fn readings(&self) -> Option<&Readings> {
        self.recorded.as_ref().map(|recorded| &recorded.readings)
    }

    /// Where metrics have a listener of their own, its address.
    #[must_use]
    pub fn listen_addr(&self) -> Option<std::net::SocketAddr> {
        self.telemetry.listen_addr()
    }

    /// What is recorded of jobs.
    #[must_use]
    pub fn jobs(&self) -> &JobMetrics {
        &self.jobs
    }

    /// What further metrics of jobs, workers and connections are made with; they record nothing if metrics are off.
    #[must_use]
    pub fn instruments(&self) -> &meterline_jobs::Instruments {
        &self.job_instruments
    }

    /// What a worker records of itself.
    #[must_use]
    pub fn worker(&self, name: &str, slots: u32) -> WorkerMetrics {
        WorkerMetrics::new(&self.job_instruments, name, slots)
    }

    /// What the queue tells of its transactions: how long each took, its commit included.
    #[must_use]
    pub fn on_transaction(&self) -> Option<OnTransaction> {
        let instruments = &self.recorded.as_ref()?.instruments;
        let transaction = instruments.histogram(&catalogue::DATABASE_TRANSACTION_DURATION);
        Some(Arc::new(move |took| {
            transaction.record(took.as_secs_f64(), &[]);
        }))
    }

    /// Shows from now on how the queue's connection to its broker is.
    pub fn connected_by(&self, queue: &NatsQueue) {
        if self.recorded.is_none() {
            return;
        }
        let metrics = NatsMetrics::new(&self.job_instruments, queue.client(), Probe::default());
        let told = metrics.clone();
        queue.on_publish_failure(move || told.publish_failed());
        let _ = self.nats.set(metrics);
    }

    /// Starts the counters of these operations that this process may increment at zero, so that `rate()` and
    /// `increase()` see the first thing that happens.
    pub fn expect(&self, operations: &[&'static str], process: Process) {
        let operations = || operations.iter().copied();
        self.jobs.expect_ends(operations());
        if process != Process::Worker {
            self.jobs.expect_created(operations());
        }
        if process != Process::Api {
            self.jobs.expect_attempts(operations());
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
        let sources = Sources {
            readings,
            lifecycle,
            process,
            database: queue.broker().is_none(),
        };
        StateMetrics::observe(instruments, &self.job_instruments, &sources);
        self.tasks.spawn(keep_current(
            readings.clone(),
            Arc::clone(queue),
            process,
            self.stop.clone(),
        ));
    }

    /// The metrics endpoints, for a router to be merged with: none if metrics are off or have a
    /// listener of their own.
    pub fn routes(&self) -> Router {
        self.telemetry.routes()
    }

    /// Measures the requests of these routes if metrics are on, and opens a span for each, outside, if traces are.
    pub fn measure(&self, routes: Router) -> Router {
        let routes = match &self.recorded {
            Some(_) => routes.layer(self.telemetry.http_layer()),
            None => routes,
        };
        match &self.traces {
            Some(serving) => routes.layer(from_fn_with_state(serving.clone(), traces::serve)),
            None => routes,
        }
    }

    /// Pushes what has been recorded so far, while the scrape endpoint still answers.
    pub async fn flush(&self) {
        let flush = tokio::time::timeout(FLUSH, self.telemetry.force_flush());
        match flush.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("{error}"),
            Err(_) => tracing::warn!("metrics could not be pushed within {FLUSH:?}"),
        }
    }

    /// Ends the poller, pushes a last time, and then ends the scrape endpoint: to be called when
    /// nothing else is left to end.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        if let Err(error) = self.telemetry.shutdown().await {
            tracing::warn!("{error}");
        }
    }
}

/// `url.scheme` of the requests to the API.
fn scheme(config: &Config) -> &'static str {
    match config.api.tls {
        Some(_) => "https",
        None => "http",
    }
}

/// What requests have spans, if any have.
fn serving(config: &Config) -> Option<Serving> {
    let metrics = &config.telemetry.metrics;
    let paths = std::iter::once(&metrics.path).chain(&metrics.json_path);
    config.telemetry.traces.enabled.then(|| Serving {
        scheme: scheme(config),
        exclude: paths.cloned().collect(),
    })
}
