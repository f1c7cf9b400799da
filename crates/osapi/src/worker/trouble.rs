//! Queue trouble: wait longer each time, say so once in a while.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::queue::QueueError;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Time between two log lines about the same trouble.
const QUIET: Duration = Duration::from_secs(30);

/// One thing that keeps failing.
pub(super) struct Trouble {
    what: &'static str,
    failures: u32,
    logged: Option<Instant>,
}

impl Trouble {
    /// `what` completes the sentence "cannot ...".
    pub(super) fn new(what: &'static str) -> Self {
        Self {
            what,
            failures: 0,
            logged: None,
        }
    }

    /// It failed.
    pub(super) fn note(&mut self, error: &QueueError) {
        self.failures = self.failures.saturating_add(1);
        if self.logged.is_none_or(|logged| logged.elapsed() >= QUIET) {
            self.logged = Some(Instant::now());
            warn!(%error, failures = self.failures, "cannot {}", self.what);
        }
    }

    /// It failed: wait before the next try, unless told to stop.
    pub(super) async fn pause(&mut self, error: &QueueError, stop: &CancellationToken) {
        self.note(error);
        let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.failures - 1));
        let _ = tokio::time::timeout(doubled.min(LONGEST_PAUSE), stop.cancelled()).await;
    }

    /// It works (again).
    pub(super) fn over(&mut self) {
        if self.failures > 0 {
            info!(failures = self.failures, "can {} again", self.what);
            *self = Self::new(self.what);
        }
    }
}
