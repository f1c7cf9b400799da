//! What a process knows of all records without asking: enough to count, to page and to see what is late.
//!
//! The state stream is followed from its beginning, headers only, so that an entry costs some hundred
//! bytes whatever its job returned. What this process writes is entered as soon as it is acknowledged;
//! what others wrote is here once [`Index::reached`] the sequence of a mark set after it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;
use uuid::Uuid;

use super::record::{Brief, Enrolled};
use crate::queue::{JobId, JobState, QueueStats, StateCounts};

/// One change of the state stream.
#[derive(Debug)]
pub(super) enum Observed {
    Unit(Brief),
    Removed,
}

/// A worker, and when this process saw it last.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) enrolled: Enrolled,
    pub(super) revision: u64,
    /// Its last sign of life, as people read it.
    pub(super) at: Timestamp,
    /// The same on a clock nobody sets.
    pub(super) seen: Instant,
}

/// The index. Cheap to ask, never waits.
#[derive(Debug)]
pub(super) struct Index {
    inner: Mutex<Inner>,
    reached: watch::Sender<u64>,
    /// How often the stream was followed anew.
    turns: AtomicU64,
    followed: Mutex<HashMap<JobId, watch::Sender<()>>>,
}

#[derive(Debug, Default)]
struct Inner {
    units: HashMap<JobId, Entry>,
    /// Jobs, parts not among them, by state.
    jobs: [BTreeSet<JobId>; JobState::ALL.len()],
    /// Parts of jobs for all that wait, and what runs.
    waiting_parts: BTreeSet<JobId>,
    running: HashMap<JobId, Instant>,
    finished: BTreeSet<(i64, JobId)>,
    counts: BTreeMap<String, StateCounts>,
    dlq: u64,
    /// Of a job for all: its parts that have not ended.
    open_parts: HashMap<JobId, u32>,
    workers: BTreeMap<String, Seen>,
    staged: HashMap<Uuid, Instant>,
    /// Subjects to be swept, and since when.
    sweep: VecDeque<(Instant, String)>,
}

#[derive(Debug)]
struct Entry {
    revision: u64,
    brief: Brief,
}

fn place(state: JobState) -> usize {
    state as usize
}

impl Default for Index {
    fn default() -> Self {
        Self {
            inner: Mutex::default(),
            reached: watch::Sender::new(0),
            turns: AtomicU64::new(0),
            followed: Mutex::default(),
        }
    }
}

impl Index {
    /// Enters a change of a unit, unless a later one is known.
    pub(super) fn observe(&self, id: JobId, revision: u64, change: Observed) {
        let parent = self.inner.lock().observe(id, revision, change);
        let followed = self.followed.lock();
        for id in std::iter::once(id).chain(parent) {
            if let Some(followed) = followed.get(&id) {
                followed.send_replace(());
            }
        }
    }

    pub(super) fn enrol(&self, seen: Seen) {
        let mut inner = self.inner.lock();
        let known = inner.workers.get(&seen.enrolled.worker);
        if known.is_none_or(|known| known.revision < seen.revision) {
            inner.workers.insert(seen.enrolled.worker.clone(), seen);
        }
    }

    /// A worker had been silent for so long when this sign of life of it arrived, if there is no newer one.
    pub(super) fn was_silent(&self, worker: &str, revision: u64, age: Duration) {
        let mut inner = self.inner.lock();
        let known = inner.workers.get_mut(worker);
        if let Some(known) = known.filter(|known| known.revision == revision) {
            let seen = Instant::now().checked_sub(age);
            known.seen = seen.unwrap_or(known.seen);
        }
    }

    /// A worker's key was removed: `key` is the token of its name.
    pub(super) fn strike(&self, key: &str, revision: u64) {
        let mut inner = self.inner.lock();
        inner.workers.retain(|_, seen| {
            super::names::worker_key(&seen.enrolled.worker) != key || seen.revision > revision
        });
    }

    pub(super) fn stage(&self, id: Uuid) {
        self.inner
            .lock()
            .staged
            .entry(id)
            .or_insert_with(Instant::now);
    }

    pub(super) fn unstage(&self, id: Uuid) {
        self.inner.lock().staged.remove(&id);
    }

    /// To be swept out of the state stream after a while.
    pub(super) fn sweep(&self, subject: String) {
        self.inner.lock().sweep.push_back((Instant::now(), subject));
    }

