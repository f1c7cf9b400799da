use std::sync::Arc;

use super::limits::LOOKS;
use super::stripe::{self, Held};
use crate::number::Measure;
use crate::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::sync::{OnceLock, hint};

/// Up to this many bounds, looking at all of them (which vectorises) beats a binary search.
pub(super) const FEW_BOUNDS: usize = 32;

/// Words of padding at both ends of an additional stripe, so that no two threads' stripes share a
/// (pair of) cache lines.
const PADDING: usize = 16;

// The words of a stripe: who has it and had it last, sum, smallest, largest, then the buckets.
const TURNS: usize = 0;
const SUM: usize = 1;
const MIN: usize = 2;
const MAX: usize = 3;
const BUCKETS: usize = 4;

/// A distribution over explicit buckets. There is no count: it is the sum of the buckets.
///
/// A recording has its stripe for itself, for the few additions that it is, and so needs one atomic
/// step for all of them. It waits for nobody: who finds the stripe taken goes to another one. Readers
/// read past those who record.
#[derive(Debug)]
pub(crate) struct HistogramCell {
    pub(super) bounds: Arc<[f64]>,
    first: Box<[AtomicU64]>,
    pub(super) more: OnceLock<Box<Stripes>>,
}

/// Boxed once more than it needs to be, so that a cell without stripes stays small.
#[derive(Debug)]
pub(super) struct Stripes(Box<[PaddedStripe]>);

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

    #[inline(always)]
    pub(crate) fn record<M: Measure>(&self, value: M) {
        let bucket = bucket_of(&self.bounds, value.as_f64());
        if let Some(stripes) = self.more.get() {
            return stripes.record(value, bucket);
        }
        let Some(held) = Held::attempt(&self.first[TURNS]) else {
            return self.record_beside(value, bucket);
        };
        add(&self.first, value, bucket);
        let should_grow = held.should_grow;
        drop(held);
        if should_grow {
            self.grow::<M>();
        }
    }

    /// Records where another thread has the only stripe.
    #[cold]
    fn record_beside<M: Measure>(&self, value: M, bucket: usize) {
        if !stripe::lost_patience() {
            for _ in 0..LOOKS {
                hint::spin_loop();
                if let Some(_held) = Held::attempt(&self.first[TURNS]) {
                    return add(&self.first, value, bucket);
                }
            }
        }
        self.grow::<M>().record(value, bucket);
    }

    #[cold]
    fn grow<M: Measure>(&self) -> &Stripes {
        let bounds = self.bounds.len();
        self.more.get_or_init(|| new_stripes::<M>(bounds))
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
        let mut all = Totals::none();
        for words in self.stripes() {
            all.add(&Totals::of(words));
        }
        (all.sum, all.min, all.max)
    }

    /// All that was recorded, so that the cell begins anew: each recording is either taken or stays.
    pub(super) fn take<M: Measure>(&self) -> TakenHistogram {
        let mut counts = vec![0; self.bounds.len() + 1];
        let mut all = Totals::<M>::none();
        for words in self.stripes() {
            let _held = Held::wait(&words[TURNS]);
            all.add(&Totals::of(words));
            Totals::<M>::none().store(words);
            for (count, word) in counts.iter_mut().zip(&words[BUCKETS..]) {
                *count += word.load(Relaxed);
                word.store(0, Relaxed);
            }
        }
        TakenHistogram {
            counts,
            sum: all.sum.bits(),
            min: all.min.bits(),
            max: all.max.bits(),
        }
    }

    pub(super) fn put_back<M: Measure>(&self, taken: &TakenHistogram) {
        let _held = Held::wait(&self.first[TURNS]);
        let mut all = Totals::<M>::of(&self.first);
        all.add(&Totals {
            sum: M::from_bits(taken.sum),
            min: M::from_bits(taken.min),
            max: M::from_bits(taken.max),
        });
        all.store(&self.first);
        for (count, word) in taken.counts.iter().zip(&self.first[BUCKETS..]) {
            word.store(word.load(Relaxed) + count, Release);
        }
    }

    fn stripes(&self) -> impl Iterator<Item = &[AtomicU64]> {
        let more = self.more.get().into_iter();
        let more = more.flat_map(|stripes| &stripes.0);
        std::iter::once(&*self.first).chain(more.map(PaddedStripe::words))
    }
}

impl Stripes {
    #[inline(never)]
    fn record<M: Measure>(&self, value: M, bucket: usize) {
        let preferred = stripe::current(self.0.len());
        let attempt = |at: usize| {
            let words = self.0[at].words();
            Held::attempt(&words[TURNS]).map(|held| (held, words))
        };
        let (_held, words) = attempt(preferred).unwrap_or_else(|| {
            stripe::leave();
            let others = (1..self.0.len()).map(|step| (preferred + step) & (self.0.len() - 1));
            others.filter_map(attempt).next().unwrap_or_else(|| {
                // With as many stripes as cores, all of them are taken only by threads that were
                // stopped in the middle of a recording.
                let words = self.0[preferred].words();
                (Held::wait(&words[TURNS]), words)
            })
        });
        add(words, value, bucket);
    }
}

/// Adds a recording to a stripe that this thread holds.
#[inline]
fn add<M: Measure>(words: &[AtomicU64], value: M, bucket: usize) {
    let mut totals = Totals::<M>::of(words);
    totals.sum = totals.sum.plus(value);
    words[SUM].store(totals.sum.bits(), Relaxed);
    // Only a new extreme writes.
    if value < totals.min {
        words[MIN].store(value.bits(), Relaxed);
    }
    if value > totals.max {
        words[MAX].store(value.bits(), Relaxed);
    }
    // Last, and released: whoever reads this count sees the rest of the recording too.
    let count = &words[BUCKETS + bucket];
    count.store(count.load(Relaxed) + 1, Release);
}

/// What a stripe has besides its buckets.
struct Totals<M> {
    sum: M,
    min: M,
    max: M,
}

impl<M: Measure> Totals<M> {
    fn none() -> Self {
        Self {
            sum: M::ZERO,
            min: M::HIGHEST,
            max: M::LOWEST,
        }
    }

    #[inline]
    fn of(words: &[AtomicU64]) -> Self {
        let read = |index: usize| M::from_bits(words[index].load(Relaxed));
        Self {
            sum: read(SUM),
            min: read(MIN),
            max: read(MAX),
        }
    }

    fn store(&self, words: &[AtomicU64]) {
        words[SUM].store(self.sum.bits(), Relaxed);
        words[MIN].store(self.min.bits(), Relaxed);
        words[MAX].store(self.max.bits(), Relaxed);
    }

    fn add(&mut self, other: &Self) {
        self.sum = self.sum.plus(other.sum);
        if other.min < self.min {
            self.min = other.min;
        }
        if other.max > self.max {
            self.max = other.max;
        }
    }
}

pub(super) fn new_stripes<M: Measure>(bounds: usize) -> Box<Stripes> {
    let stripe = |_| PaddedStripe(words::<M>(bounds, PADDING));
    Box::new(Stripes((0..*stripe::STRIPES).map(stripe).collect()))
}

fn words<M: Measure>(bounds: usize, padding: usize) -> Box<[AtomicU64]> {
    let words: Box<[AtomicU64]> = (0..BUCKETS + bounds + 1 + 2 * padding)
        .map(|_| AtomicU64::new(0))
        .collect();
    Totals::<M>::none().store(&words[padding..]);
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
