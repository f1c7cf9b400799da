//! Which stripe the current thread records into, and when a cell should grow more of them.

use std::cell::Cell;
use std::sync::LazyLock;
use std::sync::atomic::AtomicUsize;

use crate::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How many lost races a thread sees before it asks a single-stripe cell to grow. A cold series
/// that two threads happen to touch at once stays small; a hot one grows within microseconds.
const PATIENCE: u32 = 8;

/// How often a cell's only stripe, or a line that several share, may change hands between two readings
/// before who comes next should grow. Each time costs a cache miss, long before threads are so quick
/// that they lose races.
const HANDOVERS: u64 = 4096;

/// More stripes than this cost more to add up than they save.
const MOST: usize = 16;

/// How many stripes a contended cell has: one per core, rounded up to a power of two.
pub(super) static STRIPES: LazyLock<usize> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cores.next_power_of_two().clamp(2, MOST)
});

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static PREFERRED: Cell<usize> = Cell::new(THREADS.fetch_add(1, Relaxed));
    static LOST_RACES: Cell<u32> = const { Cell::new(0) };
}

/// The stripe of `count` (a power of two) that this thread should use. A thread that is already
/// being torn down shares the first one.
pub(super) fn current(count: usize) -> usize {
    PREFERRED.try_with(Cell::get).unwrap_or(0) & (count - 1)
}

/// Tells that this thread lost a race for a stripe; whether a cell that has only one should grow.
/// Of many, this thread takes the next one from now on, as another uses the same.
#[cold]
pub(super) fn relieve(has_many: bool) -> bool {
    if has_many {
        let _ = PREFERRED.try_with(|preferred| preferred.set(preferred.get().wrapping_add(1)));
        return false;
    }
    let lost = LOST_RACES.get().wrapping_add(1);
    LOST_RACES.set(lost);
    lost.is_multiple_of(PATIENCE)
}

/// Notes in `turns` that this thread uses what is counted there; whether that has changed hands so
/// often since the last reading that the cell should grow.
#[inline]
pub(super) fn changed_hands(turns: &AtomicU64) -> bool {
    let me = PREFERRED.try_with(Cell::get).unwrap_or(0) as u64 & u64::from(u32::MAX);
    let seen = turns.load(Relaxed);
    if seen & u64::from(u32::MAX) == me {
        return false;
    }
    // The thread in the low half, the changes in the high one. Two threads at once may count one.
    let changes = (seen >> 32) + 1;
    turns.store(changes << 32 | me, Relaxed);
    changes.is_multiple_of(HANDOVERS)
}

/// Begins to count anew: what counts is how often in the time of one reading.
pub(super) fn was_read(turns: &AtomicU64) {
    let seen = turns.load(Relaxed);
    if seen >> 32 != 0 {
        turns.store(seen & u64::from(u32::MAX), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_many_changes_of_hands_between_readings_make_a_cell_grow() {
        let turns = AtomicU64::new(0);
        let mut other = (PREFERRED.get() as u64).wrapping_add(1);
        let mut hand_over = || {
            // As if another thread had been here.
            other = other.wrapping_add(1);
            turns.store(
                turns.load(Relaxed) >> 32 << 32 | (other & 0xffff_ffff),
                Relaxed,
            );
            changed_hands(&turns)
        };
        assert!((1..HANDOVERS).all(|_| !hand_over()));
        assert!(hand_over());

        was_read(&turns);
        assert!(
            (1..HANDOVERS).all(|_| !hand_over()),
            "a reading begins anew"
        );
        let same = turns.load(Relaxed);
        assert!(!changed_hands(&turns), "the same thread again is no change");
        assert_eq!(turns.load(Relaxed), same);
    }
}
