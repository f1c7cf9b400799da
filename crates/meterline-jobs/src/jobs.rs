//! What happens to jobs, counted as it happens.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::attempt::Attempt;
use crate::instruments::Instruments;
use crate::operation::Operations;
use crate::status::UnitStatus;

/// Counts units of work and measures attempts at them; cheap to clone.
///
/// A unit is one thing to be done: a job, or one worker's part of a job that is for all. It is [created](Self::created)
/// once and [completed](Self::completed) once; between the two there may be any number of [attempts](Self::start).
#[derive(Clone)]
pub struct JobMetrics {
    operations: Arc<Operations>,
}

impl fmt::Debug for JobMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobMetrics").finish_non_exhaustive()
    }
}

impl JobMetrics {
    /// The instruments, nothing recorded yet.
    #[must_use]
    pub fn new(instruments: &Instruments) -> Self {
        Self {
            operations: Arc::new(Operations::new(instruments)),
        }
    }

    /// So many units were accepted.
    pub fn created(&self, operation: &str, units: u64) {
        self.operations.get(operation).created.add(units);
    }

    /// So many units reached their final state without an attempt that says so: cancelled or expired as they waited,
    /// failed because their last worker vanished. For all others [`Attempt::finish`] counts.
    pub fn completed(&self, operation: &str, status: UnitStatus, units: u64) {
        self.operations.get(operation).completed(status).add(units);
    }

    /// A unit was taken back from a worker that gave no sign of life.
    pub fn rescued(&self, operation: &str) {
        self.operations.get(operation).rescued.add(1);
    }

    /// An attempt begins, after its unit waited for so long: from its creation, or from when its retry was due.
    #[must_use = "an attempt that is dropped has ended"]
    pub fn start(&self, operation: &str, waited: Duration) -> Attempt {
        Attempt::begin(self.operations.get(operation), waited)
    }

    /// Starts the counters of created units at zero, in a process that accepts them, so that `rate()` sees the first.
    pub fn expect_created<'a>(&self, operations: impl IntoIterator<Item = &'a str>) {
        for operation in operations {
            self.operations.get(operation).created.add(0);
        }
    }

    /// Starts the counters of retries and late results at zero, in a process that runs attempts.
    pub fn expect_attempts<'a>(&self, operations: impl IntoIterator<Item = &'a str>) {
        for operation in operations {
            let operation = self.operations.get(operation);
            operation.retries.add(0);
            operation.late_results.add(0);
        }
    }

    /// Starts the counters of completed and rescued units at zero, in a process that sees units end.
    pub fn expect_ends<'a>(&self, operations: impl IntoIterator<Item = &'a str>) {
        for operation in operations {
            let operation = self.operations.get(operation);
            operation.rescued.add(0);
            for status in UnitStatus::ALL {
                operation.completed(status).add(0);
            }
        }
    }
}
