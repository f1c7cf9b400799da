use std::sync::{Arc, OnceLock};

use super::stripe;
use super::sum::add_was_contended;
use crate::number::Measure;
use crate::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};

/// Up to this many bounds, looking at all of them (which vectorises) beats a binary search.
const FEW_BOUNDS: usize = 32;

/// Words of padding at both ends of an additional stripe, so that no two threads' stripes share a
/// (pair of) cache lines.
const PADDING: usize = 16;

// The words of a stripe: sum, smallest, largest, (of the first stripe) who used it last and how
// often that changed, then the buckets.
const SUM: usize = 0;
const MIN: usize = 1;
const MAX: usize = 2;
const TURNS: usize = 3;
const BUCKETS: usize = 4;

/// A distribution over explicit buckets. There is no count: it is the sum of the buckets.
#[derive(Debug)]
pub(crate) struct HistogramCell {
    bounds: Arc<[f64]>,
    first: Box<[AtomicU64]>,
    more: OnceLock<Box<Stripes>>,
}

/// Boxed once more than it needs to be, so that a cell without stripes stays small.
#[derive(Debug)]
struct Stripes(Box<[PaddedStripe]>);

#[derive(Debug)]
struct PaddedStripe(Box<[AtomicU64]>);

/// What was taken out of a cell; the smallest and the largest value are those of an empty one if
/// nothing was recorded. Numbers are bits.
#[derive(Debug)]
pub(crate) struct TakenHistogram {
    pub(crate) counts: Vec<u64>,
    pub(crate) sum: u64,
    pub(crate) min: u64,
    pub(crate) max: u64,
}

impl TakenHistogram {
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl PaddedStripe {
    fn words(&self) -> &[AtomicU64] {
        &self.0[PADDING..self.0.len() - PADDING]
    }
}

impl HistogramCell {
    pub(crate) fn new<M: Measure>(bounds: Arc<[f64]>) -> Self {
        let first = words::<M>(bounds.len(), 0);
        Self {
            bounds,
            first,
            more: OnceLock::new(),
        }
    }

    pub(crate) fn record<M: Measure>(&self, value: M) {
        let bucket = BUCKETS + bucket_of(&self.bounds, value.as_f64());
        let stripes = self.more.get().map(|stripes| &*stripes.0);
        let words = match stripes {
            None => &*self.first,
            Some(stripes) => stripes[stripe::current(stripes.len())].words(),
        };
        let mut contended = add_was_contended(&words[SUM], value);
        lower(&words[MIN], value);
        raise(&words[MAX], value);
        // Last: whoever reads this count sees the rest of the recording too. Unlike the sum, which
        // a zero leaves as it is, it always changes, and so always shows contention.
        contended |= add_was_contended(&words[bucket], 1u64);
        let contended = contended && stripe::relieve(stripes.is_some());
        if contended || (stripes.is_none() && stripe::changed_hands(&words[TURNS])) {
            self.more
                .get_or_init(|| new_stripes::<M>(self.bounds.len()));
        }
    }

    /// Adds this cell's buckets onto `counts`, and returns the sum, the smallest and the largest
    /// value (the latter two meaningless while nothing is recorded). Every recording in the counts
    /// is in the rest; the rest may hold some more that were under way.
    pub(crate) fn read<M: Measure>(&self, counts: &mut [u64]) -> (M, M, M) {
        stripe::was_read(&self.first[TURNS]);
        for words in self.stripes() {
            for (count, word) in counts.iter_mut().zip(&words[BUCKETS..]) {
                *count += word.load(Acquire);
            }
        }
        let (mut sum, mut min, mut max) = (M::ZERO, M::HIGHEST, M::LOWEST);
        for words in self.stripes() {
            let read = |index: usize| M::from_bits(words[index].load(Relaxed));
            let (lowest, highest) = (read(MIN), read(MAX));
            sum = sum.plus(read(SUM));
            min = if lowest < min { lowest } else { min };
            max = if highest > max { highest } else { max };
        }
        (sum, min, max)
    }

    /// All that was recorded, so that the cell begins anew. The parts of a recording are taken in
    /// the order they are recorded in, the extremes first of all: whoever finds an extreme gone
    /// set it before adding to the sum, and whoever's part of the sum stays has its count stay too
    /// or shows in the counts taken.
    pub(super) fn take<M: Measure>(&self) -> TakenHistogram {
        let (mut min, mut max) = (M::HIGHEST, M::LOWEST);
        for words in self.stripes() {
            let lowest = M::from_bits(words[MIN].swap(M::HIGHEST.bits(), AcqRel));
            let highest = M::from_bits(words[MAX].swap(M::LOWEST.bits(), AcqRel));
            min = if lowest < min { lowest } else { min };
            max = if highest > max { highest } else { max };
        }
        let take_sum = |words: &[AtomicU64]| words[SUM].swap(M::ZERO.bits(), AcqRel);
        let sums = self.stripes().map(take_sum).map(M::from_bits);
        let sum = sums.fold(M::ZERO, M::plus);
        let mut counts = vec![0; self.bounds.len() + 1];
        for words in self.stripes() {
            for (count, word) in counts.iter_mut().zip(&words[BUCKETS..]) {
                *count += word.swap(0, AcqRel);
            }
        }
        TakenHistogram {
            counts,
            sum: sum.bits(),
            min: min.bits(),
            max: max.bits(),
        }
    }

