use crate::number::Measure;
use crate::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// A histogram with one bucket; recorded, read and taken in the order of the real one.
#[derive(Debug, Default)]
pub(crate) struct Cell {
    sum: AtomicU64,
    count: AtomicU64,
}

#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) sum: u64,
    pub(crate) count: u64,
}

impl Cell {
    pub(crate) fn record<M: Measure>(&self, value: M) {
        self.sum.fetch_add(value.bits(), Release);
        self.count.fetch_add(1, Release);
    }

    pub(crate) fn read(&self) -> Taken {
        let count = self.count.load(Acquire);
        let sum = self.sum.load(Relaxed);
        Taken { sum, count }
    }

    pub(crate) fn take<M: Measure>(&self) -> Taken {
        let sum = self.sum.swap(0, AcqRel);
        let count = self.count.swap(0, AcqRel);
        Taken { sum, count }
    }

    pub(crate) fn put_back<M: Measure>(&self, taken: &Taken) {
        self.sum.fetch_add(taken.sum, Release);
        self.count.fetch_add(taken.count, Release);
    }
}

impl Taken {
    pub(crate) fn is_nothing(&self) -> bool {
        self.sum == 0 && self.count == 0
    }

    pub(crate) fn fingerprint(&self) -> u64 {
        self.count << 32 | self.sum
    }
}
