//! What a synchronous instrument recorded: its series, and how a measurement gets into one.
//!
//! `entry` is what is recorded into, `find` how it is found or created up to the cardinality limit,
//! `read` how all series are listed in order and read, `lifetime` how they end, `exemplars` which
//! measurements are kept as examples, `second` the aggregation that only some readers ask for.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use foldhash::fast::RandomState;
use opentelemetry::KeyValue;
use parking_lot::Mutex;

use crate::attributes;
use crate::cell::Places;
use crate::diagnostics::Diagnostics;
use crate::exemplar::ExemplarFilter;
use crate::instrument::Instrument;
use crate::lookup::{self, Found, Wanted};
use crate::number::Measure;
use crate::view::Plan;
use find::Shards;
use lifetime::Changes;
use read::Listing;

mod entry;
mod exemplars;
mod find;
mod lifetime;
mod read;
mod second;

pub(crate) use entry::Entry;
pub(crate) use lifetime::{Ended, Occasion};
pub(crate) use read::Reading;

static STREAMS: AtomicU64 = AtomicU64::new(0);

/// What one synchronous instrument recorded.
pub(crate) struct Recorded {
    /// Unique in the process, never used again: threads remember entries by it.
    id: u64,
    plan: Plan,
    limit: usize,
    hasher: RandomState,
    shards: Shards,
    /// How many series there are, and how many of them count against the limit.
    shown: AtomicUsize,
    counted: AtomicUsize,
    /// The series without attributes, and the overflow series: neither counts against the limit.
    bare: OnceLock<Arc<Entry>>,
    overflow: OnceLock<Arc<Entry>>,
    /// Where totals lie, if this is a sum.
    places: Mutex<Places>,
    changes: Mutex<Changes>,
    listing: Mutex<Listing>,
    exemplar_filter: ExemplarFilter,
    /// Whether any entry has exemplars.
    has_exemplars: AtomicBool,
    diagnostics: Arc<Diagnostics>,
}

impl Recorded {
    pub(crate) fn new(
        plan: Plan,
        limit: usize,
        exemplar_filter: ExemplarFilter,
        diagnostics: Arc<Diagnostics>,
    ) -> Self {
        Self {
            id: STREAMS.fetch_add(1, Relaxed),
            limit: plan.cardinality_limit.unwrap_or(limit),
            plan,
            hasher: RandomState::default(),
            shards: Default::default(),
            shown: AtomicUsize::new(0),
            counted: AtomicUsize::new(0),
            bare: OnceLock::new(),
            overflow: OnceLock::new(),
            places: Mutex::default(),
            changes: Mutex::default(),
            listing: Mutex::default(),
            exemplar_filter,
            has_exemplars: AtomicBool::new(false),
            diagnostics,
        }
    }

    pub(crate) fn instrument(&self) -> &Instrument {
        &self.plan.instrument
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Records one measurement. Waits for nobody and allocates nothing if this thread has recorded
    /// into the series before.
    #[inline]
    pub(crate) fn record<M: Measure>(&self, value: M, attributes: &[KeyValue]) {
        if !self.accepts(value) {
            return;
        }
        if attributes.is_empty() {
            return self.record_into(self.bare(value), value, attributes);
        }
        let wanted = Wanted {
            stream: self.id,
            hash: attributes::hash_as_given(&self.hasher, attributes),
            attributes,
        };
        let known = lookup::with_remembered(wanted, |entry| {
            self.record_into(entry, value, attributes);
        });
        if !known {
            self.record_found(value, wanted);
        }
    }

    /// Records into an entry that this thread does not remember, and remembers it.
    #[cold]
    fn record_found<M: Measure>(&self, value: M, wanted: Wanted<'_>) {
        match self.find_kept(self.hash(wanted.attributes), wanted.attributes, value) {
            Found::Exact(entry) => {
                self.record_into(&entry, value, wanted.attributes);
                lookup::remember(wanted, entry, self.plan.filter.is_some());
            }
            Found::Overflow(entry) => {
                self.count_overflow();
                self.record_into(&entry, value, wanted.attributes);
            }
        }
    }

    /// Records into an entry of this instrument, whatever has become of its series, what was
    /// measured with the attributes given.
    #[inline]
    pub(crate) fn record_into<M: Measure>(&self, entry: &Arc<Entry>, value: M, given: &[KeyValue]) {
        if !entry.record(value) {
            return self.record_awakened(entry, value, given);
        }
        if self.exemplar_filter.may_admit() {
            self.offer(entry, value, given);
        }
    }

    /// Records into the entry once it is awake, or into the overflow one if there is no room for it.
    #[cold]
    fn record_awakened<M: Measure>(&self, entry: &Arc<Entry>, value: M, given: &[KeyValue]) {
        let mut target = entry;
        // It may fall asleep again in between.
        while !(self.wake(target, value) && target.record(value)) {
            if target.is_dormant() && !self.has_room() && !self.is_exempt(target) {
                self.count_overflow();
                target = self.overflow(value);
            }
        }
        self.offer(target, value, given);
    }

    /// Whether a value may be recorded; if not, it is counted as dropped, with the reason.
    #[inline]
    pub(crate) fn accepts<M: Measure>(&self, value: M) -> bool {
        self.diagnostics.accepts(value, self.instrument())
    }

    /// The entry that measurements with these attributes are recorded into, awake. If its series is
    /// new, a gauge begins as `first`, anything else at zero.
    pub(crate) fn entry<M: Measure>(&self, attributes: &[KeyValue], first: M) -> Found {
        if attributes.is_empty() {
            let bare = self.bare(first);
            self.wake(bare, first);
            return Found::Exact(Arc::clone(bare));
        }
        match self.find_kept(self.hash(attributes), attributes, first) {
            Found::Exact(entry) if self.wake(&entry, first) => Found::Exact(entry),
            Found::Exact(_) | Found::Overflow(_) => {
                let overflow = self.overflow(first);
                self.wake(overflow, first);
                Found::Overflow(Arc::clone(overflow))
            }
        }
    }

    /// Whether a new series would get a place under the cardinality limit.
    pub(crate) fn has_room(&self) -> bool {
        self.counted.load(Relaxed) < self.limit
    }

    /// Counts a measurement that goes to the overflow series.
    pub(crate) fn count_overflow(&self) {
        self.diagnostics.overflowed(self.instrument());
    }

    /// How many series there are, the overflow series included.
    pub(crate) fn series_count(&self) -> usize {
        self.shown.load(Relaxed)
    }
}
