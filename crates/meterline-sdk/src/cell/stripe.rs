//! Which stripe the current thread records into, and when a cell should grow more of them.

use std::cell::Cell;
use std::sync::LazyLock;

use super::limits::{HANDOVERS, MOST_STRIPES, PATIENCE};
use crate::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::sync::{THREADS, of_each_thread, thread};

// A word that tells of turns: in the low half the thread that came last, and whether it is still
// there; in the high half how often it was another one than before.
pub(super) const THREAD: u64 = HELD - 1;
const HELD: u64 = 1 << 31;
pub(super) const CHANGE: u64 = 1 << 32;

/// How many stripes a contended cell has: one per core, rounded up to a power of two.
pub(super) static STRIPES: LazyLock<usize> = LazyLock::new(|| {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    cores.next_power_of_two().clamp(2, MOST_STRIPES)
});

of_each_thread! {
    /// Which thread this is, from 1; 0 before anybody asked.
    static NUMBER: Cell<u64> = const { Cell::new(0) };
    /// How many stripes this thread gave up because another used them.
    static MOVED: Cell<usize> = const { Cell::new(0) };
    static LOST_RACES: Cell<u32> = const { Cell::new(0) };
}

/// The number of this thread. They are given again after 2^31 threads, which then share their turns.
#[inline]
pub(super) fn number() -> u64 {
    match NUMBER.with(Cell::get) {
        0 => first_number(),
        number => number,
    }
}

#[cold]
fn first_number() -> u64 {
    let number = (THREADS.fetch_add(1, Relaxed) as u64 % THREAD) + 1;
    NUMBER.with(|known| known.set(number));
    number
}

/// The stripe of `count` (a power of two) that this thread should use.
#[inline]
pub(super) fn current(count: usize) -> usize {
    (number() as usize).wrapping_add(MOVED.with(Cell::get)) & (count - 1)
}

/// Of many stripes this thread takes the next one from now on, as another uses the same.
#[cold]
pub(super) fn leave() {
    MOVED.with(|moved| moved.set(moved.get().wrapping_add(1)));
}

/// Tells that this thread found a cell's only stripe taken; whether the cell should grow.
#[cold]
pub(super) fn lost_patience() -> bool {
    LOST_RACES.with(|lost| {
        lost.set(lost.get().wrapping_add(1));
        lost.get().is_multiple_of(PATIENCE)
    })
}

/// Notes in `turns` that this thread uses what is counted there; whether that has changed hands so
/// often since the last reading that the cell should grow.
#[inline]
pub(super) fn changed_hands(turns: &AtomicU64) -> bool {
    let seen = turns.load(Relaxed);
    let now = taken_by(number(), seen);
    if now == seen {
        return false;
    }
    // Two threads at once may count one.
    turns.store(now, Relaxed);
    has_changed_often(now)
}

/// The turns after `thread` came.
#[inline]
fn taken_by(thread: u64, seen: u64) -> u64 {
    if seen & THREAD == thread {
        seen
    } else {
        (seen & !THREAD).wrapping_add(CHANGE) | thread
    }
}

fn has_changed_often(turns: u64) -> bool {
    (turns / CHANGE).is_multiple_of(HANDOVERS)
}

/// Begins to count anew: what counts is how often in the time of one reading.
pub(super) fn was_read(turns: &AtomicU64) {
    let seen = turns.load(Relaxed);
    if seen >= CHANGE {
        // If someone comes just now, the next reading does it.
        let _ = turns.compare_exchange(seen, seen & (CHANGE - 1), Relaxed, Relaxed);
    }
}

/// A stripe that this thread has for itself until this is dropped. Meant to be held for a few
/// instructions, and only ever tried where a recording is made.
pub(super) struct Held<'a> {
    turns: &'a AtomicU64,
    free: u64,
    /// Whether it has changed hands so often since the last reading that the cell should grow.
    pub(super) should_grow: bool,
}

impl<'a> Held<'a> {
    /// Takes the stripe with these turns, unless someone has it.
    #[inline]
    pub(super) fn attempt(turns: &'a AtomicU64) -> Option<Self> {
        let seen = turns.load(Relaxed);
        let free = taken_by(number(), seen);
        Self::take(turns, seen, free, free != seen && has_changed_often(free))
    }

    /// Waits until nobody has it. Does not count as a turn.
    pub(super) fn wait(turns: &'a AtomicU64) -> Self {
        loop {
            let seen = turns.load(Relaxed);
            if let Some(held) = Self::take(turns, seen, seen, false) {
                return held;
            }
            thread::yield_now();
        }
    }

    #[inline]
    fn take(turns: &'a AtomicU64, seen: u64, free: u64, should_grow: bool) -> Option<Self> {
        if seen & HELD != 0 {
            return None;
        }
        turns
            .compare_exchange(seen, free | HELD, Acquire, Relaxed)
            .ok()?;
        Some(Self {
            turns,
            free,
            should_grow,
        })
    }
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        self.turns.store(self.free, Release);
    }
}