    /// Everything up to this sequence has been entered.
    pub(super) fn advance(&self, sequence: u64) {
        self.reached.send_if_modified(|reached| {
            let more = sequence > *reached;
            *reached = sequence.max(*reached);
            more
        });
    }

    /// From here on the stream is followed anew.
    pub(super) fn turn(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    /// Changes whenever something was entered, or the stream is followed anew.
    pub(super) fn progress(&self) -> (u64, u64) {
        (*self.reached.borrow(), self.turns.load(Ordering::Relaxed))
    }

    /// Waits until everything up to this sequence has been entered.
    pub(super) async fn reached(&self, sequence: u64) {
        let mut reached = self.reached.subscribe();
        // The sender lives as long as the index.
        let _ = reached.wait_for(|reached| *reached >= sequence).await;
    }

    /// Woken when the unit, or a part of it, changes.
    pub(super) fn follow(&self, id: JobId) -> watch::Receiver<()> {
        let mut followed = self.followed.lock();
        followed.retain(|_, to| to.receiver_count() > 0);
        followed.entry(id).or_default().subscribe()
    }

    pub(super) fn stats(&self) -> QueueStats {
        let inner = self.inner.lock();
        let oldest = inner.jobs[place(JobState::Submitted)].first();
        let created = oldest
            .and_then(|id| inner.units.get(id))
            .and_then(|entry| Timestamp::from_microsecond(entry.brief.created_us).ok());
        QueueStats {
            jobs: inner.total(),
            dlq: inner.dlq,
            oldest_waiting: created.map(|created| {
                Duration::try_from(Timestamp::now().duration_since(created)).unwrap_or_default()
            }),
            operations: inner.counts.clone(),
        }
    }

    /// The revision of a unit that is known.
    pub(super) fn revision(&self, id: JobId) -> Option<u64> {
        let inner = self.inner.lock();
        inner.units.get(&id).map(|entry| entry.revision)
    }

    pub(super) fn counts(&self) -> StateCounts {
        self.inner.lock().total()
    }

    /// Ids of a page of jobs, newest first, and how many there are in all.
    pub(super) fn page(
        &self,
        state: Option<JobState>,
        offset: u64,
        limit: u32,
    ) -> (u64, Vec<JobId>) {
        let inner = self.inner.lock();
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let limit = limit as usize;
        let states = state.map_or_else(|| JobState::ALL.to_vec(), |state| vec![state]);
        let sets: Vec<_> = states
            .iter()
            .map(|state| &inner.jobs[place(*state)])
            .collect();
        let total: usize = sets.iter().map(|set| set.len()).sum();
        if offset >= total {
            return (total as u64, Vec::new());
        }
        // Merges what is sorted already; ids sort by time.
        let mut heads: Vec<_> = sets.iter().map(|set| set.iter().rev().peekable()).collect();
        let mut newest = std::iter::from_fn(|| {
            let latest = heads
                .iter_mut()
                .enumerate()
                .filter_map(|(n, head)| head.peek().map(|id| (**id, n)))
                .max()?;
            heads[latest.1].next().copied()
        });
        if offset > 0 {
            newest.nth(offset - 1);
        }
        (total as u64, newest.take(limit).collect())
    }

    pub(super) fn workers(&self) -> Vec<Seen> {
        self.inner.lock().workers.values().cloned().collect()
    }

    /// What runs on workers that have not been seen for so long, and has run for so long itself.
    pub(super) fn abandoned(&self, silent: Duration) -> Vec<JobId> {
        let inner = self.inner.lock();
        let gone = |worker: Option<&String>| {
            worker
                .and_then(|worker| inner.workers.get(worker))
                .is_none_or(|seen| seen.seen.elapsed() >= silent)
        };
        let running = inner.running.iter();
        running
            .filter(|(id, since)| {
                let entry = inner.units.get(*id);
                since.elapsed() >= silent
                    && entry.is_some_and(|entry| gone(entry.brief.worker.as_ref()))
            })
            .map(|(id, _)| *id)
            .collect()
    }

    /// Units submitted before a time that have not started, oldest first.
    pub(super) fn unstarted(&self, before: Timestamp, most: usize) -> Vec<JobId> {
        let inner = self.inner.lock();
        let before = before.as_microsecond();
        let late = |set: &BTreeSet<JobId>| -> Vec<JobId> {
            set.iter()
                .map_while(|id| inner.units.get(id).map(|entry| (*id, &entry.brief)))
                .take_while(|(_, brief)| brief.created_us < before)
                .filter(|(_, brief)| !brief.all)
                .map(|(id, _)| id)
                .take(most)
                .collect()
        };
        let mut found = late(&inner.jobs[place(JobState::Submitted)]);
        found.extend(late(&inner.waiting_parts));
        found
    }

    /// Jobs that ended before a time, oldest first.
    pub(super) fn ended(&self, before: Timestamp, most: usize) -> Vec<JobId> {
        let inner = self.inner.lock();
        let before = before.as_microsecond();
        let ended = inner.finished.iter().take(most);
        ended
            .take_while(|(finished, _)| *finished < before)
            .map(|(_, id)| *id)
            .collect()
    }

    /// Jobs for all that have not ended although all their parts have.
    pub(super) fn unsettled(&self) -> Vec<JobId> {
        let inner = self.inner.lock();
        let open = inner.open_parts.iter().filter(|(_, open)| **open == 0);
        open.map(|(id, _)| *id)
            .filter(|id| {
                let entry = inner.units.get(id);
                entry.is_some_and(|entry| !entry.brief.state.is_final())
            })
            .collect()
    }

    /// What was staged so long ago that whoever did so is not at it any more.
    pub(super) fn stuck(&self, age: Duration) -> Vec<Uuid> {
        let inner = self.inner.lock();
        let staged = inner.staged.iter();
        staged
            .filter(|(_, since)| since.elapsed() >= age)
            .map(|(id, _)| *id)
            .collect()
    }

    /// Subjects to be swept by now.
    pub(super) fn swept(&self, age: Duration, most: usize) -> Vec<String> {
        let mut inner = self.inner.lock();
        let due = inner.sweep.iter().take(most);
        let due = due.take_while(|(since, _)| since.elapsed() >= age).count();
        inner
            .sweep
            .drain(..due)
            .map(|(_, subject)| subject)
            .collect()
    }
}

impl Inner {
    fn total(&self) -> StateCounts {
        let mut counts = StateCounts::default();
        for state in JobState::ALL {
            *counts.get_mut(state) = self.jobs[place(state)].len() as u64;
        }
        counts
    }

