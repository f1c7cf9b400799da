//! A distribution over exponential buckets, recorded by many threads.
//!
//! Such a histogram rescales now and then, which no single atomic step can do. So each stripe has a
//! lock, but no recording waits for it: who finds it taken, by another recording or a reader, goes
//! to another stripe.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;

use super::stripe;
use crate::number::Measure;
use crate::snapshot::ExponentialHistograms;
use distribution::Distribution;

mod buckets;
mod distribution;
mod index;

/// How fine an exponential histogram is (OpenTelemetry metrics SDK, "Base2 Exponential Bucket
/// Histogram Aggregation").
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExponentialOptions {
    /// How many buckets there are at most for positive values, and as many for negative ones: 2 to
    /// 16384, by default 160. Values that need more make the buckets wider.
    pub max_size: usize,
    /// The scale to begin with: -10 to 20, by default 20. Each step up halves the buckets' relative
    /// width.
    pub max_scale: i8,
    /// Values as near to zero as this count as zero. By default 0.
    pub zero_threshold: f64,
}

impl Default for ExponentialOptions {
    fn default() -> Self {
        Self {
            max_size: 160,
            max_scale: 20,
            zero_threshold: 0.0,
        }
    }
}

impl ExponentialOptions {
    pub(crate) fn is_valid(&self) -> bool {
        (2..=16384).contains(&self.max_size)
            && (-10..=20).contains(&self.max_scale)
            && (0.0..f64::INFINITY).contains(&self.zero_threshold)
    }
}

/// A distribution over exponential buckets.
#[derive(Debug)]
pub(crate) struct ExponentialCell {
    options: ExponentialOptions,
    first: Mutex<Distribution>,
    /// Who used `first` last, and how often that changed.
    turns: AtomicU64,
    more: OnceLock<Box<[Stripe]>>,
}

type Stripe = CachePadded<Mutex<Distribution>>;

impl ExponentialCell {
    pub(crate) fn new<M: Measure>(options: ExponentialOptions) -> Self {
        Self {
            options,
            first: Mutex::new(Distribution::new::<M>(options.max_scale)),
            turns: AtomicU64::new(0),
            more: OnceLock::new(),
        }
    }

    pub(crate) fn record<M: Measure>(&self, value: M) {
        if let Some(stripes) = self.more.get() {
            return self.record_in(stripes, value);
        }
        match self.first.try_lock() {
            Some(mut first) => first.record(value, &self.options),
            None => return self.record_in(self.grow::<M>(), value),
        }
        if stripe::changed_hands(&self.turns) {
            self.grow::<M>();
        }
    }

    fn record_in<M: Measure>(&self, stripes: &[Stripe], value: M) {
        let preferred = stripe::current(stripes.len());
        if let Some(mut distribution) = stripes[preferred].try_lock() {
            return distribution.record(value, &self.options);
        }
        stripe::leave();
        let others = (1..stripes.len()).map(|step| (preferred + step) & (stripes.len() - 1));
        let free = others.filter_map(|other| stripes[other].try_lock()).next();
        // With as many stripes as cores, all of them are taken only by threads that were stopped
        // in the middle of a recording.
        let mut distribution = free.unwrap_or_else(|| stripes[preferred].lock());
        distribution.record(value, &self.options);
    }

    #[cold]
    fn grow<M: Measure>(&self) -> &[Stripe] {
        let stripe =
            |_| CachePadded::new(Mutex::new(Distribution::new::<M>(self.options.max_scale)));
        self.more
            .get_or_init(|| (0..*stripe::STRIPES).map(stripe).collect())
    }

    /// Adds a point with what was recorded.
    pub(crate) fn read<M: Measure>(&self, into: &mut ExponentialHistograms) {
        stripe::was_read(&self.turns);
        let Some(stripes) = self.more.get() else {
            return self.first.lock().push::<M>(&self.options, into);
        };
        // Each is held only while it is copied: adding up may take longer.
        let mut all = self.first.lock().clone();
        for stripe in stripes {
            let stripe = stripe.lock().clone();
            all.absorb::<M>(&stripe, self.options.max_size);
        }
        all.push::<M>(&self.options, into);
    }

    /// All that was recorded, so that the cell begins anew: each recording is either taken or
    /// stays.
    pub(crate) fn take<M: Measure>(&self) -> Taken {
        let new = || Distribution::new::<M>(self.options.max_scale);
        let mut taken = std::mem::replace(&mut *self.first.lock(), new());
        for stripe in self.more.get().into_iter().flatten() {
            let stripe = std::mem::replace(&mut *stripe.lock(), new());
            taken.absorb::<M>(&stripe, self.options.max_size);
        }
        Taken(taken)
    }

    /// Undoes a [`take`](Self::take), also if something was recorded since.
    pub(crate) fn put_back<M: Measure>(&self, taken: &Taken) {
        let mut first = self.first.lock();
        first.absorb::<M>(&taken.0, self.options.max_size);
    }

    /// Adds a point with what was taken.
    pub(crate) fn push_taken<M: Measure>(&self, taken: &Taken, into: &mut ExponentialHistograms) {
        taken.0.push::<M>(&self.options, into);
    }
}

/// What was taken out of a cell.
#[derive(Debug)]
pub(crate) struct Taken(Distribution);

impl Taken {
    pub(crate) fn count(&self) -> u64 {
        self.0.count()
    }

    /// As bits of the instrument's number type.
    pub(crate) fn sum(&self) -> u64 {
        self.0.sum()
    }
}

#[cfg(test)]
mod tests;
