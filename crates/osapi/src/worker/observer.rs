//! What is told to whoever counts.

use std::time::Duration;

use crate::queue::JobState;

/// How one attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttemptStatus {
    /// The unit is completed.
    Completed,
    /// The unit failed for good.
    Failed,
    /// A caller cancelled the job while it ran.
    Cancelled,
    /// The unit will be tried again.
    Retried,
}

impl AttemptStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Retried,
    ];

    /// The name used in labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Retried => "retried",
        }
    }
}

/// Something running; whatever ends it drops this.
pub type Active = Box<dyn Send>;

/// Told what happens to units of work, once for each thing that happens. Must not block.
pub trait JobObserver: Send + Sync {
    /// An attempt begins, after the unit waited for so long: from its creation, or from when its
    /// retry was due. What is returned is dropped when the attempt ends, in whatever way.
    fn started(&self, operation: &str, waited: Duration) -> Active;

    /// An attempt has ended after so long, and the queue has recorded how. Not told of attempts
    /// whose lease was lost, nor of those given back.
    fn attempt(&self, worker: &str, operation: &str, status: AttemptStatus, duration: Duration);

    /// A unit has reached its final state here. A cancelled one reached it where it was cancelled, and
    /// its worker, which learns of it later or never, does not tell.
    fn completed(&self, operation: &str, state: JobState);

    /// A unit is to be tried again after a failed attempt.
    fn retried(&self, operation: &str);

    /// A vanished worker's unit was taken back.
    fn rescued(&self, operation: &str);

    /// How many of a worker's slots are in use.
    fn slots(&self, worker: &str, used: u32, free: u32);
}

/// Counts nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl JobObserver for Unobserved {
    fn started(&self, _: &str, _: Duration) -> Active {
        Box::new(())
    }
    fn attempt(&self, _: &str, _: &str, _: AttemptStatus, _: Duration) {}
    fn completed(&self, _: &str, _: JobState) {}
    fn retried(&self, _: &str) {}
    fn rescued(&self, _: &str) {}
    fn slots(&self, _: &str, _: u32, _: u32) {}
}
