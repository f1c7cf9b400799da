//! How the queue, the fleet and the process are, told when a scrape asks.

use jiff::Timestamp;
use meterline_jobs::{FleetReading, QueueReading, observe_fleet, observe_queue};
use opentelemetry::KeyValue;
use opentelemetry::metrics::AsyncInstrument;

use super::catalogue::{self, Metric, Process};
use super::readings::Reading;
use super::{Instruments, Readings};
use crate::api::Lifecycle;
use crate::queue::{DatabaseStats, QueueStats, WorkerInfo, WorkerState};

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
