//! What time brings: workers that vanished, jobs that waited too long, records kept long enough, and
//! whatever a process that died has left half done.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use tracing::warn;

use super::Core;
use super::index::Observed;
use super::names::{job_key, worker_key};
use super::record::{Ending, Unit};
use super::store::Unwritten;
use crate::queue::{JobId, JobState, Maintenance, QueueError, TimelineKind};

/// Records one round touches at most.
const ROUND: usize = 500;

/// After a longer pause between two rounds than this, what was silent meanwhile may have been us.
const STEADY: Duration = Duration::from_secs(3);

/// How long a lost worker is remembered.
const LOST_FOR: Duration = Duration::from_secs(3600);

/// How long the marks of removed keys are kept for those who follow.
const MARKS_FOR: Duration = Duration::from_secs(600);

/// A batch whose sender has not finished with it in this time is finished by whoever finds it.
const STUCK_AFTER: Duration = Duration::from_secs(5);

/// When rounds succeeded.
#[derive(Debug)]
pub(super) struct Rounds {
    /// Since when one came soon after the other.
    steady_since: Instant,
    last: Instant,
}

impl Default for Rounds {
    fn default() -> Self {
        Self {
            steady_since: Instant::now(),
            last: Instant::now(),
        }
    }
}

impl Core {
    pub(super) async fn maintain(&self) -> Result<Maintenance, QueueError> {
        let mut done = Maintenance {
            // What this process took over itself.
            rescued: std::mem::take(&mut *self.rescued.lock()),
            ..Maintenance::default()
        };
        if self.follows() {
            if let Err(error) = self.round(&mut done).await {
                // What was done is told next time.
                self.rescued.lock().append(&mut done.rescued);
                return Err(error);
            }
            done.rescued.append(&mut self.rescued.lock());
        }
        Ok(done)
    }

    async fn round(&self, done: &mut Maintenance) -> Result<(), QueueError> {
        self.catch_up().await?;
        if self.is_steady() {
            self.rescue().await;
        }
        // Before whatever needs room, and whether that finds any or not: this makes some.
        done.removed = self.expire().await;
        done.start_timeouts = self.start_timeouts().await;
        let mut trouble = Ok(());
        for id in self.store.index.unsettled() {
            trouble = trouble.and(self.settle(id).await);
        }
        for id in self.store.index.stuck(STUCK_AFTER) {
            trouble = trouble.and(self.complete_staged(id).await);
        }
        self.take_given_up().await;
        self.forget_workers().await;
        self.sweep().await;
        trouble
    }

    /// Whether this process has watched closely for the length of a lease. Otherwise a worker's
    /// silence may have been our own deafness.
    fn is_steady(&self) -> bool {
        let mut rounds = self.rounds.lock();
        if rounds.last.elapsed() > STEADY {
            rounds.steady_since = Instant::now();
        }
        rounds.last = Instant::now();
        rounds.steady_since.elapsed() >= self.options.lease
    }

    /// Takes back what vanished workers held. The broker hands it out again by itself when the lease
    /// ends; this lets the record say so.
    async fn rescue(&self) {
        let abandoned = self.store.index.abandoned(self.options.lease);
        join_all(abandoned.into_iter().map(|id| self.rescue_one(id))).await;
    }

    async fn rescue_one(&self, id: JobId) {
        let Ok(Some((mut unit, revision))) = self.store.unit(id, true).await else {
            return;
        };
        if unit.state != JobState::Processing {
            return;
        }
        if unit.attempts >= self.options.max_attempts {
            if let Ok(true) = self.give_up_lost(unit.clone(), revision).await {
                self.take_out(&unit).await;
            }
            return;
        }
        unit.put_back(TimelineKind::Rescued, Timestamp::now(), unit.vanished());
        if self.store.put(&unit, revision).await.is_ok() {
            self.note_rescued(&unit, false);
        }
    }

    async fn start_timeouts(&self) -> Vec<String> {
        let Some(timeout) = self.options.start_timeout else {
            return Vec::new();
        };
        let before = earlier(timeout);
        let late = self.store.index.unstarted(before, ROUND).into_iter();
        let failed = join_all(late.map(|id| self.fail_unstarted(id, timeout))).await;
        failed.into_iter().flatten().collect()
    }

