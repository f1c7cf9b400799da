//! How series end, by expiry or removal, and how an entry whose series ended comes back or is freed.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use opentelemetry::KeyValue;

use super::read::{Listed, Listing};
use super::{Entry, Recorded};
use crate::Attributes;
use crate::cell::{Cell, Taken};
use crate::instrument::Aggregation;
use crate::lookup::{self, Found};
use crate::number::{Measure, NumberKind};
use crate::series::{Series, unix_nanos};
use crate::snapshot::Data;

/// What a collection has to know of time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Occasion {
    /// When this collection began, on the pipeline's clock.
    pub(crate) now: Duration,
    /// Up to when all readers have reported what was recorded, and what was removed.
    pub(crate) read_by_all: Duration,
    pub(crate) heard_by_all: Duration,
    /// How long a series may be idle.
    pub(crate) ttl: Option<Duration>,
}

/// What happened to entries since the last collection. Held when one is created, wakes or ends, for
/// no longer than that.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) woken: Vec<Arc<Entry>>,
    pub(super) dormant: Vec<Arc<Entry>>,
    /// Whether what is listed ended.
    pub(super) ended: bool,
    /// Whether new entries record in exponential buckets too, because a reader wants those.
    pub(super) second: bool,
}

/// A series that was removed, with what it held at the end: one point.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    /// Counts the removals of an instrument, from 1.
    pub(crate) number: u64,
    pub(super) at: Duration,
    pub(crate) series: Arc<Series>,
    pub(crate) data: Data,
}

impl Recorded {
    /// Has a dormant entry begin a series; whether it is awake now, which it always is unless there
    /// is no room for one.
    pub(super) fn wake<M: Measure>(&self, entry: &Arc<Entry>, first: M) -> bool {
        if !entry.is_dormant() {
            return true;
        }
        let exempt = self.is_exempt(entry);
        if !exempt && !self.has_room() {
            return false;
        }
        let mut changes = self.changes.lock();
        if !entry.is_dormant() {
            return true;
        }
        if !exempt && !self.reserve() {
            return false;
        }
        if self.instrument().is_gauge() {
            // A collection between this and the recording must not see that there is no value.
            entry.cell.record(first);
        }
        self.show(&mut changes, entry);
        true
    }

    fn show(&self, changes: &mut Changes, entry: &Arc<Entry>) {
        entry.wake(unix_nanos(SystemTime::now()));
        self.shown.fetch_add(1, Relaxed);
        changes.woken.push(Arc::clone(entry));
    }

    fn hide(&self, changes: &mut Changes, entry: &Arc<Entry>) {
        self.shown.fetch_sub(1, Relaxed);
        if !self.is_exempt(entry) {
            self.counted.fetch_sub(1, Relaxed);
        }
        changes.dormant.push(Arc::clone(entry));
        changes.ended = true;
    }

    /// Whether an entry does not count against the limit.
    pub(super) fn is_exempt(&self, entry: &Arc<Entry>) -> bool {
        let is = |exempt: Option<&Arc<Entry>>| exempt.is_some_and(|e| Arc::ptr_eq(e, entry));
        is(self.bare.get()) || is(self.overflow.get())
    }

    /// Ends the series that have been idle for too long and whose values all readers have seen.
    pub(super) fn expire<M: Measure>(&self, listing: &Listing, occasion: Occasion) {
        let Some(ttl) = occasion.ttl else {
            return;
        };
        // One that is not at zero counts something that is still there, however long.
        let stays = |listed: &Listed| {
            self.instrument().aggregation == (Aggregation::Sum { monotonic: false })
                && listed.fingerprint != 0
        };
        let mut ended = false;
        for listed in &listing.listed {
            let idle = occasion.now.saturating_sub(listed.active) >= ttl
                && listed.active <= occasion.read_by_all;
            if !idle || stays(listed) {
                continue;
            }
            let mut changes = self.changes.lock();
            if listed.entry.expire::<M>(listed.fingerprint) {
                self.hide(&mut changes, &listed.entry);
                ended = true;
            }
        }
        if ended {
            lookup::forget_dormant();
        }
    }