    /// Returns the job the unit is a part of.
    fn observe(&mut self, id: JobId, revision: u64, change: Observed) -> Option<JobId> {
        let known = self.units.get(&id);
        if known.is_some_and(|known| known.revision >= revision) {
            return None;
        }
        if let Some(old) = self.units.remove(&id) {
            self.account(id, &old.brief, false);
        }
        let Observed::Unit(brief) = change else {
            return None;
        };
        let parent = brief.parent;
        self.account(id, &brief, true);
        self.units.insert(id, Entry { revision, brief });
        parent
    }

    /// Adds a unit to everything that is kept by what it is, or takes it off.
    fn account(&mut self, id: JobId, brief: &Brief, add: bool) {
        if brief.state == JobState::Processing {
            if !add {
                self.running.remove(&id);
            } else if !brief.all {
                self.running.insert(id, Instant::now());
            }
        }
        if let Some(parent) = brief.parent {
            set(
                &mut self.waiting_parts,
                id,
                add && brief.state == JobState::Submitted,
            );
            let open = self.open_parts.entry(parent).or_default();
            match (brief.state.is_final(), add) {
                (true, _) => {}
                (false, true) => *open += 1,
                (false, false) => *open = open.saturating_sub(1),
            }
            let job = self.units.get(&parent);
            if *open == 0 && job.is_none_or(|job| job.brief.state.is_final()) {
                self.open_parts.remove(&parent);
            }
            return;
        }
        set(&mut self.jobs[place(brief.state)], id, add);
        if let Some(finished) = brief.finished_us {
            if add {
                self.finished.insert((finished, id));
                self.open_parts.remove(&id);
            } else {
                self.finished.remove(&(finished, id));
            }
        }
        let counts = self.counts.entry(brief.kind.clone()).or_default();
        let count = counts.get_mut(brief.state);
        *count = if add {
            *count + 1
        } else {
            count.saturating_sub(1)
        };
        if !add && counts.total() == 0 {
            self.counts.remove(&brief.kind);
        }
        let dlq = u64::from(brief.dlq);
        self.dlq = if add {
            self.dlq + dlq
        } else {
            self.dlq.saturating_sub(dlq)
        };
    }
}

fn set(set: &mut BTreeSet<JobId>, id: JobId, member: bool) {
    if member {
        set.insert(id);
    } else {
        set.remove(&id);
    }
}
