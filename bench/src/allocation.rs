//! Counts the bytes that are allocated and not freed.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicI64};

static COUNTING: AtomicBool = AtomicBool::new(false);
static BYTES: AtomicI64 = AtomicI64::new(0);

/// The system's allocator. While [`held_by`] runs it also counts; otherwise it costs a load of a
/// flag that never changes.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs something and says how many bytes more are allocated afterwards: as requested, without what
/// the allocator adds.
pub(crate) fn held_by<T>(run: impl FnOnce() -> T) -> (T, i64) {
    assert!(!COUNTING.swap(true, Relaxed), "one at a time");
    let before = BYTES.load(Relaxed);
    let value = run();
    let held = BYTES.load(Relaxed) - before;
    COUNTING.store(false, Relaxed);
    (value, held)
}

fn count(bytes: usize, sign: i64) {
    if COUNTING.load(Relaxed) {
        BYTES.fetch_add(sign * bytes as i64, Relaxed);
    }
}

// SAFETY: every call is handed on to `System` unchanged, which upholds the contract; counting
// neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: the caller's promise about `layout` is the one `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout.size(), -1);
        count(size, 1);
        // SAFETY: `block` came from `System` through `alloc`, with this layout.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: `block` came from `System` through `alloc`, with this layout.
        unsafe { System.dealloc(block, layout) }
    }
}
