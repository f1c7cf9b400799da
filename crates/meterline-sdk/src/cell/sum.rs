use std::sync::OnceLock;

use crossbeam_utils::CachePadded;

use super::stripe;
use crate::number::Measure;
use crate::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Relaxed, Release},
};

/// A running total.
#[derive(Debug, Default)]
pub(crate) struct SumCell {
    first: AtomicU64,
    /// Who used `first` last, and how often that changed.
    turns: AtomicU64,
    more: OnceLock<Box<Stripes>>,
}

/// Boxed once more than it needs to be, so that a cell without stripes stays small.
#[derive(Debug)]
struct Stripes(Box<[CachePadded<AtomicU64>]>);

impl SumCell {
    pub(crate) fn add<M: Measure>(&self, value: M) {
        let stripes = self.more.get().map(|stripes| &*stripes.0);
        let word = match stripes {
            None => &self.first,
            Some(stripes) => &*stripes[stripe::current(stripes.len())],
        };
        let contended = add_was_contended(word, value) && stripe::relieve(stripes.is_some());
        if contended || (stripes.is_none() && stripe::changed_hands(&self.turns)) {
            self.more.get_or_init(new_stripes);
        }
    }

    /// The total, as bits of the same number type that was added.
    pub(crate) fn total<M: Measure>(&self) -> u64 {
        stripe::was_read(&self.turns);
        self.fold::<M>(|word| word.load(Relaxed))
    }

    /// The total, which begins anew at zero.
    pub(super) fn take<M: Measure>(&self) -> u64 {
        self.fold::<M>(|word| word.swap(M::ZERO.bits(), AcqRel))
    }

    fn fold<M: Measure>(&self, read: impl Fn(&AtomicU64) -> u64) -> u64 {
        let first = M::from_bits(read(&self.first));
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

/// Adds to a word; whether another thread changed it meanwhile, which is how contention shows.
#[inline]
pub(super) fn add_was_contended<M: Measure>(word: &AtomicU64, value: M) -> bool {
    let mut seen = word.load(Relaxed);
    let mut contended = false;
    loop {
        let next = M::from_bits(seen).plus(value).bits();
        // Release: a reader of a histogram's bucket sees what was recorded with it.
        match word.compare_exchange(seen, next, Release, Relaxed) {
            Ok(_) => return contended,
            Err(now) => seen = now,
        }
        contended = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_is_that_of_all_stripes() {
        let sum = SumCell::default();
        sum.add(-7i64);
        sum.more.get_or_init(new_stripes);
        for _ in 0..3 {
            sum.add(10i64);
            // As if this thread had met another one.
            stripe::relieve(true);
        }
        assert_eq!(sum.total::<i64>(), 23i64.bits());
        assert_eq!(
            sum.first.load(Relaxed),
            (-7i64).bits(),
            "what is grown is used"
        );
    }
}
