//! The series of a synchronous instrument: found, created up to the cardinality limit, and listed
//! in order.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use crossbeam_utils::CachePadded;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use opentelemetry::KeyValue;
use parking_lot::{Mutex, RwLock};

use crate::attributes::{self, Attributes};
use crate::cell::{Cell, HistogramCell, SumCell};
use crate::diagnostics::Diagnostics;
use crate::instrument::{Aggregation, Instrument};
use crate::lookup::{self, Found, Wanted};
use crate::number::{Measure, NumberKind};
use crate::series::{Series, SeriesList};
use crate::snapshot::{Data, Histograms};

/// Enough that threads which all miss what they remember seldom meet.
const SHARDS: usize = 8;

static STREAMS: AtomicU64 = AtomicU64::new(0);

type Shard = CachePadded<RwLock<HashTable<Arc<Series>>>>;

/// What one synchronous instrument recorded.
pub(crate) struct Recorded {
    /// Unique in the process, never used again: threads remember series by it.
    id: u64,
    instrument: Instrument,
    limit: usize,
    hasher: RandomState,
    shards: [Shard; SHARDS],
    /// How many series count against the limit.
    counted: AtomicUsize,
    /// The series without attributes, and the overflow series: neither counts against the limit.
    bare: OnceLock<Arc<Series>>,
    overflow: OnceLock<Arc<Series>>,
    listing: Mutex<Listing>,
    diagnostics: Arc<Diagnostics>,
}

/// The series in order, as of the last collection, and those that came since.
#[derive(Default)]
struct Listing {
    sorted: SeriesList,
    added: Vec<Arc<Series>>,
}

