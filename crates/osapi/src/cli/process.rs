//! The parts of a process, made from its configuration.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Failure;
use super::names::{Names, hostname};
use crate::config::{Config, WorkerConfig};
use crate::operations::Registry;
use crate::queue::sqlite::{OnTransaction, SqliteQueue};
use crate::queue::{QueueOptions, RetryPolicy, SharedQueue};
use crate::telemetry::ProcessTelemetry;
use crate::worker::{Worker, WorkerOptions, maintain};

/// The queue's rules, as configured.
fn options(config: &Config) -> QueueOptions {
    let queue = &config.queue;
    QueueOptions {
        lease: queue.lease,
        max_attempts: queue.max_attempts,
        retry: RetryPolicy {
            base: queue.retry.base,
            max: queue.retry.max,
        },
        max_waiting: queue.max_waiting,
        start_timeout: queue.start_timeout,
        retention: queue.retention,
    }
}

/// Opens the queue, making its directory if need be.
pub(super) async fn open_queue(
    config: &Config,
    on_transaction: Option<OnTransaction>,
) -> Result<SharedQueue, Failure> {
    let (path, options) = (config.queue.sqlite.path.clone(), options(config));
    // Opening reads and may repair the file, which takes as long as the disk likes.
    let opened =
        tokio::task::spawn_blocking(move || SqliteQueue::open(&path, options, on_transaction))
            .await;
    match opened {
        Ok(Ok(queue)) => Ok(Arc::new(queue)),
        Ok(Err(error)) => Err(Failure::Other(error.to_string())),
        Err(error) => Err(Failure::Other(format!("cannot open the queue: {error}"))),
    }
}

/// The tasks of a process beside its server: its workers, and the queue's housekeeping.
pub(super) struct Fleet {
    workers: JoinSet<Result<(), String>>,
    stop: CancellationToken,
    housekeeping: JoinSet<()>,
    housekeeping_stop: CancellationToken,
    _names: Names,
}

impl Fleet {
    /// Starts a worker of each name. Each registers by itself, so this does not wait for the queue.
    pub(super) fn start(
        config: &Config,
        queue: &SharedQueue,
        operations: &Arc<Registry>,
        telemetry: &ProcessTelemetry,
        names: Names,
    ) -> Self {
        let (stop, housekeeping_stop) = (CancellationToken::new(), CancellationToken::new());
        let mut workers = JoinSet::new();
        for name in names.iter() {
            let options = worker_options(&config.worker, config.queue.lease, name);
            let name = name.to_owned();
            let worker = Worker::new(
                Arc::clone(queue),
                Arc::clone(operations),
                telemetry.jobs().clone(),
                telemetry.worker(&name, options.slots),
                options,
            );
            let stop = stop.clone();
            workers.spawn(async move {
                let ran = worker.run(stop).await;
                ran.map_err(|error| format!("worker {name}: {error}"))
            });
        }
        let mut housekeeping = JoinSet::new();
        housekeeping.spawn(maintain(
            Arc::clone(queue),
            telemetry.jobs().clone(),
            housekeeping_stop.clone(),
        ));
        Self {
            workers,
            stop,
            housekeeping,
            housekeeping_stop,
            _names: names,
        }
    }

    /// Waits until a worker ends by itself, which none does in order. Says why.
    pub(super) async fn failed(&mut self) -> String {
        while let Some(ended) = self.workers.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return error,
                Err(error) => return format!("a worker ended: {error}"),
            }
        }
        std::future::pending().await
    }

    /// Lets the workers finish what they run, within the drain timeout, then ends the housekeeping.
    pub(super) async fn drain(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.workers.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(error, "a worker did not end in order"),
                Err(error) => tracing::warn!(%error, "a worker did not end in order"),
            }
        }
        self.housekeeping_stop.cancel();
        self.housekeeping.join_all().await;
    }
}

fn worker_options(config: &WorkerConfig, lease: std::time::Duration, name: &str) -> WorkerOptions {
    WorkerOptions {
        name: name.to_owned(),
        hostname: hostname(),
        labels: config.labels.clone(),
        slots: config.slots,
        drain_timeout: config.drain_timeout,
        lease,
    }
}