    async fn fail_unstarted(&self, id: JobId, timeout: Duration) -> Option<String> {
        let (mut unit, revision) = self.store.unit(id, true).await.ok()??;
        if unit.state != JobState::Submitted {
            return None;
        }
        let timeout = humantime::format_duration(timeout);
        unit.end(Ending::failed(
            format!("did not start within {timeout}"),
            None,
        ));
        self.store.put(&unit, revision).await.ok()?;
        self.take_out(&unit).await;
        self.after_end(&unit).await;
        Some(unit.operation.kind)
    }

    /// Fails what the broker gave up delivering: no worker could even record that it began.
    async fn take_given_up(&self) {
        let advisories = &self.store.names.advisories;
        let Ok(mut stream) = self.store.jetstream.get_stream(advisories).await else {
            return;
        };
        let Ok(info) = stream.info().await else {
            return;
        };
        let (first, last) = (info.state.first_sequence, info.state.last_sequence);
        if info.state.messages == 0 {
            return;
        }
        for sequence in (first..=last).take(ROUND) {
            let Ok(message) = stream.get_raw_message(sequence).await else {
                continue;
            };
            let told: serde_json::Value =
                serde_json::from_slice(&message.payload).unwrap_or_default();
            if let Some(place) = told["stream_seq"].as_u64()
                && self.fail_given_up(place).await.is_err()
            {
                return;
            }
            let _ = stream.delete_message(sequence).await;
        }
    }

    async fn fail_given_up(&self, place: u64) -> Result<(), QueueError> {
        let work = self
            .store
            .jetstream
            .get_stream_no_info(&self.store.names.work)
            .await;
        let Ok(work) = work else { return Ok(()) };
        let Ok(message) = work.get_raw_message(place).await else {
            return Ok(());
        };
        if let Ok(submitted) = serde_json::from_slice::<Unit>(&message.payload) {
            let found = self.store.unit(submitted.id, true).await?;
            let (mut unit, revision) = found.unwrap_or((submitted, 0));
            if !unit.state.is_final() {
                warn!(job = %unit.id, "the broker gave up delivering a unit");
                let error = "delivered too often without ever being begun".to_owned();
                unit.end(Ending::failed(error, None));
                match self.store.put(&unit, revision).await {
                    Ok(_) => self.after_end(&unit).await,
                    Err(Unwritten::Raced) => return Ok(()),
                    Err(error) => return Err(error.into()),
                }
            }
        }
        let _ = work.delete_message(place).await;
        Ok(())
    }

    /// Removes jobs that were kept long enough.
    async fn expire(&self) -> u64 {
        let before = earlier(self.options.retention);
        let mut removed = 0;
        for _ in 0..20 {
            let ended = self.store.index.ended(before, ROUND);
            let found = ended.len();
            let gone = join_all(ended.into_iter().map(|id| self.expire_one(id))).await;
            let gone = gone.into_iter().filter(|gone| *gone).count();
            removed += gone as u64;
            if found < ROUND || gone == 0 {
                break;
            }
        }
        removed
    }

    async fn expire_one(&self, id: JobId) -> bool {
        let index = &self.store.index;
        let known = index.revision(id);
        let Ok(found) = self.store.key(&job_key(id), true).await else {
            return false;
        };
        let Some(found) = found.filter(|found| !found.removed) else {
            // Removed without a mark, for which there was no room: nobody else tells.
            if let Some(known) = known {
                index.observe(id, known + 1, Observed::Removed);
            }
            return true;
        };
        match found.parse::<Unit>() {
            Some(unit) if unit.state.is_final() => self.remove(&unit, found.revision).await.is_ok(),
            _ => false,
        }
    }

    async fn forget_workers(&self) {
        let index = &self.store.index;
        for seen in index.workers() {
            if seen.seen.elapsed() < self.options.lease + LOST_FOR {
                continue;
            }
            let key = worker_key(&seen.enrolled.worker);
            if let Ok(removed) = self.store.remove(&key, seen.revision).await {
                index.strike(&key, removed);
                index.sweep(self.store.names.state_of(&key));
            }
        }
    }

    /// Takes the marks of removed keys out of the state stream.
    async fn sweep(&self) {
        let names = &self.store.names;
        for subject in self.store.index.swept(MARKS_FOR, ROUND) {
            let found = self.store.read(&names.state, &subject, true).await;
            let chunk = names
                .key_in(&subject)
                .is_some_and(|key| key.starts_with("chunk."));
            // The key may have been taken again since.
            if let Ok(Some(found)) = found
                && (found.removed || chunk)
            {
                let _ = self.store.purge(&names.state, subject).await;
            }
        }
    }
}

fn earlier(by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    Timestamp::now().checked_sub(by).unwrap_or(Timestamp::MIN)
}
