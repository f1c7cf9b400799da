//! Work in the hands of a worker.

use std::time::Duration;

use super::{JobId, Operation, TraceContext};

/// A worker's request for work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The worker's name; it must be registered.
    pub worker: String,
    /// The host it runs on.
    pub hostname: String,
    /// At most so many units: the worker's free slots.
    pub slots: u32,
    /// How long to wait for a first unit; zero asks once.
    pub wait: Duration,
}

/// The right to finish one attempt. It ends when the lease expires, the job is cancelled or the
/// attempt is finished; from then on the queue refuses it, however late its holder comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseToken {
    /// The unit of work: the job itself, or one worker's part of a job for all.
    pub unit: JobId,
    /// Counts how often the unit was handed out.
    pub serial: u64,
}

/// One attempt at one unit of work.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    /// Fences this attempt against others.
    pub token: LeaseToken,
    /// The job it belongs to.
    pub job: JobId,
    /// What to do.
    pub operation: Operation,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// How long the unit waited: from its creation, or from when its retry was due.
    pub waited: Duration,
    /// What the job was handed in with.
    pub trace_context: Option<TraceContext>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It did what it should.
    Completed(serde_json::Value),
    /// It did not.
    Failed {
        /// Why, for people.
        error: String,
        /// What it produced nonetheless.
        result: Option<serde_json::Value>,
        /// Whether another attempt would end the same way, so that none is made.
        permanent: bool,
    },
}

/// What the queue made of an attempt's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// The unit is completed.
    Completed,
    /// The unit failed for good.
    Failed,
    /// The unit is tried again after this delay.
    Retrying(Duration),
    /// The attempt was no longer the caller's to finish: nothing was changed.
    Stale(Revoked),
}

/// Why a lease no longer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoked {
    /// A caller cancelled the job.
    Cancelled,
    /// The lease expired and the unit went elsewhere, or the record is gone.
    Lost,
}
