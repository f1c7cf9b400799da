//! A set of attributes with the cell that is recorded into, and whether it is a series just now.
//!
//! Threads and handles keep an entry once they have found it, and record into it without asking
//! anyone. So an entry is not replaced when its series ends: it becomes *dormant*. Its cell is
//! emptied and no collection shows it. Whoever comes across it then wakes it, which begins a new
//! series at zero. Who saw it awake an instant before, and records into it when it no longer is,
//! leaves something in a cell that should be empty: the next collection finds it there and wakes
//! the entry. That is why recording needs no more than one look at the state, and loses nothing.

use std::sync::OnceLock;

use crate::Attributes;
use crate::cell::{Cell, Taken};
use crate::exemplar::Reservoir;
use crate::number::Measure;
use crate::sync::atomic::{
    AtomicU8, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// Shown, and recorded into since the last collection that looked.
const ACTIVE: u8 = 0;
/// Shown; nobody who looked recorded into it since the last collection that looked.
const QUIET: u8 = 1;
/// Not shown.
const DORMANT: u8 = 2;

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) attributes: Attributes,
    pub(crate) cell: Cell,
    /// Made for the first measurement that may be kept.
    pub(super) exemplars: OnceLock<Box<Reservoir>>,
    state: AtomicU8,
    /// When the present series began, in nanoseconds since the Unix epoch; of a dormant entry, when
    /// the last one did.
    start: AtomicU64,
}

impl Entry {
    /// An entry that is awake.
    pub(crate) fn new(attributes: Attributes, cell: Cell, start: u64) -> Self {
        Self {
            attributes,
            cell,
            exemplars: OnceLock::new(),
            state: AtomicU8::new(ACTIVE),
            start: AtomicU64::new(start),
        }
    }

    pub(crate) fn start(&self) -> u64 {
        self.start.load(Relaxed)
    }

    pub(crate) fn is_dormant(&self) -> bool {
        self.state.load(Acquire) == DORMANT
    }

    /// Records unless the entry is dormant; whether it did.
    #[inline(always)]
    pub(crate) fn record<M: Measure>(&self, value: M) -> bool {
        if self.state.load(Relaxed) != ACTIVE && !self.stir() {
            return false;
        }
        self.cell.record(value);
        true
    }

    /// Notes that a quiet entry is recorded into; whether it is awake.
    #[cold]
    fn stir(&self) -> bool {
        let stirred = self.state.compare_exchange(QUIET, ACTIVE, AcqRel, Acquire);
        stirred != Err(DORMANT)
    }

    /// Asks to be told of the next recording; whether there was one since this was asked last.
    pub(super) fn quieten(&self) -> bool {
        let quietened = self.state.compare_exchange(ACTIVE, QUIET, AcqRel, Relaxed);
        quietened.is_ok()
    }

    /// Ends the series if it is quiet and holds what it did when it became so.
    ///
    /// Only one thread at a time may end or wake entries of an instrument, here and below.
    pub(super) fn expire<M: Measure>(&self, fingerprint: u64) -> bool {
        let dormant = self.state.compare_exchange(QUIET, DORMANT, AcqRel, Relaxed);
        if dormant.is_err() {
            return false;
        }
        let taken = self.cell.take::<M>();
        if taken.fingerprint() == fingerprint {
            return true;
        }
        // Someone who had looked before the entry became quiet recorded only now.
        self.cell.put_back::<M>(&taken);
        self.state.store(ACTIVE, Release);
        false
    }

    /// Ends the series whatever happens, and returns what it held; `None` if it had ended.
    pub(super) fn end<M: Measure>(&self) -> Option<Taken> {
        let before = self.state.swap(DORMANT, AcqRel);
        (before != DORMANT).then(|| self.cell.take::<M>())
    }

    /// Whether a dormant entry was recorded into, by someone who had seen it awake.
    pub(super) fn holds_anything<M: Measure>(&self) -> bool {
        let taken = self.cell.take::<M>();
        if taken.is_nothing() {
            return false;
        }
        self.cell.put_back::<M>(&taken);
        true
    }

    /// Begins a new series, later than the one before.
    pub(super) fn wake(&self, now: u64) {
        self.start.store(now.max(self.start() + 1), Relaxed);
        self.state.store(ACTIVE, Release);
    }
}
