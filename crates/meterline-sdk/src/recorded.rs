//! What a synchronous instrument recorded: its series, and how a measurement gets into one.
//!
//! `find` is how a series is found or created up to the cardinality limit, `read` how all of them
//! are listed in order and read.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use foldhash::fast::RandomState;
use opentelemetry::KeyValue;
use parking_lot::Mutex;

use crate::diagnostics::Diagnostics;
use crate::instrument::Instrument;
use crate::lookup::{self, Found, Wanted};
use crate::number::Measure;
use crate::series::Series;
use crate::view::Plan;
use find::Shards;
use read::Listing;

mod find;
mod read;

static STREAMS: AtomicU64 = AtomicU64::new(0);

/// What one synchronous instrument recorded.
pub(crate) struct Recorded {
    /// Unique in the process, never used again: threads remember series by it.
    id: u64,
    plan: Plan,
    limit: usize,
    hasher: RandomState,
    shards: Shards,
    /// How many series count against the limit.
    counted: AtomicUsize,
    /// The series without attributes, and the overflow series: neither counts against the limit.
    bare: OnceLock<Arc<Series>>,
    overflow: OnceLock<Arc<Series>>,
    listing: Mutex<Listing>,
    diagnostics: Arc<Diagnostics>,
}

impl Recorded {
    pub(crate) fn new(plan: Plan, limit: usize, diagnostics: Arc<Diagnostics>) -> Self {
        Self {
            id: STREAMS.fetch_add(1, Relaxed),
            limit: plan.cardinality_limit.unwrap_or(limit),
            plan,
            hasher: RandomState::default(),
            shards: Default::default(),
            counted: AtomicUsize::new(0),
            bare: OnceLock::new(),
            overflow: OnceLock::new(),
            listing: Mutex::default(),
            diagnostics,
        }
    }

    pub(crate) fn instrument(&self) -> &Instrument {
        &self.plan.instrument
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Records one measurement. Takes no lock and allocates nothing if this thread has recorded
    /// into the series before.
    #[inline]
    pub(crate) fn record<M: Measure>(&self, value: M, attributes: &[KeyValue]) {
        if !self.accepts(value) {
            return;
        }
        if attributes.is_empty() {
            return self.bare(value).cell.record(value);
        }
        let wanted = Wanted {
            stream: self.id,
            hash: self.hash(attributes),
            attributes,
            filtered: self.plan.filter.is_some(),
        };
        let find = || {
            let found = self.find_kept(wanted.hash, attributes, value);
            if matches!(found, Found::Overflow(_)) {
                self.count_overflow();
            }
            found
        };
        lookup::with_series(wanted, find, |series| series.cell.record(value));
    }

    /// Whether a value may be recorded; if not, it is counted as dropped, with the reason.
    #[inline]
    pub(crate) fn accepts<M: Measure>(&self, value: M) -> bool {
        self.diagnostics.accepts(value, self.instrument())
    }

    /// The series that measurements with these attributes are recorded into. If it is new, a gauge
    /// begins as `first`, anything else at zero.
    pub(crate) fn series<M: Measure>(&self, attributes: &[KeyValue], first: M) -> Found {
        if attributes.is_empty() {
            return Found::Exact(Arc::clone(self.bare(first)));
        }
        self.find_kept(self.hash(attributes), attributes, first)
    }

    /// Counts a measurement that goes to the overflow series.
    pub(crate) fn count_overflow(&self) {
        self.diagnostics.overflowed(self.instrument());
    }
}