    /// Has the series with these attributes begin at zero, if there is none; whether there is one
    /// now. A gauge has no value to begin with.
    pub(crate) fn declare(&self, attributes: &[KeyValue]) -> bool {
        if self.instrument().is_gauge() {
            return self
                .known(&Attributes::new(attributes))
                .is_some_and(|e| !e.is_dormant());
        }
        let found = match self.instrument().number {
            NumberKind::U64 => self.entry(attributes, u64::ZERO),
            NumberKind::I64 => self.entry(attributes, i64::ZERO),
            NumberKind::F64 => self.entry(attributes, f64::ZERO),
        };
        matches!(found, Found::Exact(_))
    }

    /// Ends the series with these attributes; whether there was one.
    pub(crate) fn remove(&self, attributes: &[KeyValue], clock: impl Fn() -> Duration) -> bool {
        match self.instrument().number {
            NumberKind::U64 => self.remove_of::<u64>(attributes, clock),
            NumberKind::I64 => self.remove_of::<i64>(attributes, clock),
            NumberKind::F64 => self.remove_of::<f64>(attributes, clock),
        }
    }

    fn remove_of<M: Measure>(&self, attributes: &[KeyValue], clock: impl Fn() -> Duration) -> bool {
        let Some(entry) = self.known(attributes) else {
            return false;
        };
        // Collections read under this lock, and so see all of the end or nothing.
        let mut listing = self.listing.lock();
        let mut changes = self.changes.lock();
        let start = entry.start();
        let Some(taken) = entry.end::<M>() else {
            return false;
        };
        self.hide(&mut changes, &entry);
        drop(changes);
        let data = self.point::<M>(&entry.cell, &taken);
        // Under the lock, so that it is later than any collection that does not see the end.
        listing.remember_end(&entry.attributes, start, clock(), data);
        lookup::forget_dormant();
        true
    }

    /// Wakes dormant entries that were recorded into by someone who had seen them awake, and frees
    /// those that nobody holds.
    pub(super) fn look_after_dormant<M: Measure>(&self) {
        let dormant = std::mem::take(&mut self.changes.lock().dormant);
        if dormant.is_empty() {
            return;
        }
        let known = dormant.len();
        let mut kept = Vec::new();
        for entry in dormant {
            if !entry.is_dormant() {
                continue;
            }
            if entry.holds_anything::<M>() {
                self.wake_recorded::<M>(&entry);
            } else if let Some(entry) = self.free::<M>(entry) {
                kept.push(entry);
            }
        }
        if kept.len() < known {
            self.shrink();
        }
        self.changes.lock().dormant.append(&mut kept);
    }

    /// What is in the entry becomes a new series, or goes to the overflow one if there is no room.
    fn wake_recorded<M: Measure>(&self, entry: &Arc<Entry>) {
        let mut changes = self.changes.lock();
        if !entry.is_dormant() {
            return;
        }
        if self.is_exempt(entry) || self.reserve() {
            self.show(&mut changes, entry);
            return;
        }
        changes.dormant.push(Arc::clone(entry));
        drop(changes);
        let taken = entry.cell.take::<M>();
        self.count_overflow();
        let first = match &taken {
            Taken::LastValue(value) => M::from_bits(*value),
            _ => M::ZERO,
        };
        let overflow = self.overflow(first);
        self.wake(overflow, first);
        overflow.cell.put_back::<M>(&taken);
    }

    /// Forgets a dormant entry unless someone else holds it, who might record into it. It is given
    /// back if it has to stay.
    fn free<M: Measure>(&self, entry: Arc<Entry>) -> Option<Arc<Entry>> {
        /// The map, and whoever asks.
        const OURS: usize = 2;
        if self.is_exempt(&entry) || Arc::strong_count(&entry) > OURS {
            return Some(entry);
        }
        let hash = self.hash(&entry.attributes);
        let mut table = self.shard(hash).write();
        // Whoever looks it up from now on waits for the map, so this can no longer grow.
        if Arc::strong_count(&entry) > OURS {
            return Some(entry);
        }
        if let Ok(found) = table.find_entry(hash, |known| Arc::ptr_eq(known, &entry)) {
            found.remove();
        }
        // Synchronizes with whoever let go of it last.
        let entry = Arc::into_inner(entry)?;
        if entry.is_dormant() && !entry.holds_anything::<M>() {
            if let Cell::Sum(sum) = entry.cell {
                self.places.lock().give_back(&sum.into_owned());
            }
            return None;
        }
        // Recorded into by one who let go of it just now.
        let entry = Arc::new(entry);
        table.insert_unique(hash, Arc::clone(&entry), |entry| {
            self.hash(&entry.attributes)
        });
        Some(entry)
    }
}
