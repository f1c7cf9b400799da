//! Takes jobs off a queue and runs them.
//!
//! A [`Worker`] claims as many units as it has free slots and runs each in a task of its own.
//! While it runs anything it gives signs of life, which keep its leases and bring it news: cancelled
//! jobs, and whether it is to drain. Asked to stop it takes no more, finishes what it runs and gives
//! back what takes longer than the drain timeout.
//!
//! [`maintain`] is the housekeeping every process does, with or without workers.

mod attempt;
mod heartbeat;
mod maintenance;
mod slots;
mod trouble;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use meterline_jobs::{JobMetrics, WorkerMetrics};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};
use uuid::Uuid;

pub use self::maintenance::maintain;

use self::slots::Slots;
use self::trouble::Trouble;
use crate::operations::Registry;
use crate::queue::{Claim, Lease, QueueError, Registration, SharedQueue};

/// Longest one claim waits for work.
const CLAIM_WAIT: Duration = Duration::from_secs(30);

/// How a worker is set up.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// Its name in the fleet.
    pub name: String,
    /// The host it runs on.
    pub hostname: String,
    /// Shown with it.
    pub labels: BTreeMap<String, String>,
    /// Units it runs at a time, at least 1.
    pub slots: u32,
    /// How long running units may take to end when it stops.
    pub drain_timeout: Duration,
    /// The queue's lease; it gives three signs of life in that time, and at least one every two seconds.
    pub lease: Duration,
}

/// Runs jobs until told to stop.
pub struct Worker {
    shared: Arc<Shared>,
}

struct Shared {
    queue: SharedQueue,
    registry: Arc<Registry>,
    jobs: JobMetrics,
    metrics: WorkerMetrics,
    options: WorkerOptions,
    instance: Uuid,
    slots: Arc<Slots>,
    draining: watch::Sender<bool>,
    replaced: AtomicBool,
    processed: AtomicU64,
}

impl Worker {
    /// A worker on a queue, not yet running; `metrics` are its own, with its name and slots.
    #[must_use]
    pub fn new(
        queue: SharedQueue,
        registry: Arc<Registry>,
        jobs: JobMetrics,
        metrics: WorkerMetrics,
        options: WorkerOptions,
    ) -> Self {
        let slots = Slots::new(options.slots, metrics.clone());
        let shared = Shared {
            queue,
            registry,
            jobs,
            metrics,
            options,
            instance: Uuid::now_v7(),
            slots: Arc::new(slots),
            draining: watch::Sender::new(false),
            replaced: AtomicBool::new(false),
            processed: AtomicU64::new(0),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Registers, runs jobs until `stop`, then drains and deregisters.
    ///
    /// # Errors
    /// What the queue says to the registration, unless it may pass; or [`QueueError::Conflict`]
    /// when another process took this worker's name.
    pub async fn run(self, stop: CancellationToken) -> Result<(), QueueError> {
        let shared = self.shared;
        shared.register(&stop).await?;
        let life = CancellationToken::new();
        let replaced = stop.child_token();
        // Not left behind if this future is dropped: a worker that is gone gives no signs of life.
        let heartbeat = heartbeat::run(Arc::clone(&shared), life.clone(), replaced.clone());
        let heartbeat = AbortOnDropHandle::new(tokio::spawn(heartbeat));
        let mut tasks = JoinSet::new();
        shared.work(&mut tasks, &replaced).await;
        shared.drain(&mut tasks).await;
        life.cancel();
        let _ = heartbeat.await;
        let name = shared.options.name.clone();
        if shared.replaced.load(Ordering::Relaxed) {
            return Err(QueueError::Conflict(format!(
                "another process registered as worker {name:?}"
            )));
        }
        if let Err(error) = shared.queue.deregister(name.clone(), shared.instance).await {
            warn!(worker = name, %error, "cannot deregister; the worker will show as lost");
        }
        Ok(())
    }
}

impl Shared {
    async fn register(&self, stop: &CancellationToken) -> Result<(), QueueError> {
        let options = &self.options;
        let mut trouble = Trouble::new("register this worker");
        loop {
            let registration = Registration {
                worker: options.name.clone(),
                instance: self.instance,
                hostname: options.hostname.clone(),
                labels: options.labels.clone(),
                slots: options.slots,
            };
            match self.queue.register(registration).await {
                Ok(()) => {
                    info!(worker = options.name, slots = options.slots, "worker ready");
                    return Ok(());
                }
                Err(error) if error.is_transient() && !stop.is_cancelled() => {
                    trouble.pause(&error, stop).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Claims and runs until told to stop.
    async fn work(self: &Arc<Self>, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
        let mut trouble = Trouble::new("take work");
        while !stop.is_cancelled() {
            // What was taken is begun even if the order to stop came with it; a claim that is dropped
            // halfway gives back by itself.
            let claimed = tokio::select! {
                biased;
                claimed = self.claim() => claimed,
                () = stop.cancelled() => return,
            };
            match claimed {
                Ok(leases) => {
                    trouble.over();
                    for lease in leases {
                        self.begin(lease, tasks);
                    }
                }
                Err(error) => trouble.pause(&error, stop).await,
            }
            while tasks.try_join_next().is_some() {}
        }
    }

    /// Waits until there is a free slot and the worker is not draining, then for work.
    async fn claim(&self) -> Result<Vec<Lease>, QueueError> {
        let mut draining = self.draining.subscribe();
        if draining.wait_for(|draining| !draining).await.is_err() {
            return Err(QueueError::Closed);
        }
        let slots = self.slots.any_free().await;
        let claim = Claim {
            worker: self.options.name.clone(),
            hostname: self.options.hostname.clone(),
            slots,
            wait: CLAIM_WAIT,
        };
        // A slot that becomes free meanwhile is asked for by the next claim: this one ends with the
        // first work there is.
        tokio::select! {
            biased;
            leases = self.queue.claim(claim) => leases,
            _ = draining.wait_for(|draining| *draining) => Ok(Vec::new()),
        }
    }

    fn begin(self: &Arc<Self>, lease: Lease, tasks: &mut JoinSet<()>) {
        let (slot, revoked) = self.slots.take(lease.token);
        tasks.spawn(attempt::run(Arc::clone(self), lease, slot, revoked));
    }

    /// Lets running units end; gives back those that take too long.
    async fn drain(&self, tasks: &mut JoinSet<()>) {
        let finished = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(self.options.drain_timeout, finished)
            .await
            .is_ok()
        {
            return;
        }
        let unfinished = self.slots.leases();
        tasks.shutdown().await;
        warn!(
            worker = self.options.name,
            jobs = unfinished.len(),
            "drain timeout: jobs given back unfinished"
        );
        if let Err(error) = self.queue.give_back(unfinished).await {
            warn!(worker = self.options.name, %error, "cannot give jobs back; they restart when their lease ends");
        }
    }
}
