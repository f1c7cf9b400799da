//! Where jobs are kept between the one who submits them and the one who runs them.
//!
//! [`Queue`] is what the API and the workers see; a backend stands behind it. Every backend keeps
//! the same promises, which one contract suite checks:
//!
//! - an acknowledged job is on disk and is not lost by killing any process;
//! - delivery is at least once: a unit whose worker vanished is handed out again when its lease
//!   ends, and the old holder's [`LeaseToken`] is refused from then on;
//! - a unit ends once, whoever else tries to end it;
//! - a request that fails has changed nothing.
//!
//! A *job* is what a caller submits. A *unit* of work is what a worker runs: the job itself, or for
//! [`Target::All`] one per worker that was ready at submission.

mod broker;
mod check;
mod error;
mod fleet;
mod job;
mod lease;
pub mod nats;
mod options;
pub mod sqlite;
mod stats;
mod watch;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

pub use broker::BrokerStatus;
pub use error::QueueError;
pub use fleet::{Beat, BeatReply, Registration, WorkerInfo, WorkerState};
pub use job::{
    Deleted, Enqueued, JobFilter, JobId, JobPage, JobRecord, JobState, JobSummary, MAX_HOST_LEN,
    MAX_PAGE_BYTES, NewJob, Operation, Target, TimelineEvent, TimelineKind, TraceContext,
    UnitResponse,
};
pub use lease::{Claim, Finished, Lease, LeaseToken, Outcome, Revoked};
pub use options::{QueueOptions, RetryPolicy};
pub use stats::{DatabaseStats, Maintenance, QueueStats, Rescued, StateCounts};

/// A queue that several tasks share.
pub type SharedQueue = Arc<dyn Queue>;

/// The future of one request to a queue. A dropped future may or may not have had its effect.
pub type Reply<'a, T> = BoxFuture<'a, Result<T, QueueError>>;

/// A durable queue of jobs and the registry of the workers that run them.
///
/// Every method can fail with [`QueueError::Unavailable`] and [`QueueError::Closed`].
pub trait Queue: Send + Sync + 'static {
    /// Accepts all the given jobs in one step, or none: [`QueueError::Full`], [`QueueError::NoWorkers`]
    /// or, for an idempotency key known with another job, [`QueueError::Conflict`].
    /// When it returns, the jobs are durable. The answers are in the order of the jobs.
    fn enqueue(&self, jobs: Vec<NewJob>) -> Reply<'_, Vec<Enqueued>>;

    /// Everything about a job; [`QueueError::NotFound`].
    fn get(&self, id: JobId) -> Reply<'_, JobRecord>;

    /// A page of jobs, newest first; one job at least, if there is one, and no more than fit into
    /// [`MAX_PAGE_BYTES`] together.
    fn list(&self, filter: JobFilter) -> Reply<'_, JobPage>;

    /// Cancels a job that has not ended, removes the record of one that has; [`QueueError::NotFound`].
    fn delete(&self, id: JobId) -> Reply<'_, Deleted>;

    /// Makes a new job of one that has ended and takes the old one off the dead-letter queue;
    /// [`QueueError::NotFound`], [`QueueError::Conflict`] while it has not ended, or as [`Queue::enqueue`].
    /// The new job belongs to the trace of whoever asked for it.
    fn retry(&self, id: JobId, trace_context: Option<TraceContext>) -> Reply<'_, Enqueued>;

    /// The record now and after each change, until the job has ended or is gone. Changes that
    /// follow one another quickly may arrive as one.
    fn watch(&self, id: JobId) -> BoxStream<'static, Result<JobRecord, QueueError>>;

    /// What the queue holds. Costs the same whatever it holds.
    fn stats(&self) -> Reply<'_, QueueStats>;

    /// Hands out up to `claim.slots` units that are due, waiting up to `claim.wait` for a first one.
    /// Empty when there are none. [`QueueError::NotFound`] for a worker that is not registered.
    /// What a claim took that is dropped before it returns is given back.
    fn claim(&self, claim: Claim) -> Reply<'_, Vec<Lease>>;

    /// Ends an attempt. Decides, by the queue's rules, whether a failed one is repeated.
    fn finish(&self, token: LeaseToken, outcome: Outcome) -> Reply<'_, Finished>;

    /// Hands units back that were not begun, or not finished before a shutdown; they are due at
    /// once and the attempt does not count. Stale tokens are ignored.
    fn give_back(&self, tokens: Vec<LeaseToken>) -> Reply<'_, ()>;

    /// Adds a worker to the registry, in place of one of the same name.
    fn register(&self, registration: Registration) -> Reply<'_, ()>;

    /// A worker's sign of life: extends its leases and brings it news.
    /// [`QueueError::NotFound`] when it is not, or no longer, registered.
    fn beat(&self, beat: Beat) -> Reply<'_, BeatReply>;

    /// Removes a worker that stops in order. Does nothing if another instance took its name.
    fn deregister(&self, worker: String, instance: uuid::Uuid) -> Reply<'_, ()>;

    /// Tells a worker to take no more work, or to take work again; [`QueueError::NotFound`].
    fn set_draining(&self, worker: String, draining: bool) -> Reply<'_, ()>;

    /// The fleet, by name.
    fn workers(&self) -> Reply<'_, Vec<WorkerInfo>>;

    /// Takes back expired leases, fails what waited too long, forgets what was kept long enough.
    /// To be called about once a second by every process; rounds of several processes don't add up.
    fn maintain(&self) -> Reply<'_, Maintenance>;

    /// Whether the queue can be read and written, by doing both; or what that gave less than about a
    /// second ago, so that it costs little however many ask.
    fn check(&self) -> Reply<'_, ()>;

    /// The store below.
    fn database(&self) -> Reply<'_, DatabaseStats>;

    /// The connection to the broker, where there is one.
    fn broker(&self) -> Option<BrokerStatus> {
        None
    }

    /// Answers what was asked before, then releases the store. Later requests get [`QueueError::Closed`].
    fn close(&self) -> BoxFuture<'_, ()>;
}
