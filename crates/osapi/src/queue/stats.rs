//! Numbers about a queue and the store below it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::JobState;

/// Jobs per state. A job for all counts once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StateCounts {
    /// Waiting for their first start.
    pub submitted: u64,
    /// Held by a worker.
    pub processing: u64,
    /// Waiting for their next attempt.
    pub retrying: u64,
    /// Done.
    pub completed: u64,
    /// Given up, whether or not still in the dead-letter queue.
    pub failed: u64,
    /// Cancelled by a caller.
    pub cancelled: u64,
}

impl StateCounts {
    /// The count of one state.
    #[must_use]
    pub const fn get(&self, state: JobState) -> u64 {
        match state {
            JobState::Submitted => self.submitted,
            JobState::Processing => self.processing,
            JobState::Retrying => self.retrying,
            JobState::Completed => self.completed,
            JobState::Failed => self.failed,
            JobState::Cancelled => self.cancelled,
        }
    }

    /// The count of one state, to be changed.
    pub const fn get_mut(&mut self, state: JobState) -> &mut u64 {
        match state {
            JobState::Submitted => &mut self.submitted,
            JobState::Processing => &mut self.processing,
            JobState::Retrying => &mut self.retrying,
            JobState::Completed => &mut self.completed,
            JobState::Failed => &mut self.failed,
            JobState::Cancelled => &mut self.cancelled,
        }
    }

    /// Jobs in any state.
    #[must_use]
    pub fn total(&self) -> u64 {
        JobState::ALL.into_iter().map(|state| self.get(state)).sum()
    }

    /// Jobs waiting for a worker, which `queue.max_waiting` limits.
    #[must_use]
    pub const fn waiting(&self) -> u64 {
        self.submitted + self.retrying
    }
}

/// What the queue holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Jobs per state.
    pub jobs: StateCounts,
    /// The failed jobs that nobody has retried yet.
    pub dlq: u64,
    /// How long the oldest submitted job has waited; `None` when none waits.
    pub oldest_waiting: Option<Duration>,
    /// Jobs per state, by operation.
    pub operations: BTreeMap<String, StateCounts>,
}

/// The store below a queue, for `/metrics.json` and `osapi_database_*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DatabaseStats {
    /// `sqlite` or `nats`.
    pub backend: String,
    /// Connections open.
    pub connections: u64,
    /// Of these, not in use.
    pub connections_idle: u64,
    /// Requests answered since this process opened the store.
    pub queries_total: u64,
    /// Transactions committed since this process opened the store.
    pub transactions_total: u64,
    /// Bytes on disk.
    pub size_bytes: u64,
}

/// What one round of [`Queue::maintain`](super::Queue::maintain) did, so that its caller can count it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// Attempts whose worker vanished.
    pub rescued: Vec<Rescued>,
    /// Units that waited longer than the start timeout and failed: their operations.
    pub start_timeouts: Vec<String>,
    /// Finished jobs removed because they were kept long enough.
    pub removed: u64,
}

/// An attempt whose worker vanished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rescued {
    /// The operation's name.
    pub operation: String,
    /// Whether it was the last attempt, so that the unit failed.
    pub failed: bool,
}
