//! Which stripe the current thread records into, and when a cell should grow more of them.

use std::cell::Cell;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// How many lost races a thread sees before it asks a single-stripe cell to grow. A cold series
/// that two threads happen to touch at once stays small; a hot one grows within microseconds.
const PATIENCE: u32 = 8;

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
