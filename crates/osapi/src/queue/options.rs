//! The rules every backend follows.

use std::time::Duration;

/// How long to wait before the next attempt: exponential, with jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Delay after the first failed attempt.
    pub base: Duration,
    /// Longest delay.
    pub max: Duration,
}

impl RetryPolicy {
    /// The delay after the given failed attempt (from 1), before jitter.
    #[must_use]
    pub fn delay(&self, attempt: u32) -> Duration {
        let factor = 2_u32.saturating_pow(attempt.saturating_sub(1));
        self.base.saturating_mul(factor).min(self.max)
    }

    /// The delay with jitter: between half of it and all of it, so that jobs that failed together
    /// don't come back together.
    #[must_use]
    pub fn jittered(&self, attempt: u32) -> Duration {
        self.delay(attempt).mul_f64(rand::random_range(0.5..=1.0))
    }
}

/// The rules of a queue, as configured under `queue`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueOptions {
    /// A worker that gives no sign of life for so long loses its jobs.
    pub lease: Duration,
    /// Attempts before a unit fails for good, at least 1.
    pub max_attempts: u32,
    /// The delay between attempts.
    pub retry: RetryPolicy,
    /// Jobs that may wait at a time.
    pub max_waiting: u64,
    /// A unit that has not started after so long fails.
    pub start_timeout: Option<Duration>,
    /// How long finished jobs are kept.
    pub retention: Duration,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            max_attempts: 5,
            retry: RetryPolicy {
                base: Duration::from_secs(1),
                max: Duration::from_secs(300),
            },
            max_waiting: 1_000_000,
            start_timeout: None,
            retention: Duration::from_secs(24 * 3600),
        }
    }
}
