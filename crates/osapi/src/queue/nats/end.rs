//! How attempts, units and jobs end.

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::Core;
use super::names::{Route, idempotency_key, job_key};
use super::record::{Ending, Keyed, Unit};
use super::store::Unwritten;
use super::take::{ACK, Held, TRIES, nak_after};
use crate::queue::{
    Deleted, Finished, JobId, JobState, LeaseToken, Outcome, QueueError, Revoked, Target,
    TimelineKind,
};

/// What a finished attempt makes of its unit.
enum Verdict {
    End(Ending),
    Again(std::time::Duration, String),
}

impl Core {
    pub(super) async fn finish(
        &self,
        token: LeaseToken,
        outcome: Outcome,
    ) -> Result<Finished, QueueError> {
        self.store.link.usable()?;
        let held = self.held.lock().remove(&token);
        let ended = self.end_attempt(token, held.as_ref(), &outcome).await;
        if let (Err(_), Some(held)) = (&ended, held) {
            // It is still ours to end, by whoever tries again.
            self.held.lock().insert(token, held);
        }
        ended
    }

    async fn end_attempt(
        &self,
        token: LeaseToken,
        held: Option<&Held>,
        outcome: &Outcome,
    ) -> Result<Finished, QueueError> {
        let mut unit = match held {
            Some(held) => held.unit.clone(),
            // Taken by another process of ours, or ended already.
            None => match self.store.unit(token.unit, true).await? {
                Some((unit, revision)) if revision == token.serial => unit,
                found => return Ok(Finished::Stale(why_revoked(found.map(|(unit, _)| unit)))),
            },
        };
        let mark = held.map_or_else(rand::random, |held| held.mark);
        unit.by = Some(mark);
        let (finished, message) = match self.judge(&unit, outcome) {
            Verdict::End(ending) => {
                let finished = match ending.state {
                    JobState::Completed => Finished::Completed,
                    _ => Finished::Failed,
                };
                unit.end(ending);
                (finished, ACK.to_owned())
            }
            Verdict::Again(delay, error) => {
                let due = SignedDuration::try_from(delay).unwrap_or(SignedDuration::MAX);
                let due = Timestamp::now().checked_add(due).unwrap_or(Timestamp::MAX);
                unit.put_back(TimelineKind::Retrying, due, error);
                (Finished::Retrying(delay), nak_after(delay))
            }
        };
        match self.store.put(&unit, token.serial).await {
            Ok(_) => {}
            Err(Unwritten::Raced) => {
                let found = self.store.unit(token.unit, true).await?;
                let found = found.map(|(unit, _)| unit);
                // An earlier try arrived after all, though its answer did not.
                if found.as_ref().and_then(|unit| unit.by) != Some(mark) {
                    return Ok(Finished::Stale(why_revoked(found)));
                }
            }
            Err(error) => return Err(error.into()),
        }
        match held {
            Some(held) => self.store.tell(&held.reply, message).await,
            None if unit.state.is_final() => {
                self.take_out(&unit).await;
            }
            None => {}
        }
        if unit.state.is_final() {
            self.after_end(&unit).await;
        }
        Ok(finished)
    }

    fn judge(&self, unit: &Unit, outcome: &Outcome) -> Verdict {
        match outcome {
            Outcome::Completed(result) => Verdict::End(Ending::completed(Some(result.clone()))),
            Outcome::Failed {
                error,
                result,
                permanent,
            } if *permanent || unit.attempts >= self.options.max_attempts => {
                Verdict::End(Ending::failed(error.clone(), result.clone()))
            }
            Outcome::Failed { error, .. } => {
                Verdict::Again(self.options.retry.jittered(unit.attempts), error.clone())
            }
        }
    }

    /// What follows a unit's end: its place in the dead-letter queue, or its job's end.
    pub(super) async fn after_end(&self, unit: &Unit) {
        self.bury(unit).await;
        if let Some(parent) = unit.parent {
            // What is left undone here, the housekeeping does.
            let _ = self.settle(parent).await;
        }
    }