    pub(super) fn put_back<M: Measure>(&self, taken: &TakenHistogram) {
        add_was_contended(&self.first[SUM], M::from_bits(taken.sum));
        lower(&self.first[MIN], M::from_bits(taken.min));
        raise(&self.first[MAX], M::from_bits(taken.max));
        for (count, word) in taken.counts.iter().zip(&self.first[BUCKETS..]) {
            if *count > 0 {
                add_was_contended(word, *count);
            }
        }
    }

    fn stripes(&self) -> impl Iterator<Item = &[AtomicU64]> {
        let more = self.more.get().into_iter();
        let more = more.flat_map(|stripes| &stripes.0);
        std::iter::once(&*self.first).chain(more.map(PaddedStripe::words))
    }
}

fn new_stripes<M: Measure>(bounds: usize) -> Box<Stripes> {
    let stripe = |_| PaddedStripe(words::<M>(bounds, PADDING));
    Box::new(Stripes((0..*stripe::STRIPES).map(stripe).collect()))
}

fn words<M: Measure>(bounds: usize, padding: usize) -> Box<[AtomicU64]> {
    let words: Box<[AtomicU64]> = (0..BUCKETS + bounds + 1 + 2 * padding)
        .map(|_| AtomicU64::new(0))
        .collect();
    words[padding + SUM].store(M::ZERO.bits(), Relaxed);
    words[padding + MIN].store(M::HIGHEST.bits(), Relaxed);
    words[padding + MAX].store(M::LOWEST.bits(), Relaxed);
    words
}

/// The bucket of a value: bounds are inclusive above, as in OTLP and Prometheus.
pub(crate) fn bucket_of(bounds: &[f64], value: f64) -> usize {
    if bounds.len() <= FEW_BOUNDS {
        bounds.iter().map(|bound| usize::from(*bound < value)).sum()
    } else {
        bounds.partition_point(|bound| *bound < value)
    }
}

fn lower<M: Measure>(word: &AtomicU64, value: M) {
    replace_while(word, value, |seen| value < seen);
}

fn raise<M: Measure>(word: &AtomicU64, value: M) {
    replace_while(word, value, |seen| value > seen);
}

/// Stores `value` unless what is there no longer needs it. Only a new extreme writes.
fn replace_while<M: Measure>(word: &AtomicU64, value: M, wanted: impl Fn(M) -> bool) {
    let mut seen = word.load(Relaxed);
    while wanted(M::from_bits(seen)) {
        match word.compare_exchange_weak(seen, value.bits(), Relaxed, Relaxed) {
            Ok(_) => return,
            Err(now) => seen = now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(histogram: &HistogramCell) -> (Vec<u64>, f64, f64, f64) {
        let mut counts = vec![0; histogram.bounds.len() + 1];
        let (sum, min, max) = histogram.read::<f64>(&mut counts);
        (counts, sum, min, max)
    }

    #[test]
    fn all_stripes_together_are_the_distribution() {
        let histogram = HistogramCell::new::<f64>([1.0, 2.0].into());
        histogram.record(1.0);
        histogram.more.get_or_init(|| new_stripes::<f64>(2));
        for value in [-3.0, 2.0, 8.0, 1.5] {
            histogram.record(value);
            // As if this thread had met another one.
            stripe::relieve(true);
        }
        assert_eq!(read(&histogram), (vec![2, 2, 1], 9.5, -3.0, 8.0));
    }

    #[test]
    fn few_and_many_bounds_are_searched_alike() {
        let many: Vec<f64> = (0..100).map(f64::from).collect();
        let few = &many[..FEW_BOUNDS];
        for value in [-1.0, 0.0, 0.5, 1.0, 30.9, 31.0, 31.5, 1000.0] {
            assert_eq!(
                bucket_of(few, value),
                few.partition_point(|bound| *bound < value)
            );
            assert_eq!(
                bucket_of(&many, value),
                many.iter().filter(|b| **b < value).count()
            );
        }
    }

    #[test]
    fn threads_that_meet_make_a_cell_grow() {
        let histogram = HistogramCell::new::<u64>([].into());
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        let recorded = std::sync::atomic::AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while histogram.more.get().is_none() && std::time::Instant::now() < deadline {
                        // Zeros, which change no sum.
                        (0..1000).for_each(|_| histogram.record(0u64));
                        recorded.fetch_add(1000, Relaxed);
                    }
                });
            }
        });
        assert!(histogram.more.get().is_some(), "four threads never met");
        let mut counts = [0];
        histogram.read::<u64>(&mut counts);
        assert_eq!(counts[0], recorded.load(Relaxed));
    }
}
