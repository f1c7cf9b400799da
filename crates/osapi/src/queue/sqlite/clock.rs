//! The two clocks of the SQLite queue.
//!
//! What people read (created, finished) is wall-clock time. What decides (leases, due times) is the
//! kernel's boot clock, which every process on the host shares, runs during suspend and cannot be
//! set: stepping the wall clock neither ends a lease early nor delays a retry. The boot clock means
//! nothing after a reboot, so the store remembers which boot its times belong to.

use std::fs;
use std::time::Duration;

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// One moment on both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// Microseconds since the Unix epoch.
    pub(super) wall_us: i64,
    /// Milliseconds since the host started.
    pub(super) boot_ms: i64,
}

impl Now {
    pub(super) fn read() -> Self {
        let boot = clock_gettime(ClockId::Boottime);
        Self {
            wall_us: Timestamp::now().as_microsecond(),
            boot_ms: boot.tv_sec * 1000 + boot.tv_nsec / 1_000_000,
        }
    }

    /// This moment as people read it.
    pub(super) fn timestamp(self) -> Timestamp {
        timestamp(self.wall_us)
    }

    /// The boot clock's time so much later.
    pub(super) fn after(self, delay: Duration) -> i64 {
        self.boot_ms.saturating_add(millis(delay))
    }
}

/// Whole milliseconds, as many as the store can keep.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A stored wall-clock time; one out of range (only a damaged file holds it) becomes the epoch.
pub(super) fn timestamp(wall_us: i64) -> Timestamp {
    Timestamp::from_microsecond(wall_us).unwrap_or_default()
}

/// Names the time the host has been up: changes with every boot.
pub(super) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| "unknown".to_owned(), |id| id.trim().to_owned())
}
