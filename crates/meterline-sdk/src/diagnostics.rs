use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::instrument::Instrument;
use crate::number::Measure;

/// What the SDK could not do as asked, counted and told once.
///
/// Recording never fails and never floods the log: the first of a kind is logged as a warning, and
/// every one is counted.
#[derive(Debug, Default)]
pub(crate) struct Diagnostics {
    non_finite: Problem,
    negative: Problem,
    callback_panics: Problem,
    late_callbacks: Problem,
    overflowed: Problem,
    collections: AtomicU64,
    collection_nanos: AtomicU64,
}

/// What an SDK did, and what it could not do as asked, since it was built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Series that exist now, overflow series included.
    pub series: u64,
    /// Measurements that went to an overflow series.
    pub overflowed: u64,
    /// Measurements dropped because they were NaN or infinite.
    pub non_finite: u64,
    /// Measurements dropped because they were negative on an instrument that only goes up.
    pub negative: u64,
    /// Callbacks of observable instruments that panicked.
    pub callback_panics: u64,
    /// Callbacks of observable instruments that a collection went on without, because they took too
    /// long or still ran.
    pub late_callbacks: u64,
    /// Collections, of all readers together.
    pub collections: u64,
    /// The time they took, callbacks included, waiting for one another not.
    pub collection_time: Duration,
}

#[derive(Debug, Default)]
struct Problem {
    count: AtomicU64,
    told: AtomicBool,
}

impl Problem {
    /// Counts one; whether it is the first.
    fn count(&self) -> bool {
        self.count.fetch_add(1, Relaxed);
        !self.told.load(Relaxed) && !self.told.swap(true, Relaxed)
    }
}

impl Diagnostics {
    /// Whether an instrument may record a value; if not, it is counted as dropped, with the reason.
    #[inline]
    pub(crate) fn accepts<M: Measure>(&self, value: M, instrument: &Instrument) -> bool {
        if !value.is_finite() {
            self.drop_non_finite(instrument);
            return false;
        }
        if value < M::ZERO && instrument.refuses_negatives() {
            self.drop_negative(instrument);
            return false;
        }
        true
    }

    #[cold]
    fn drop_non_finite(&self, instrument: &Instrument) {
        if self.non_finite.count() {
            let name = &*instrument.descriptor.name;
            tracing::warn!(
                name,
                "not a finite number: dropped; further ones are only counted"
            );
        }
    }

    #[cold]
    fn drop_negative(&self, instrument: &Instrument) {
        if self.negative.count() {
            let name = &*instrument.descriptor.name;
            tracing::warn!(
                name,
                "negative on a counter: dropped; further ones are only counted"
            );
        }
    }

    #[cold]
    pub(crate) fn callback_panicked(&self, instrument: &Instrument) {
        if self.callback_panics.count() {
            tracing::error!(
                name = &*instrument.descriptor.name,
                "a callback panicked; the others go on; further panics are only counted"
            );
        }
    }

    #[cold]
    pub(crate) fn callback_late(&self, instrument: &Instrument) {
        if self.late_callbacks.count() {
            tracing::error!(
                name = &*instrument.descriptor.name,
                "a callback takes too long: left out until it returns; further ones are only counted"
            );
        }
    }

    #[cold]
    pub(crate) fn overflowed(&self, instrument: &Instrument) {
        if self.overflowed.count() {
            tracing::warn!(
                name = &*instrument.descriptor.name,
                "cardinality limit reached: new series are added up under otel.metric.overflow; \
                 further measurements there are only counted"
            );
        }
    }

    /// Counts a collection that took so long.
    pub(crate) fn collected(&self, took: Duration) {
        self.collections.fetch_add(1, Relaxed);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.collection_nanos.fetch_add(nanos, Relaxed);
    }

    pub(crate) fn stats(&self, series: u64) -> Stats {
        let count = |problem: &Problem| problem.count.load(Relaxed);
        Stats {
            series,
            overflowed: count(&self.overflowed),
            non_finite: count(&self.non_finite),
            negative: count(&self.negative),
            callback_panics: count(&self.callback_panics),
            late_callbacks: count(&self.late_callbacks),
            collections: self.collections.load(Relaxed),
            collection_time: Duration::from_nanos(self.collection_nanos.load(Relaxed)),
        }
    }
}
