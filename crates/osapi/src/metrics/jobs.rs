//! What happens to jobs, counted as it happens.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, UpDownCounter};

use super::Instruments;
use super::catalogue::{self, Process};
use crate::api::JobEvents;
use crate::queue::JobState;
use crate::worker::{Active, AttemptStatus, JobObserver};

/// Counts units of work and attempts, for the API and for workers.
///
/// A unit is created once and completed once; duration is per attempt, and wait from when the unit
/// was due to the attempt's start.
#[derive(Clone, Debug)]
pub struct JobMetrics {
    created: Counter<u64>,
    completed: Counter<u64>,
    duration: Histogram<f64>,
    wait: Histogram<f64>,
    active: UpDownCounter<i64>,
    retries: Counter<u64>,
    rescued: Counter<u64>,
    processed: Counter<u64>,
    slots: Gauge<u64>,
    transaction: Histogram<f64>,
}

impl JobMetrics {
    /// The instruments, nothing recorded yet.
    #[must_use]
    pub fn new(instruments: &Instruments) -> Self {
        Self {
            created: instruments.counter(&catalogue::JOBS_CREATED),
            completed: instruments.counter(&catalogue::JOBS_COMPLETED),
            duration: instruments.histogram(&catalogue::JOB_DURATION),
            wait: instruments.histogram(&catalogue::JOB_WAIT),
            active: instruments.up_down_counter(&catalogue::JOBS_ACTIVE),
            retries: instruments.counter(&catalogue::JOB_RETRIES),
            rescued: instruments.counter(&catalogue::JOBS_RESCUED),
            processed: instruments.counter(&catalogue::WORKER_JOBS_PROCESSED),
            slots: instruments.gauge(&catalogue::WORKER_SLOTS),
            transaction: instruments.histogram(&catalogue::DATABASE_TRANSACTION_DURATION),
        }
    }

    /// Starts the counters that this process may increment at zero, for these operations.
    pub fn expect(&self, operations: &[&'static str], process: Process) {
        for kind in operations {
            let attributes = [operation(kind)];
            self.rescued.add(0, &attributes);
            if process != Process::Worker {
                self.created.add(0, &attributes);
            }
            if process != Process::Api {
                self.retries.add(0, &attributes);
            }
            for state in [JobState::Completed, JobState::Failed, JobState::Cancelled] {
                let status = KeyValue::new("status", state.as_str());
                self.completed.add(0, &[operation(kind), status]);
            }
        }
    }

    /// A transaction of the queue's database was committed after so long.
    pub fn transaction(&self, took: Duration) {
        self.transaction.record(took.as_secs_f64(), &[]);
    }
}

fn operation(name: &str) -> KeyValue {
    KeyValue::new("operation", name.to_owned())
}

impl JobEvents for JobMetrics {
    fn created(&self, kind: &str, units: u32) {
        self.created.add(units.into(), &[operation(kind)]);
    }

    fn cancelled(&self, kind: &str, units: u32) {
        let status = KeyValue::new("status", JobState::Cancelled.as_str());
        self.completed.add(units.into(), &[operation(kind), status]);
    }
}

impl JobObserver for JobMetrics {
    fn started(&self, kind: &str, waited: Duration) -> Active {
        let attributes = [operation(kind)];
        self.wait.record(waited.as_secs_f64(), &attributes);
        self.active.add(1, &attributes);
        Box::new(Running {
            active: self.active.clone(),
            attributes,
        })
    }

    fn attempt(&self, worker: &str, kind: &str, status: AttemptStatus, duration: Duration) {
        let status = KeyValue::new("status", status.as_str());
        let worker = KeyValue::new("worker", worker.to_owned());
        self.processed.add(1, &[worker, status.clone()]);
        self.duration
            .record(duration.as_secs_f64(), &[operation(kind), status]);
    }

    fn completed(&self, kind: &str, state: JobState) {
        let status = KeyValue::new("status", state.as_str());
        self.completed.add(1, &[operation(kind), status]);
    }

    fn retried(&self, kind: &str) {
        self.retries.add(1, &[operation(kind)]);
    }

    fn rescued(&self, kind: &str) {
        self.rescued.add(1, &[operation(kind)]);
    }

    fn slots(&self, worker: &str, used: u32, free: u32) {
        for (state, slots) in [("used", used), ("free", free)] {
            let attributes = [
                KeyValue::new("worker", worker.to_owned()),
                KeyValue::new("state", state),
            ];
            self.slots.record(slots.into(), &attributes);
        }
    }
}

/// An attempt that runs: whatever ends it, a panic included, takes it off the gauge.
struct Running {
    active: UpDownCounter<i64>,
    attributes: [KeyValue; 1],
}

impl Drop for Running {
    fn drop(&mut self) {
        self.active.add(-1, &self.attributes);
    }
}
