//! How the queue, the fleet and the process are, told when a scrape asks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use opentelemetry::KeyValue;
use opentelemetry::metrics::AsyncInstrument;
use parking_lot::Mutex;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Instruments;
use super::catalogue::{self, Metric, Process};
use crate::api::Lifecycle;
use crate::queue::{DatabaseStats, QueueStats, SharedQueue, WorkerInfo, WorkerState};

/// How often the queue is asked.
const PERIOD: Duration = Duration::from_secs(1);

/// How old a reading may be and still be shown. An older one is left out: a gauge that is absent
/// tells more than one that is frozen.
const FRESH: Duration = Duration::from_secs(2);

/// The latest readings of the queue, kept by [`keep_current`].
#[derive(Clone, Debug, Default)]
pub struct Readings(Arc<Mutex<Latest>>);

#[derive(Debug, Default)]
struct Latest {
    queue: Option<(Instant, Reading)>,
    works: Option<(Instant, bool)>,
}

#[derive(Clone, Debug)]
struct Reading {
    stats: QueueStats,
    workers: Vec<WorkerInfo>,
    database: DatabaseStats,
}

impl Readings {
    /// The database's numbers, if they are fresh.
    #[must_use]
    pub fn database(&self) -> Option<DatabaseStats> {
        self.fresh().map(|reading| reading.database)
    }

    fn fresh(&self) -> Option<Reading> {
        let latest = self.0.lock();
        let (when, reading) = latest.queue.as_ref()?;
        (when.elapsed() <= FRESH).then(|| reading.clone())
    }

    /// Whether the queue worked when last asked; not if that was too long ago.
    fn queue_works(&self) -> bool {
        self.0
            .lock()
            .works
            .is_some_and(|(when, works)| works && when.elapsed() <= FRESH)
    }

    async fn refresh(&self, queue: &SharedQueue) {
        // As of before the answers came: what is shown is never older than it claims.
        let when = Instant::now();
        let answers = async {
            tokio::join!(
                queue.stats(),
                queue.workers(),
                queue.database(),
                queue.check()
            )
        };
        let answered = tokio::time::timeout(FRESH, answers).await;
        let mut latest = self.0.lock();
        let Ok((stats, workers, database, check)) = answered else {
            latest.works = Some((when, false));
            return;
        };
        latest.works = Some((when, check.is_ok()));
        if let (Ok(stats), Ok(workers), Ok(database)) = (stats, workers, database) {
            latest.queue = Some((
                when,
                Reading {
                    stats,
                    workers,
                    database,
                },
            ));
        }
    }
}

/// Asks the queue once a second until `stop`.
pub async fn keep_current(readings: Readings, queue: SharedQueue, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = ticks.tick() => readings.refresh(&queue).await,
        }
    }
}

/// Registers the gauges that are read from the latest readings.
#[derive(Debug)]
pub struct StateMetrics;

type Tell = fn(&Reading, &dyn AsyncInstrument<f64>);

impl StateMetrics {
    /// Adds the gauges of a process. The queue's and the fleet's belong to the API.
    pub fn observe(
        instruments: &Instruments,
        readings: &Readings,
        lifecycle: &Lifecycle,
        process: Process,
    ) {
        let of_every: &[(&Metric, Tell)] = &[
            (&catalogue::DATABASE_SIZE, |now, to| {
                to.observe(now.database.size_bytes as f64, &[]);
            }),
            (&catalogue::DATABASE_CONNECTIONS, connections),
            (&catalogue::DATABASE_QUERIES, |now, to| {
                to.observe(now.database.queries_total as f64, &[]);
            }),
        ];
        let of_api: &[(&Metric, Tell)] = &[
            (&catalogue::JOBS_QUEUED, queued),
            (&catalogue::JOBS_OLDEST_WAITING, |now, to| {
                to.observe(
                    now.stats.oldest_waiting.unwrap_or_default().as_secs_f64(),
                    &[],
                );
            }),
            (&catalogue::WORKERS_CONNECTED, connected),
            (&catalogue::WORKER_HEARTBEAT_AGE, heartbeat_ages),
        ];
        let of_api = if process == Process::Worker {
            &[]
        } else {
            of_api
        };
        for (metric, tell) in of_every.iter().chain(of_api).copied() {
            let readings = readings.clone();
            instruments.observe(metric, move |to| {
                if let Some(now) = readings.fresh() {
                    tell(&now, to);
                }
            });
        }
        observe_health(instruments, readings, lifecycle);
        instruments.observe(&catalogue::BUILD_INFO, build_info);
    }
}

fn connections(now: &Reading, to: &dyn AsyncInstrument<f64>) {
    let DatabaseStats {
        connections,
        connections_idle,
        ..
    } = now.database;
    let used = connections.saturating_sub(connections_idle);
    for (state, connections) in [("used", used), ("idle", connections_idle)] {
        to.observe(connections as f64, &[KeyValue::new("state", state)]);
    }
}

fn queued(now: &Reading, to: &dyn AsyncInstrument<f64>) {
    let QueueStats { jobs, dlq, .. } = &now.stats;
    let states = [
        ("submitted", jobs.submitted),
        ("retrying", jobs.retrying),
        ("processing", jobs.processing),
        ("dlq", *dlq),
    ];
    for (state, jobs) in states {
        to.observe(jobs as f64, &[KeyValue::new("state", state)]);
    }
}

fn connected(now: &Reading, to: &dyn AsyncInstrument<f64>) {
    let mut states: BTreeMap<WorkerState, u32> = WorkerState::ALL.map(|state| (state, 0)).into();
    for worker in &now.workers {
        *states.entry(worker.state).or_default() += 1;
    }
    for (state, workers) in states {
        to.observe(workers.into(), &[KeyValue::new("state", state.as_str())]);
    }
}

fn heartbeat_ages(now: &Reading, to: &dyn AsyncInstrument<f64>) {
    let moment = Timestamp::now();
    for worker in &now.workers {
        // A clock that was set back makes no negative age.
        let age = moment
            .duration_since(worker.last_heartbeat)
            .as_secs_f64()
            .max(0.0);
        to.observe(age, &[KeyValue::new("worker", worker.worker.clone())]);
    }
}

fn observe_health(instruments: &Instruments, readings: &Readings, lifecycle: &Lifecycle) {
    let up = |works: bool| f64::from(u8::from(works));
    let (queue, living) = (readings.clone(), lifecycle.clone());
    instruments.observe(&catalogue::COMPONENT_UP, move |to| {
        to.observe(up(queue.queue_works() && !living.is_stopping()), &[]);
    });
    let queue = readings.clone();
    instruments.observe(&catalogue::SUBSYSTEM_UP, move |to| {
        to.observe(
            up(queue.queue_works()),
            &[KeyValue::new("subsystem", "queue")],
        );
    });
}

fn build_info(to: &dyn AsyncInstrument<f64>) {
    let rustc = rustc_version_runtime::version().to_string();
    let attributes = [
        KeyValue::new("version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("revision", REVISION),
        KeyValue::new("rustc", rustc),
    ];
    to.observe(1.0, &attributes);
}

/// The commit this was built from; `unknown` outside a git checkout.
const REVISION: &str = git_version::git_version!(
    args = [
        "--always",
        "--dirty=-modified",
        "--abbrev=12",
        "--exclude=*"
    ],
    fallback = "unknown"
);
