//! From attributes to their entry: found in sharded maps, or created if there is room.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use crossbeam_utils::CachePadded;
use hashbrown::HashTable;
use opentelemetry::KeyValue;
use parking_lot::RwLock;

use super::second::add_exponential;
use super::{Entry, Recorded};
use crate::attributes::{self, Attributes};
use crate::cell::{Cell, ExponentialCell, HistogramCell, SumCell};
use crate::instrument::Aggregation;
use crate::lookup::Found;
use crate::number::Measure;
use crate::series::unix_nanos;
use crate::sync::atomic::AtomicU64;

/// Enough that threads which all miss what they remember seldom meet.
const SHARDS: usize = 8;

/// A map with room for this many entries is never made smaller.
const SMALL: usize = 64;

type Shard = CachePadded<RwLock<HashTable<Arc<Entry>>>>;

/// The entries by the hash of their attributes.
pub(super) type Shards = [Shard; SHARDS];

impl Recorded {
    #[inline]
    pub(super) fn bare<M: Measure>(&self, first: M) -> &Arc<Entry> {
        self.bare
            .get_or_init(|| self.create(Attributes::default(), first))
    }

    pub(super) fn overflow<M: Measure>(&self, first: M) -> &Arc<Entry> {
        self.overflow
            .get_or_init(|| self.create(Attributes::overflow().clone(), first))
    }

    pub(super) fn hash(&self, attributes: &[KeyValue]) -> u64 {
        attributes::hash(&self.hasher, attributes)
    }

    pub(super) fn shard(&self, hash: u64) -> &Shard {
        // Neither the low bits, which pick a bucket and what a thread remembers, nor the highest,
        // which tell buckets apart.
        &self.shards[(hash >> 32) as usize % SHARDS]
    }

    /// Looks for the entry of what the view keeps of these attributes, and adds it if there is room.
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

    /// Looks in the map, and adds a new entry if there is room.
    fn find<M: Measure>(&self, hash: u64, attributes: &[KeyValue], first: M) -> Found {
        if let Some(entry) = known(&self.shard(hash).read(), hash, attributes) {
            return Found::Exact(entry);
        }
        if attributes::has_duplicates(attributes) {
            let canonical = Attributes::new(attributes);
            return self.find(self.hash(&canonical), &canonical, first);
        }
        // Before the write lock: whoever makes up attributes keeps no one else waiting.
        if !self.has_room() || Attributes::overflow().matches(attributes) {
            return Found::Overflow(Arc::clone(self.overflow(first)));
        }
        let mut table = self.shard(hash).write();
        if let Some(entry) = known(&table, hash, attributes) {
            return Found::Exact(entry);
        }
        if !self.reserve() {
            drop(table);
            return Found::Overflow(Arc::clone(self.overflow(first)));
        }
        let entry = self.create(Attributes::new(attributes), first);
        table.insert_unique(hash, Arc::clone(&entry), |entry| {
            self.hash(&entry.attributes)
        });
        Found::Exact(entry)
    }

    /// The entry of what the view keeps of these attributes, if there is one.
    pub(super) fn known(&self, given: &[KeyValue]) -> Option<Arc<Entry>> {
        let attributes = match &self.plan.filter {
            Some(filter) => Attributes::new(&filter.kept(given)),
            None => Attributes::new(given),
        };
        if attributes.is_empty() {
            return self.bare.get().cloned();
        }
        if attributes == *Attributes::overflow() {
            return self.overflow.get().cloned();
        }
        let hash = self.hash(&attributes);
        known(&self.shard(hash).read(), hash, &attributes)
    }

    /// Takes one of the places under the cardinality limit, if there is one left.
    pub(super) fn reserve(&self) -> bool {
        let taken = |counted| (counted < self.limit).then_some(counted + 1);
        self.counted.fetch_update(Relaxed, Relaxed, taken).is_ok()
    }

    fn create<M: Measure>(&self, attributes: Attributes, first: M) -> Arc<Entry> {
        let cell = match &self.instrument().aggregation {
            Aggregation::Sum { .. } => Cell::Sum(SumCell::new(self.places.lock().take())),
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
        let start = unix_nanos(SystemTime::now());
        let entry = Arc::new(Entry::new(attributes, cell, start));
        self.shown.fetch_add(1, Relaxed);
        let mut changes = self.changes.lock();
        if changes.second {
            add_exponential::<M>(&entry);
        }
        changes.woken.push(Arc::clone(&entry));
        drop(changes);
        entry
    }

    /// Gives back memory of maps that hold far less than they did.
    pub(super) fn shrink(&self) {
        for shard in &self.shards {
            let mut table = shard.write();
            let len = table.len();
            if table.capacity() > SMALL.max(4 * len) {
                table.shrink_to(2 * len, |entry| self.hash(&entry.attributes));
            }
        }
    }
}

fn known(table: &HashTable<Arc<Entry>>, hash: u64, attributes: &[KeyValue]) -> Option<Arc<Entry>> {
    table
        .find(hash, |entry| entry.attributes.matches(attributes))
        .map(Arc::clone)
}
