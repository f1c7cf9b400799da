//! The parts of a process, made from its configuration.

use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Failure;
use super::names::{Names, hostname};
use crate::config::{Backend, Config, WorkerConfig};
use crate::operations::Registry;
use crate::queue::nats::{NatsOptions, NatsQueue, Part};
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
    part: Part,
    telemetry: &ProcessTelemetry,
) -> Result<SharedQueue, Failure> {
    match config.queue.backend {
        Backend::Sqlite => open_sqlite(config, telemetry.on_transaction()).await,
        Backend::Nats => open_nats(config, part, telemetry).await,
    }
}

async fn open_nats(
    config: &Config,
    part: Part,
    telemetry: &ProcessTelemetry,
) -> Result<SharedQueue, Failure> {
    let dir = config.data_dir();
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&dir);
    made.map_err(|error| Failure::Other(format!("cannot make {}: {error}", dir.display())))?;
    let nats = &config.queue.nats;
    let tls = nats.tls.clone().unwrap_or_default();
    let options_of_nats = NatsOptions {
        url: nats.url.clone(),
        credentials: nats.credentials.clone(),
        ca: tls.ca,
        certificate: tls.cert.zip(tls.key),
        tls: nats.tls.is_some(),
        prefix: nats.prefix.clone(),
        replicas: nats.replicas.into(),
        name: format!("osapi on {}", hostname()),
    };
    let opened = NatsQueue::open(options_of_nats, options(config), part).await;
    let queue = opened.map_err(|error| Failure::Other(error.to_string()))?;
    telemetry.connected_by(&queue);
    Ok(Arc::new(queue))
}

async fn open_sqlite(
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
