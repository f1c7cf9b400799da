//! How the queue, the fleet and the process are, told when a scrape asks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use meterline_jobs::{FleetReading, QueueReading, observe_fleet, observe_queue};
use opentelemetry::KeyValue;
use opentelemetry::metrics::AsyncInstrument;
use parking_lot::Mutex;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Instruments;
use super::catalogue::{self, Metric, Process};
use crate::api::Lifecycle;
use crate::queue::{BrokerStatus, DatabaseStats, QueueStats, SharedQueue, WorkerInfo, WorkerState};

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
    broker: Option<BrokerStatus>,
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

    /// How the connection to the broker is, where there is one.
    #[must_use]
    pub fn broker(&self) -> Option<BrokerStatus> {
        self.0.lock().broker.clone()
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

    async fn refresh(&self, queue: &SharedQueue, process: Process) {
        // As of before the answers came: what is shown is never older than it claims.
        let when = Instant::now();
        self.0.lock().broker = queue.broker();
        // A worker shows neither the queue nor the fleet.
        let shown = process != Process::Worker;
        let stats = async {
            match shown {
                true => queue.stats().await,
                false => Ok(QueueStats::default()),
            }
        };
        let workers = async {
            match shown {
                true => queue.workers().await,
                false => Ok(Vec::new()),
            }
        };
        let answers = async { tokio::join!(stats, workers, queue.database(), queue.check()) };
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
pub async fn keep_current(
    readings: Readings,
    queue: SharedQueue,
    process: Process,
    stop: CancellationToken,
) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = ticks.tick() => readings.refresh(&queue, process).await,
        }
    }
}

/// Registers the gauges that are read from the latest readings.
#[derive(Debug)]
pub struct StateMetrics;

/// What the gauges of a process are read from.
#[derive(Debug)]
pub struct Sources<'a> {
    /// The latest readings of the queue.
    pub readings: &'a Readings,
    /// Whether the process is stopping.
    pub lifecycle: &'a Lifecycle,
    /// Which process this is: the queue's and the fleet's gauges belong to the API.
    pub process: Process,
    /// Whether the queue is in a database of this host.
    pub database: bool,
}

type Tell = fn(&Reading, &dyn AsyncInstrument<f64>);

impl StateMetrics {
    /// Adds the gauges of a process.
    pub fn observe(
        instruments: &Instruments,
        jobs: &meterline_jobs::Instruments,
        sources: &Sources<'_>,
    ) {
        let Sources {
            readings,
            lifecycle,
            process,
            ..
        } = *sources;
        let database: [(&Metric, Tell); 3] = [
            (&catalogue::DATABASE_SIZE, |now, to| {
                to.observe(now.database.size_bytes as f64, &[]);
            }),
            (&catalogue::DATABASE_CONNECTIONS, connections),
            (&catalogue::DATABASE_QUERIES, |now, to| {
                to.observe(now.database.queries_total as f64, &[]);
            }),
        ];
        for (metric, tell) in database.into_iter().filter(|_| sources.database) {
            let readings = readings.clone();
            instruments.observe(metric, move |to| {
                if let Some(now) = readings.fresh() {
                    tell(&now, to);
                }
            });
        }
        if process != Process::Worker {
            let (queue, fleet) = (readings.clone(), readings.clone());
            observe_queue(jobs, move || queue.fresh().as_ref().map(queue_of));
            observe_fleet(jobs, move || fleet.fresh().as_ref().map(fleet_of));
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

fn queue_of(now: &Reading) -> QueueReading {
    let QueueStats { jobs, dlq, .. } = &now.stats;
    QueueReading {
        states: vec![
            ("submitted", jobs.submitted),
            ("retrying", jobs.retrying),
            ("processing", jobs.processing),
            ("dlq", *dlq),
        ],
        oldest_waiting: now.stats.oldest_waiting.unwrap_or_default(),
    }
}

fn fleet_of(now: &Reading) -> FleetReading {
    let in_state = |state| {
        now.workers
            .iter()
            .filter(move |worker| worker.state == state)
    };
    let moment = Timestamp::now();
    let age = |worker: &WorkerInfo| {
        // A clock that was set back makes no negative age.
        let age = moment.duration_since(worker.last_heartbeat);
        age.try_into().unwrap_or_default()
    };
    FleetReading {
        states: WorkerState::ALL
            .map(|state| (state.as_str(), in_state(state).count() as u64))
            .into(),
        heartbeat_ages: now
            .workers
            .iter()
            .map(|worker| (worker.worker.clone(), age(worker)))
            .collect(),
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
