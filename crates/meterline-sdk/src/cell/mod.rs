//! What a series records into: cells of atomics, one per aggregation.
//!
//! A cell begins as a single stripe. When threads are seen to fight over it, it grows stripes that
//! each have cache lines of their own, and a reader adds them up.

pub(crate) mod exponential;
mod histogram;
mod stripe;
mod sum;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub(crate) use exponential::ExponentialCell;
pub(crate) use histogram::HistogramCell;
pub(crate) use sum::SumCell;

use crate::number::Measure;

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
    /// Values are kept elsewhere: by an observable instrument, or another producer of snapshots.
    Elsewhere,
}

impl Cell {
    /// Records one measurement. Takes no lock.
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
            Self::Elsewhere => {}
        }
    }
}
