//! From attributes to their series: found in sharded maps, or created if there is room.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use crossbeam_utils::CachePadded;
use hashbrown::HashTable;
use opentelemetry::KeyValue;
use parking_lot::RwLock;

use super::Recorded;
use crate::attributes::{self, Attributes};
use crate::cell::{Cell, ExponentialCell, HistogramCell, SumCell};
use crate::instrument::Aggregation;
use crate::lookup::Found;
use crate::number::Measure;
use crate::series::Series;

/// Enough that threads which all miss what they remember seldom meet.
const SHARDS: usize = 8;

type Shard = CachePadded<RwLock<HashTable<Arc<Series>>>>;

/// The series by the hash of their attributes.
pub(super) type Shards = [Shard; SHARDS];

impl Recorded {
    #[inline]
    pub(super) fn bare<M: Measure>(&self, first: M) -> &Arc<Series> {
        self.bare
            .get_or_init(|| self.create(Attributes::default(), first))
    }

    fn overflow<M: Measure>(&self, first: M) -> &Arc<Series> {
        self.overflow
            .get_or_init(|| self.create(Attributes::overflow().clone(), first))
    }

    pub(super) fn hash(&self, attributes: &[KeyValue]) -> u64 {
        attributes::hash(&self.hasher, attributes)
    }

    fn shard(&self, hash: u64) -> &Shard {
        // Neither the low bits, which pick a bucket and what a thread remembers, nor the highest,
        // which tell buckets apart.
        &self.shards[(hash >> 32) as usize % SHARDS]
    }

    /// Looks for the series of what the view keeps of these attributes, and adds it if there is room.
    #[cold]
    pub(super) fn find_kept<M: Measure>(&self, hash: u64, given: &[KeyValue], first: M) -> Found {
        let kept = match &self.plan.filter {
            Some(filter) => filter.kept(given),
            None => return self.find(hash, given, first),
        };
        if kept.is_empty() {
            return Found::Exact(Arc::clone(self.bare(first)));
        }
        self.find(self.hash(&kept), &kept, first)
    }

    /// Looks in the map, and adds a new series if there is room.
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
        let cell = match &self.instrument().aggregation {
            Aggregation::Sum { .. } => Cell::Sum(SumCell::default()),
            // A collection between this and the recording must not see a value nobody set.
            Aggregation::LastValue => Cell::LastValue(AtomicU64::new(first.bits())),
            Aggregation::Histogram { bounds } => Cell::Histogram {
                explicit: HistogramCell::new::<M>(Arc::clone(bounds)),
                exponential: OnceLock::new(),
            },
            Aggregation::Exponential(options) => {
                Cell::Exponential(Box::new(ExponentialCell::new::<M>(*options)))
            }
            Aggregation::Both {
                bounds,
                exponential,
            } => Cell::Histogram {
                explicit: HistogramCell::new::<M>(Arc::clone(bounds)),
                exponential: Box::new(ExponentialCell::new::<M>(*exponential)).into(),
            },
        };
        let series = Arc::new(Series::with_cell(attributes, SystemTime::now(), cell));
        self.listing.lock().added.push(Arc::clone(&series));
        series
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
