//! What a worker does, told by the worker itself.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use opentelemetry::KeyValue;

use crate::catalogue;
use crate::handle::{CounterSeries, UpDownSeries};
use crate::instruments::Instruments;
use crate::status::AttemptStatus;

/// The metrics of one worker; cheap to clone. When the last clone is dropped its slots are taken off the gauge.
#[derive(Clone)]
pub struct WorkerMetrics {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    slots: i64,
    used: UpDownSeries,
    free: UpDownSeries,
    processed: [CounterSeries; AttemptStatus::ALL.len()],
    beat: Mutex<Option<Instant>>,
}

impl fmt::Debug for WorkerMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("WorkerMetrics");
        debug.field("name", &self.shared.name);
        debug.finish_non_exhaustive()
    }
}

impl WorkerMetrics {
    /// A worker of this name that can run so many attempts at a time, all of its slots free. Names become label
    /// values: a fleet has a handful that it keeps, not one per start.
    #[must_use]
    pub fn new(instruments: &Instruments, name: &str, slots: u32) -> Self {
        let gauge = instruments.up_down_counter(&catalogue::WORKER_SLOTS);
        let processed = instruments.counter(&catalogue::WORKER_JOBS_PROCESSED);
        let bind = instruments.bind;
        let worker = KeyValue::new("worker", name.to_owned());
        let with = |key, value| vec![worker.clone(), KeyValue::new(key, value)];
        let shared = Shared {
            name: name.to_owned(),
            slots: slots.into(),
            used: UpDownSeries::new(&gauge, with("state", "used"), bind),
            free: UpDownSeries::new(&gauge, with("state", "free"), bind),
            processed: AttemptStatus::ALL.map(|status| {
                CounterSeries::new(&processed, with("status", status.as_str()), bind)
            }),
            beat: Mutex::new(None),
        };
        shared.used.add(0);
        shared.free.add(shared.slots);
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Takes a slot, until what is returned is dropped.
    pub fn slot(&self) -> Slot {
        self.shared.used.add(1);
        self.shared.free.add(-1);
        Slot {
            worker: self.clone(),
        }
    }

    /// An attempt has ended. [`Attempt::by`](crate::Attempt::by) does this by itself.
    pub fn processed(&self, status: AttemptStatus) {
        self.shared.processed[status as usize].add(1);
    }

    /// Gives a sign of life, for [`observe_heartbeat`](Self::observe_heartbeat).
    pub fn beat(&self) {
        *lock(&self.shared.beat) = Some(Instant::now());
    }

    /// Shows from now on how long ago [`beat`](Self::beat) was called last, for a worker nobody else watches over.
    /// Where another process does, let that one tell by [`observe_fleet`](crate::observe_fleet): a worker that hangs
    /// or is gone cannot, and the two of them would make the same series. Call it once.
    pub fn observe_heartbeat(&self, instruments: &Instruments) {
        let worker = KeyValue::new("worker", self.shared.name.clone());
        // A worker that is gone has no age, and is not kept here.
        let shared = Arc::downgrade(&self.shared);
        instruments.observe(&catalogue::WORKER_HEARTBEAT_AGE, move |to| {
            let beat = shared.upgrade().and_then(|shared| *lock(&shared.beat));
            if let Some(beat) = beat {
                to.observe(beat.elapsed().as_secs_f64(), std::slice::from_ref(&worker));
            }
        });
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.free.add(-self.slots);
    }
}

/// A slot in use; free again when dropped, however the attempt in it ended.
#[derive(Debug)]
#[must_use = "a slot that is dropped is free"]
pub struct Slot {
    worker: WorkerMetrics,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.worker.shared.used.add(-1);
        self.worker.shared.free.add(1);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
