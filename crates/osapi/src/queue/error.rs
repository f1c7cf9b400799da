//! What can go wrong between a caller and a queue.

use std::time::Duration;

/// Why a queue did not do what it was asked. Nothing is half done when one is returned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// As many jobs wait as the configuration allows.
    #[error("the queue is full: {waiting} jobs wait, queue.max_waiting is {limit}")]
    Full {
        /// Jobs waiting now.
        waiting: u64,
        /// The configured limit.
        limit: u64,
    },
    /// The store cannot take the request now (disk full, locked, broker gone); a retry may succeed.
    #[error("the queue is unavailable: {reason}")]
    Unavailable {
        /// What the store said.
        reason: String,
        /// When a retry makes sense.
        retry_after: Duration,
    },
    /// The store failed at this very request; the same request would fail again.
    #[error("the queue cannot do this: {0}")]
    Fault(String),
    /// A job, or what it is to be recorded with, is larger than the store takes.
    #[error("too large for the queue: it takes at most {limit} bytes at a time")]
    TooLarge {
        /// The largest it takes, in bytes.
        limit: u64,
    },
    /// There is no such job or worker.
    #[error("{0} not found")]
    NotFound(String),
    /// A job for every worker was submitted while no worker is ready.
    #[error("no worker is ready, so a job for all of them would have nobody to run it")]
    NoWorkers,
    /// The request contradicts what is there, such as an idempotency key used for another job.
    #[error("{0}")]
    Conflict(String),
    /// The store is damaged, or is not a queue of ours.
    #[error("{place} is not a usable queue: {reason}")]
    Corrupt {
        /// The file or stream.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store was written by a newer osapi.
    #[error("{place} has format {found}, this osapi knows up to {known}: run the newer osapi")]
    NewerVersion {
        /// The file or stream.
        place: String,
        /// Its format.
        found: i64,
        /// The newest format this build knows.
        known: i64,
    },
    /// The store cannot be opened or created.
    #[error("cannot open {place}: {reason}")]
    Open {
        /// The file or address.
        place: String,
        /// What the system said.
        reason: String,
    },
    /// The queue was closed.
    #[error("the queue is closed")]
    Closed,
}

impl QueueError {
    /// Whether the same request can succeed later without anybody changing it.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Full { .. } | Self::Unavailable { .. } | Self::NoWorkers
        )
    }
}
