//! What a series records into: cells of atomics, one per aggregation.
//!
//! A cell begins as a single stripe; those of sums lie side by side. When threads are seen to fight
//! over it, it grows stripes that each have cache lines of their own, and a reader adds them up.

pub(crate) mod exponential;
mod histogram;
mod limits;
mod lines;
mod stripe;
mod sum;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;

pub(crate) use exponential::ExponentialCell;
pub(crate) use histogram::{HistogramCell, TakenHistogram, bucket_of};
pub(crate) use lines::{Lines, Order, Places};
pub(crate) use sum::SumCell;

use crate::number::Measure;
use crate::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Relaxed},
};

/// What a last value is while there is none. Should someone set just this at the very moment when
/// the series expires, it would not be seen.
const NO_VALUE: u64 = 0x7ff8_6e6f_5f76_616c;

/// The recorded state of one series.
#[derive(Debug)]
pub(crate) enum Cell {
    Sum(SumCell),
    LastValue(AtomicU64),
    Histogram {
        explicit: HistogramCell,
        /// The same recordings in exponential buckets, from when someone first asked for them.
        exponential: OnceLock<Box<ExponentialCell>>,
    },
    Exponential(Box<ExponentialCell>),
}

/// What was taken out of a cell.
#[derive(Debug)]
pub(crate) enum Taken {
    Sum(u64),
    LastValue(u64),
    Histogram(TakenHistogram, Option<exponential::Taken>),
    Exponential(exponential::Taken),
}

impl Cell {
    /// Records one measurement. Waits for nobody.
    #[inline(always)]
    pub(crate) fn record<M: Measure>(&self, value: M) {
        match self {
            Self::Sum(sum) => sum.add(value),
            Self::LastValue(last) => last.store(value.bits(), Relaxed),
            Self::Histogram {
                explicit,
                exponential,
            } => {
                explicit.record(value);
                if let Some(exponential) = exponential.get() {
                    exponential.record(value);
                }
            }
            Self::Exponential(exponential) => exponential.record(value),
        }
    }

    /// Leaves the cell as if it were new, and returns what was in it. Each part of a recording that
    /// happens meanwhile is either taken or stays, never both and never neither.
    pub(crate) fn take<M: Measure>(&self) -> Taken {
        match self {
            Self::Sum(sum) => Taken::Sum(sum.take::<M>()),
            Self::LastValue(last) => Taken::LastValue(last.swap(NO_VALUE, AcqRel)),
            Self::Histogram {
                explicit,
                exponential,
            } => {
                let exponential = exponential.get().map(|cell| cell.take::<M>());
                Taken::Histogram(explicit.take::<M>(), exponential)
            }
            Self::Exponential(cell) => Taken::Exponential(cell.take::<M>()),
        }
    }

    /// Undoes a [`take`](Self::take), also if something was recorded since.
    pub(crate) fn put_back<M: Measure>(&self, taken: &Taken) {
        match (self, taken) {
            (Self::Sum(sum), Taken::Sum(total)) => sum.add(M::from_bits(*total)),
            (Self::LastValue(last), Taken::LastValue(value)) => {
                // A value that was set since is the newer one.
                let _ = last.compare_exchange(NO_VALUE, *value, AcqRel, Relaxed);
            }
            (
                Self::Histogram {
                    explicit,
                    exponential,
                },
                Taken::Histogram(taken, more),
            ) => {
                explicit.put_back::<M>(taken);
                if let Some((cell, more)) = exponential.get().zip(more.as_ref()) {
                    cell.put_back::<M>(more);
                }
            }
            (Self::Exponential(cell), Taken::Exponential(taken)) => cell.put_back::<M>(taken),
            _ => {}
        }
    }
}

impl Taken {
    /// Whether nothing was recorded into the cell it is from.
    pub(crate) fn is_nothing(&self) -> bool {
        match self {
            Self::Sum(total) => *total == 0,
            Self::LastValue(value) => *value == NO_VALUE,
            Self::Histogram(taken, more) => {
                let more = more.as_ref().is_none_or(|more| more.count() == 0);
                taken.sum == 0 && taken.count() == 0 && more
            }
            Self::Exponential(taken) => taken.count() == 0,
        }
    }

    /// A number that differs (but by chance) where anything was recorded between two readings.
    pub(crate) fn fingerprint(&self) -> u64 {
        match self {
            Self::Sum(bits) | Self::LastValue(bits) => *bits,
            Self::Histogram(taken, _) => fingerprint(taken.count(), taken.sum),
            Self::Exponential(taken) => fingerprint(taken.count(), taken.sum()),
        }
    }
}

/// The [fingerprint](Taken::fingerprint) of a distribution.
pub(crate) fn fingerprint(count: u64, sum_bits: u64) -> u64 {
    count.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ sum_bits
}
