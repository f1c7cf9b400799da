//! How the queue and the fleet are, told when a reader asks.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::AsyncInstrument;

use crate::catalogue::{self, Metric};
use crate::instruments::Instruments;

/// How a queue is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueReading {
    /// How many jobs there are in each state: `submitted`, `retrying`, `processing`, `dlq`, or the system's own. Give
    /// every state each time, also at 0.
    pub states: Vec<(&'static str, u64)>,
    /// How long the oldest waiting job has waited; zero when none waits.
    pub oldest_waiting: Duration,
}

/// How the workers are, as whoever watches over them sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FleetReading {
    /// How many workers there are in each state: `ready`, `draining`, `lost`, or the system's own. Give every state
    /// each time, also at 0.
    pub states: Vec<(&'static str, u64)>,
    /// The workers by name, and how long ago each gave its last sign of life.
    pub heartbeat_ages: Vec<(String, Duration)>,
}

/// Shows a queue from now on. `read` is called when metrics are collected, once per gauge, and must not block: it
/// returns the latest reading, or `None` when there is none or it is too old. A gauge that is absent tells more than
/// one that is frozen.
pub fn observe_queue(
    instruments: &Instruments,
    read: impl Fn() -> Option<QueueReading> + Send + Sync + 'static,
) {
    let read = Arc::new(read);
    observe(instruments, &catalogue::JOBS_QUEUED, &read, |queue, to| {
        by_state(&queue.states, to);
    });
    let oldest = &catalogue::JOBS_OLDEST_WAITING;
    observe(instruments, oldest, &read, |queue, to| {
        to.observe(queue.oldest_waiting.as_secs_f64(), &[]);
    });
}

/// Shows the fleet from now on, in the process that watches over it. `read` as for [`observe_queue`].
pub fn observe_fleet(
    instruments: &Instruments,
    read: impl Fn() -> Option<FleetReading> + Send + Sync + 'static,
) {
    let read = Arc::new(read);
    let connected = &catalogue::WORKERS_CONNECTED;
    observe(instruments, connected, &read, |fleet, to| {
        by_state(&fleet.states, to);
    });
    let ages = &catalogue::WORKER_HEARTBEAT_AGE;
    observe(instruments, ages, &read, |fleet, to| {
        for (worker, age) in &fleet.heartbeat_ages {
            let worker = KeyValue::new("worker", worker.clone());
            to.observe(age.as_secs_f64(), &[worker]);
        }
    });
}

fn observe<R: 'static>(
    instruments: &Instruments,
    row: &Metric,
    read: &Arc<impl Fn() -> Option<R> + Send + Sync + 'static>,
    tell: fn(&R, &dyn AsyncInstrument<f64>),
) {
    let read = Arc::clone(read);
    instruments.observe(row, move |to| {
        if let Some(reading) = read() {
            tell(&reading, to);
        }
    });
}

fn by_state(states: &[(&'static str, u64)], to: &dyn AsyncInstrument<f64>) {
    for (state, number) in states {
        to.observe(*number as f64, &[KeyValue::new("state", *state)]);
    }
}
