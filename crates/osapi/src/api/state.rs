//! What handlers share.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use meterline::MeterProvider;
use meterline_jobs::JobMetrics;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::page::{Live, Measurements};
use super::problem::Problem;
use crate::access::SigningKey;
use crate::config::ApiConfig;
use crate::metrics::Readings;
use crate::operations::{Refused, Registry};
use crate::queue::{Operation, QueueStats, SharedQueue};

/// Most streams of events at a time: each costs reads for as long as its job changes.
const MAX_STREAMS: usize = 256;

/// When to come back while there are as many streams as there may be.
const BUSY_RETRY: Duration = Duration::from_secs(5);

/// What handlers share; cheap to clone.
#[derive(Clone)]
pub struct ApiState {
    /// The jobs.
    pub queue: SharedQueue,
    /// Which operations there are.
    pub operations: Arc<dyn OperationRules>,
    /// Counts jobs made and cancelled here.
    pub metrics: JobMetrics,
    /// Where the process is in its life.
    pub lifecycle: Lifecycle,
    /// The largest request body, in bytes.
    pub max_body_bytes: usize,
    /// What tokens are checked with; without it there are none, and everybody may do everything.
    pub key: Option<Arc<SigningKey>>,
    /// Whether only this machine can connect, and without a token, so that every honest `Host` is a
    /// loopback name. With a key, a proxy in front may have names of its own.
    pub loopback_only: bool,
    /// What the API says about itself, as JSON.
    pub(super) description: Arc<OnceLock<Bytes>>,
    /// Room for streams of events.
    streams: Arc<Semaphore>,
    /// What the page shows, to all who watch.
    pub(super) live: Live,
    /// What the page knows from metrics; `None` while they are off.
    pub(super) measurements: Option<Measurements>,
    /// What the page knows of the queue: the readings the gauges show, where there are gauges.
    pub(super) readings: Readings,
    /// When the process started serving.
    pub started: Instant,
}

impl ApiState {
    /// The state of an API over a queue, answering at `address` (`None` if nothing listens).
    pub fn new(
        config: &ApiConfig,
        key: Option<Arc<SigningKey>>,
        address: Option<SocketAddr>,
        queue: SharedQueue,
        operations: Arc<dyn OperationRules>,
        metrics: JobMetrics,
        lifecycle: Lifecycle,
    ) -> Self {
        Self {
            queue,
            operations,
            metrics,
            lifecycle,
            max_body_bytes: config.max_body_bytes,
            loopback_only: key.is_none()
                && address.is_none_or(|address| address.ip().to_canonical().is_loopback()),
            key,
            description: Arc::default(),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            live: Live::default(),
            measurements: None,
            readings: Readings::default(),
            started: Instant::now(),
        }
    }

    /// The page shows this provider's metrics, too, and the same readings of the queue. `runs_jobs`:
    /// whether this process runs workers of its own.
    #[must_use]
    pub fn with_metrics(
        mut self,
        provider: MeterProvider,
        namespace: &str,
        runs_jobs: bool,
        readings: Readings,
    ) -> Self {
        self.readings = readings;
        self.measurements = Some(Measurements::new(provider, namespace, runs_jobs));
        self
    }

    /// Room for one more stream of events, until it is dropped; 503 if there is none.
    pub(super) fn stream(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let room = Arc::clone(&self.streams).try_acquire_owned();
        room.map_err(|_| Problem::unavailable("too many streams of events are open", BUSY_RETRY))
    }

    /// What the queue holds, or why that is not known.
    pub(super) async fn stats(&self) -> Result<QueueStats, Problem> {
        Ok(self.queue.stats().await?)
    }

    /// Refuses new work once the process is on its way out.
    pub(super) fn accepting(&self) -> Result<(), Problem> {
        if self.lifecycle.is_stopping() {
            return Err(Problem::unavailable(
                "the server is shutting down",
                Duration::from_secs(5),
            ));
        }
        Ok(())
    }
}

/// Which operations there are, and which input each takes.
pub trait OperationRules: Send + Sync {
    /// Checks an operation and its input.
    ///
    /// # Errors
    /// 400, with the list of operations if this one is unknown.
    fn check(&self, operation: &Operation) -> Result<(), Problem>;

    /// Their names, sorted.
    fn names(&self) -> Vec<&'static str>;

    /// The operations, each with the JSON Schema of its input.
    fn inputs(&self) -> BTreeMap<&'static str, Value>;
}

impl OperationRules for Registry {
    fn inputs(&self) -> BTreeMap<&'static str, Value> {
        Self::inputs(self)
    }

    fn check(&self, operation: &Operation) -> Result<(), Problem> {
        Self::check(self, &operation.kind, &operation.data).map_err(|refused| {
            let problem = Problem::bad_request(refused.to_string());
            match refused {
                Refused::Unknown { known, .. } => {
                    problem.with_operations(known.into_iter().map(str::to_owned).collect())
                }
                Refused::Input { .. } => problem,
            }
        })
    }

    fn names(&self) -> Vec<&'static str> {
        Self::names(self)
    }
}

/// Where a process is in its life. Clones speak of the same process.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    stopping: CancellationToken,
    closing: CancellationToken,
}

impl Lifecycle {
    /// From now on: not ready, and no new jobs. What runs goes on, and so do reads.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Whether [`stop`](Self::stop) was called.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// From now on: streams end and connections close after their request.
    pub fn close(&self) {
        self.stopping.cancel();
        self.closing.cancel();
    }

    /// Waits for [`close`](Self::close).
    pub async fn closed(&self) {
        self.closing.cancelled().await;
    }

    /// As [`closed`](Self::closed), without a borrow.
    pub(super) fn closed_owned(&self) -> impl Future<Output = ()> + Send + use<> {
        self.closing.clone().cancelled_owned()
    }
}
