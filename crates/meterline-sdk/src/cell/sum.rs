use crossbeam_utils::CachePadded;

use super::lines::{Owned, Place};
use super::stripe;
use crate::number::Measure;
use crate::sync::OnceLock;
use crate::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Relaxed, Release},
};

/// A running total.
#[derive(Debug)]
pub(crate) struct SumCell {
    /// Where it is; once there are stripes, what was added before.
    pub(super) owned: Owned,
    pub(super) more: OnceLock<Box<Stripes>>,
}

/// Boxed once more than it needs to be, so that a cell without stripes stays small.
#[derive(Debug)]
pub(super) struct Stripes(Box<[CachePadded<AtomicU64>]>);

impl SumCell {
    /// A total of zero at this place.
    pub(crate) fn new(owned: Owned) -> Self {
        Self {
            owned,
            more: OnceLock::new(),
        }
    }

    #[inline(always)]
    pub(crate) fn add<M: Measure>(&self, value: M) {
        if let Some(stripes) = self.more.get() {
            return stripes.add(value);
        }
        // Before the addition, which lets nothing overtake it.
        let should_grow = self.owned.changed_hands();
        value.add_to(self.owned.word());
        if should_grow {
            self.grow();
        }
    }

    #[cold]
    pub(super) fn grow(&self) {
        // First, so that whoever sees a stripe sees that there are some.
        self.owned.mark_striped();
        self.more.get_or_init(new_stripes);
    }

    /// Where it is among the instrument's totals.
    pub(crate) fn place(&self) -> Place {
        self.owned.place()
    }

    /// The place, of a total that is zero and that nobody can add to any more.
    pub(crate) fn into_owned(self) -> Owned {
        self.owned
    }

    /// The total, as bits of the same number type that was added.
    pub(crate) fn total<M: Measure>(&self) -> u64 {
        self.fold::<M>(|word| word.load(Relaxed))
    }

    /// The total, which begins anew at zero.
    pub(super) fn take<M: Measure>(&self) -> u64 {
        self.fold::<M>(|word| word.swap(M::ZERO.bits(), AcqRel))
    }

    fn fold<M: Measure>(&self, read: impl Fn(&AtomicU64) -> u64) -> u64 {
        let first = M::from_bits(read(self.owned.word()));
        let Some(Stripes(stripes)) = self.more.get().map(Box::as_ref) else {
            return first.bits();
        };
        let parts = stripes.iter().map(|stripe| M::from_bits(read(stripe)));
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

impl Stripes {
    #[inline(never)]
    fn add<M: Measure>(&self, value: M) {
        if add_was_contended(&self.0[stripe::current(self.0.len())], value) {
            stripe::leave();
        }
    }
}

/// Adds to a word; whether another thread changed it meanwhile, which is how contention shows.
fn add_was_contended<M: Measure>(word: &AtomicU64, value: M) -> bool {
    let mut seen = word.load(Relaxed);
    let mut contended = false;
    loop {
        let next = M::from_bits(seen).plus(value).bits();
        match word.compare_exchange(seen, next, Release, Relaxed) {
            Ok(_) => return contended,
            Err(now) => seen = now,
        }
        contended = true;
    }
}