    /// Puts a failed job into the dead-letter stream, if it is not there.
    pub(super) async fn bury(&self, unit: &Unit) {
        if !unit.dlq {
            return;
        }
        let letter = json!({
            "id": unit.id, "operation": unit.operation, "target_hostname": unit.target,
            "attempts": unit.attempts, "error": unit.error, "created_at": unit.created_at,
        });
        let subject = self.store.names.dlq_of(unit.id);
        let letter = letter.to_string().into_bytes();
        let trace = unit.trace.as_ref();
        let sent = self.store.publish_once(subject, letter, unit.id, trace);
        if let Err(why) = sent.await {
            let error = QueueError::from(why);
            tracing::warn!(job = %unit.id, %error, "a failed job has no copy in the dead-letter stream");
        }
    }

    /// The subject of a unit's message; a job for all has none.
    pub(super) fn work_subject(&self, unit: &Unit) -> Option<String> {
        let route = match (unit.parent, &unit.target) {
            (Some(_), Target::Host(worker)) => Route::worker(worker),
            _ => Route::of(&unit.target)?,
        };
        Some(self.store.names.work_of(&route, unit.id))
    }

    /// Takes the message of a unit out of the work stream. `false` if it may be there still: then it is
    /// taken out by the worker that gets it.
    pub(super) async fn take_out(&self, unit: &Unit) -> bool {
        match self.work_subject(unit) {
            Some(subject) => {
                let purged = self.store.purge(&self.store.names.work, subject).await;
                purged.is_ok()
            }
            None => true,
        }
    }

    /// The parts of a job for all.
    pub(super) async fn parts(&self, job: &Unit, fresh: bool) -> Result<Vec<Unit>, QueueError> {
        let parts = job.parts.iter().map(|id| self.store.unit(*id, fresh));
        let parts: Result<Vec<_>, _> = join_all(parts).await.into_iter().collect();
        Ok(parts?.into_iter().flatten().map(|(unit, _)| unit).collect())
    }

