use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crossbeam_utils::CachePadded;

use super::stripe;
use crate::number::Measure;

/// A running total.
#[derive(Debug, Default)]
pub(crate) struct SumCell {
    first: AtomicU64,
    more: OnceLock<Box<Stripes>>,
}

/// Boxed once more than it needs to be, so that a cell without stripes stays small.
#[derive(Debug)]
struct Stripes(Box<[CachePadded<AtomicU64>]>);

impl SumCell {
    pub(crate) fn add<M: Measure>(&self, value: M) {
        loop {
            let Some(Stripes(stripes)) = self.more.get().map(Box::as_ref) else {
                if try_add(&self.first, value) {
                    return;
                }
                if stripe::should_grow() {
                    self.more.get_or_init(new_stripes);
                }
                continue;
            };
            if try_add(&stripes[stripe::current(stripes.len())], value) {
                return;
            }
            stripe::move_on();
        }
    }

    /// The total, as bits of the same number type that was added.
    pub(crate) fn total<M: Measure>(&self) -> u64 {
        let first = M::from_bits(self.first.load(Relaxed));
        let Some(Stripes(stripes)) = self.more.get().map(Box::as_ref) else {
            return first.bits();
        };
        let parts = stripes
            .iter()
            .map(|stripe| M::from_bits(stripe.load(Relaxed)));
        parts.fold(first, M::plus).bits()
    }
}

fn new_stripes() -> Box<Stripes> {
    Box::new(Stripes(
        (0..*stripe::STRIPES)
            .map(|_| CachePadded::default())
            .collect(),
    ))
}

/// One attempt to add; fails only if another thread changed the word in between, which is how
/// contention shows.
pub(super) fn try_add<M: Measure>(word: &AtomicU64, value: M) -> bool {
    let seen = word.load(Relaxed);
    let next = M::from_bits(seen).plus(value).bits();
    word.compare_exchange(seen, next, Relaxed, Relaxed).is_ok()
}