impl Recorded {
    pub(crate) fn new(instrument: Instrument, limit: usize, diagnostics: Arc<Diagnostics>) -> Self {
        Self {
            id: STREAMS.fetch_add(1, Relaxed),
            instrument,
            limit,
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
        &self.instrument
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
        };
        let find = || {
            let found = self.find(wanted.hash, attributes, value);
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
        self.diagnostics.accepts(value, &self.instrument)
    }

    /// The series that measurements with these attributes are recorded into. If it is new, a gauge
    /// begins as `first`, anything else at zero.
    pub(crate) fn series<M: Measure>(&self, attributes: &[KeyValue], first: M) -> Found {
        if attributes.is_empty() {
            return Found::Exact(Arc::clone(self.bare(first)));
        }
        self.find(self.hash(attributes), attributes, first)
    }

    /// Counts a measurement that goes to the overflow series.
    pub(crate) fn count_overflow(&self) {
        self.diagnostics.overflowed(&self.instrument);
    }

    #[inline]
    fn bare<M: Measure>(&self, first: M) -> &Arc<Series> {
        self.bare
            .get_or_init(|| self.create(Attributes::default(), first))
    }

    fn overflow<M: Measure>(&self, first: M) -> &Arc<Series> {
        self.overflow
            .get_or_init(|| self.create(Attributes::overflow().clone(), first))
    }

    fn hash(&self, attributes: &[KeyValue]) -> u64 {
        attributes::hash(&self.hasher, attributes)
    }

    fn shard(&self, hash: u64) -> &Shard {
        // Neither the low bits, which pick a bucket and what a thread remembers, nor the highest,
        // which tell buckets apart.
        &self.shards[(hash >> 32) as usize % SHARDS]
    }

    /// Looks in the map, and adds a new series if there is room.
    #[cold]
    fn find<M: Measure>(&self, hash: u64, attributes: &[KeyValue], first: M) -> Found {
        if let Some(series) = known(&self.shard(hash).read(), hash, attributes) {
            return Found::Exact(series);
        }
        if attributes::has_duplicates(attributes) {
            let canonical = Attributes::new(attributes);
            return self.find(self.hash(&canonical), &canonical, first);
        }
        // Before the write lock: whoever makes up attributes keeps no one else waiting.
        let full = self.counted.load(Relaxed) >= self.limit;
        if full || Attributes::overflow().matches(attributes) {
            return Found::Overflow(Arc::clone(self.overflow(first)));
        }
        let mut table = self.shard(hash).write();
        if let Some(series) = known(&table, hash, attributes) {
            return Found::Exact(series);
        }
        if !self.reserve() {
            drop(table);
            return Found::Overflow(Arc::clone(self.overflow(first)));
        }
        let series = self.create(Attributes::new(attributes), first);
        table.insert_unique(hash, Arc::clone(&series), |series| {
            self.hash(series.attributes())
        });
        Found::Exact(series)
    }

    /// Takes one of the places under the cardinality limit, if there is one left.
    fn reserve(&self) -> bool {
        let taken = |counted| (counted < self.limit).then_some(counted + 1);
        self.counted.fetch_update(Relaxed, Relaxed, taken).is_ok()
    }

    fn create<M: Measure>(&self, attributes: Attributes, first: M) -> Arc<Series> {
        let cell = match &self.instrument.aggregation {
            Aggregation::Sum { .. } => Cell::Sum(SumCell::default()),
            // A collection between this and the recording must not see a value nobody set.
            Aggregation::LastValue => Cell::LastValue(AtomicU64::new(first.bits())),
            Aggregation::Histogram { bounds } => {
                Cell::Histogram(HistogramCell::new::<M>(Arc::clone(bounds)))
            }
        };
        let series = Arc::new(Series::with_cell(attributes, SystemTime::now(), cell));
        self.listing.lock().added.push(Arc::clone(&series));
        series
    }

    /// All series in order, with their values.
    pub(crate) fn collect(&self) -> (SeriesList, Data) {
        let series = self.list();
        let data = match self.instrument.number {
            NumberKind::U64 => self.read::<u64>(&series),
            NumberKind::I64 => self.read::<i64>(&series),
            NumberKind::F64 => self.read::<f64>(&series),
        };
        (series, data)
    }

    /// The series in order: the same allocation as last time, unless some were added. Collections
    /// run one at a time, so nobody else lists meanwhile; but recording may add, and must not wait
    /// while this sorts.
    fn list(&self) -> SeriesList {
        let (sorted, mut added) = {
            let mut listing = self.listing.lock();
            (
                Arc::clone(&listing.sorted),
                std::mem::take(&mut listing.added),
            )
        };
        if added.is_empty() {
            return sorted;
        }
        let mut all: Vec<_> = sorted.iter().cloned().collect();
        all.append(&mut added);
        // Stable sorts take runs that are in order as they are: this costs what is new.
        all.sort_by(|a, b| a.attributes().cmp(b.attributes()));
        let sorted: SeriesList = all.into();
        self.listing.lock().sorted = Arc::clone(&sorted);
        sorted
    }

    fn read<M: Measure>(&self, series: &[Arc<Series>]) -> Data {
        let number = |bits| M::KIND.number(bits);
        let total = |series: &Arc<Series>| match &series.cell {
            Cell::Sum(sum) => number(sum.total::<M>()),
            Cell::LastValue(last) => number(last.load(Relaxed)),
            Cell::Histogram(_) | Cell::Elsewhere => number(M::ZERO.bits()),
        };
        match &self.instrument.aggregation {
            Aggregation::Sum { monotonic } => Data::Sum {
                monotonic: *monotonic,
                values: series.iter().map(total).collect(),
            },
            Aggregation::LastValue => Data::Gauge(series.iter().map(total).collect()),
            Aggregation::Histogram { bounds } => Data::Histogram(read_all::<M>(bounds, series)),
        }
    }

    /// How many series there are, the overflow series included.
    pub(crate) fn series_count(&self) -> usize {
        let listing = self.listing.lock();
        listing.sorted.len() + listing.added.len()
    }
}

fn known(
    table: &HashTable<Arc<Series>>,
    hash: u64,
    attributes: &[KeyValue],
) -> Option<Arc<Series>> {
    table
        .find(hash, |series| series.attributes().matches(attributes))
        .map(Arc::clone)
}

fn read_all<M: Measure>(bounds: &Arc<[f64]>, series: &[Arc<Series>]) -> Histograms {
    let buckets = bounds.len() + 1;
    let mut counts = vec![0; series.len() * buckets];
    let cells = series.iter().map(|series| &series.cell);
    let totals = cells
        .zip(counts.chunks_exact_mut(buckets))
        .filter_map(|(cell, counts)| {
            let Cell::Histogram(cell) = cell else {
                return None;
            };
            let (sum, min, max) = cell.read::<M>(counts);
            let recorded = counts.iter().any(|count| *count > 0);
            let number = |value: M| M::KIND.number(value.bits());
            Some((number(sum), recorded.then(|| (number(min), number(max)))))
        });
    let totals = totals.collect();
    Histograms::from_parts(Arc::clone(bounds), counts, totals)
}