    /// Ends a job for all whose parts have all ended.
    pub(super) async fn settle(&self, id: JobId) -> Result<(), QueueError> {
        for _ in 0..TRIES {
            let Some((mut job, revision)) = self.store.unit(id, true).await? else {
                return Ok(());
            };
            if job.state.is_final() {
                return Ok(());
            }
            let parts = self.parts(&job, true).await?;
            if parts.len() < job.parts.len() {
                return Ok(());
            }
            let Some(ending) = Unit::settlement(&parts) else {
                return Ok(());
            };
            job.end(ending);
            match self.store.put(&job, revision).await {
                Ok(_) => {
                    self.bury(&job).await;
                    return Ok(());
                }
                Err(Unwritten::Raced) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Unwritten::Raced.into())
    }

    pub(super) async fn give_back(&self, tokens: Vec<LeaseToken>) -> Result<(), QueueError> {
        let given = tokens.iter().map(|token| self.give_back_one(*token));
        join_all(given).await.into_iter().collect()
    }

    async fn give_back_one(&self, token: LeaseToken) -> Result<(), QueueError> {
        let held = self.held.lock().remove(&token);
        let mut unit = match &held {
            Some(held) => held.unit.clone(),
            None => match self.store.unit(token.unit, true).await? {
                Some((unit, revision)) if revision == token.serial => unit,
                _ => return Ok(()),
            },
        };
        unit.give_back();
        match self.store.put(&unit, token.serial).await {
            Ok(_) => {
                if let Some(held) = held {
                    self.store
                        .tell(&held.reply, super::pulls::NAK.to_owned())
                        .await;
                }
                Ok(())
            }
            Err(Unwritten::Raced) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn delete(&self, id: JobId) -> Result<Deleted, QueueError> {
        for _ in 0..TRIES {
            let found = self.store.unit(id, true).await?;
            let found = found.filter(|(unit, _)| unit.parent.is_none());
            let Some((mut job, revision)) = found else {
                return Err(QueueError::NotFound(format!("job {id}")));
            };
            if job.state.is_final() {
                match self.remove(&job, revision).await {
                    Ok(()) => return Ok(Deleted::Removed),
                    Err(Unwritten::Raced) => continue,
                    Err(error) => return Err(error.into()),
                }
            }
            let operation = job.operation.kind.clone();
            job.end(Ending::cancelled());
            match self.store.put(&job, revision).await {
                Ok(_) => {}
                Err(Unwritten::Raced) => continue,
                Err(error) => return Err(error.into()),
            }
            // The job first: with it ended, its parts don't settle it.
            let parts = join_all(job.parts.iter().map(|part| self.cancel_part(*part))).await;
            let cancelled = parts.iter().filter(|cancelled| **cancelled).count();
            self.take_out(&job).await;
            return Ok(Deleted::Cancelled {
                operation,
                units: u32::try_from(cancelled.max(1)).unwrap_or(u32::MAX),
            });
        }
        Err(Unwritten::Raced.into())
    }

    async fn cancel_part(&self, id: JobId) -> bool {
        for _ in 0..TRIES {
            let Ok(Some((mut part, revision))) = self.store.unit(id, true).await else {
                return false;
            };
            if part.state.is_final() {
                return false;
            }
            part.end(Ending::cancelled());
            match self.store.put(&part, revision).await {
                Ok(_) => {
                    self.take_out(&part).await;
                    return true;
                }
                Err(Unwritten::Raced) => {}
                Err(_) => return false,
            }
        }
        false
    }

    /// Removes a job that has ended, with its parts and its key.
    pub(super) async fn remove(&self, job: &Unit, revision: u64) -> Result<(), Unwritten> {
        self.remove_unit(job.id, revision).await?;
        for part in &job.parts {
            if let Ok(Some((_, revision))) = self.store.unit(*part, true).await {
                self.remove_unit(*part, revision).await?;
            }
        }
        self.free_key(job).await?;
        if job.dlq {
            self.exhume(job.id).await;
        }
        Ok(())
    }

    /// Frees the idempotency key of a job, if it stands for this one.
    pub(super) async fn free_key(&self, job: &Unit) -> Result<(), Unwritten> {
        let Some(key) = &job.key else { return Ok(()) };
        let key = idempotency_key(key);
        if let Ok(Some(found)) = self.store.key(&key, true).await
            && !found.removed
            && found
                .parse::<Keyed>()
                .is_some_and(|keyed| keyed.id == job.id)
        {
            match self.store.remove(&key, found.revision).await {
                // Whoever was first freed it, too.
                Ok(_) | Err(Unwritten::Raced) => {}
                Err(error) => return Err(error),
            }
            self.store.index.sweep(self.store.names.state_of(&key));
        }
        Ok(())
    }

    async fn remove_unit(&self, id: JobId, revision: u64) -> Result<(), Unwritten> {
        let removed = self.store.remove(&job_key(id), revision).await?;
        let index = &self.store.index;
        index.observe(id, removed, super::index::Observed::Removed);
        index.sweep(self.store.names.state_of(&job_key(id)));
        Ok(())
    }

    /// Takes a job out of the dead-letter stream.
    pub(super) async fn exhume(&self, id: JobId) {
        let subject = self.store.names.dlq_of(id);
        // One that stays is forgotten with `queue.retention`.
        let _ = self.store.purge(&self.store.names.dlq, subject).await;
    }
}

/// Why an attempt at a unit is no longer its holder's.
pub(super) fn why_revoked(unit: Option<Unit>) -> Revoked {
    match unit {
        Some(unit) if unit.state == JobState::Cancelled => Revoked::Cancelled,
        _ => Revoked::Lost,
    }
}
