//! Accepting jobs.
//!
//! A single job is accepted once its message is in the work stream; its record follows, and if that
//! never happens the worker that gets the message writes it. Several units at once are `batch`'s.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::Core;
use super::names::{idempotency_key, job_key};
use super::record::{Keyed, Unit, digest};
use super::store::{Unwritten, json};
use super::take::TRIES;
use crate::queue::{
    Enqueued, JobId, JobState, NewJob, QueueError, Target, TraceContext, WorkerState,
};

/// Pause between two looks for a job for all whose key is taken.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// A key taken so long ago, for a job for all that is nowhere, is nobody's: no request takes so long, and
/// clocks of hosts do not differ so much.
const NOBODYS_AFTER: SignedDuration = SignedDuration::from_secs(30);

/// One job of a request, and what it turned out to be.
struct Asked {
    unit: Unit,
    digest: Uuid,
    known: Option<Keyed>,
    /// The job of the same request with the same key.
    twin: Option<usize>,
}

impl Core {
    pub(super) async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, QueueError> {
        self.store.link.usable()?;
        let mut asked = sort_out(jobs)?;
        for _ in 0..TRIES {
            self.look_up(&mut asked).await?;
            let _room = self.reserve(asked.iter().filter(|job| job.is_new()).count())?;
            let workers = self.workers_for(&asked).await?;
            if self.take_keys(&asked).await? {
                return self.accept(asked, &workers).await;
            }
        }
        Err(Unwritten::Raced.into())
    }

    /// Finds out which keys are known. Refuses those that stand for other jobs.
    async fn look_up(&self, asked: &mut [Asked]) -> Result<(), QueueError> {
        let looks = asked.iter().map(|job| async {
            let (Some(key), None) = (&job.unit.key, job.twin) else {
                return Ok(None);
            };
            let found = self.store.key(&idempotency_key(key), true).await?;
            let found = found.filter(|found| !found.removed);
            Ok(found.and_then(|found| found.parse::<Keyed>()))
        });
        let looks: Vec<Result<Option<Keyed>, QueueError>> = join_all(looks).await;
        for (job, found) in asked.iter_mut().zip(looks) {
            let found = found?;
            if let Some(found) = &found
                && found.digest != job.digest
            {
                return Err(conflict());
            }
            // One of our own, from the try before, is new still.
            job.known = found.filter(|found| found.id != job.unit.id);
        }
        Ok(())
    }

    /// Keeps room for so many more waiting jobs until they are counted, or refuses.
    fn reserve(&self, more: usize) -> Result<Room<'_>, QueueError> {
        let more = more as u64;
        let reserved = self.reserved.fetch_add(more, Ordering::Relaxed);
        let room = Room(self, more);
        let waiting = self.store.index.counts().waiting() + reserved;
        let limit = self.options.max_waiting;
        if more > 0 && waiting.saturating_add(more) > limit {
            return Err(QueueError::Full { waiting, limit });
        }
        Ok(room)
    }

    /// The workers a job for all goes to, if there is one among these.
    async fn workers_for(&self, asked: &[Asked]) -> Result<Vec<String>, QueueError> {
        let for_all = |job: &Asked| job.is_new() && job.unit.target == Target::All;
        if !asked.iter().any(for_all) {
            return Ok(Vec::new());
        }
        let fleet = self.workers().await?;
        let ready = fleet.into_iter().filter(|w| w.state == WorkerState::Ready);
        let names: Vec<String> = ready.map(|worker| worker.worker).collect();
        if names.is_empty() {
            return Err(QueueError::NoWorkers);
        }
        Ok(names)
    }

    /// Takes the keys of new jobs. `false` if somebody else took one meanwhile.
    async fn take_keys(&self, asked: &[Asked]) -> Result<bool, QueueError> {
        for job in asked.iter().filter(|job| job.is_new()) {
            let Some(key) = &job.unit.key else { continue };
            let key = idempotency_key(key);
            let found = self.store.key(&key, true).await?;
            let expected = match &found {
                Some(found) if !found.removed => {
                    if found
                        .parse::<Keyed>()
                        .is_some_and(|keyed| keyed.id == job.unit.id)
                    {
                        continue;
                    }
                    return Ok(false);
                }
                found => found.as_ref().map_or(0, |found| found.revision),
            };
            let keyed = Keyed {
                id: job.unit.id,
                created_at: job.unit.created_at,
                digest: job.digest,
            };
            let put = self
                .store
                .put_key(&key, &keyed, Some(expected), None::<&()>);
            match put.await {
                Ok(_) => {}
                Err(Unwritten::Raced) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    async fn accept(
        &self,
        asked: Vec<Asked>,
        workers: &[String],
    ) -> Result<Vec<Enqueued>, QueueError> {
        let mut fresh = Vec::new();
        let mut answers: Vec<Enqueued> = Vec::with_capacity(asked.len());
        for job in asked {
            if let Some(twin) = job.twin {
                let first = &answers[twin];
                answers.push(Enqueued {
                    replayed: true,
                    units: 0,
                    ..first.clone()
                });
                continue;
            }
            let mut answer = job.answer();
            if let Some(known) = job.known {
                answer.id = known.id;
                answer.created_at = known.created_at;
                self.complete(job.unit, &known).await?;
            } else {
                let mut unit = job.unit;
                if unit.target == Target::All {
                    let parts: Vec<Unit> = workers.iter().map(|name| unit.part(name)).collect();
                    unit.parts = parts.iter().map(|part| part.id).collect();
                    answer.units = u32::try_from(parts.len()).unwrap_or(u32::MAX);
                    fresh.push(unit);
                    fresh.extend(parts);
                } else {
                    fresh.push(unit);
                }
            }
            answers.push(answer);
        }
        match &fresh[..] {
            [] => {}
            [unit] => self.submit(unit).await?,
            _ => self.submit_all(fresh).await?,
        }
        Ok(answers)
    }

    /// Makes up for what whoever took the key first may not have done.
    async fn complete(&self, mut unit: Unit, known: &Keyed) -> Result<(), QueueError> {
        unit.id = known.id;
        unit.created_at = known.created_at;
        if unit.target == Target::All {
            return self.complete_for_all(&unit).await;
        }
        if self.store.key(&job_key(unit.id), true).await?.is_some() {
            return Ok(());
        }
        self.submit(&unit).await?;
        if !self.is_offered(&unit).await? && self.is_waiting(&unit).await? {
            self.offer_again(&unit).await?;
        }
        Ok(())
    }

    /// A job for all is taken together with its parts, or not at all: there is its record, or what it is
    /// staged in. If there is neither, whoever took the key failed, or has not come to it yet.
    async fn complete_for_all(&self, job: &Unit) -> Result<(), QueueError> {
        let key = job_key(job.id);
        for _ in 0..TRIES {
            if self.store.key(&key, true).await?.is_some() || self.is_staged(job.id).await? {
                return Ok(());
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
        // Its record may have come between the two looks.
        if self.store.key(&key, true).await?.is_some() {
            return Ok(());
        }
        if Timestamp::now().duration_since(job.created_at) >= NOBODYS_AFTER {
            self.free_key(job).await?;
        }
        Err(Unwritten::Raced.into())
    }

    async fn submit(&self, unit: &Unit) -> Result<(), QueueError> {
        if let Err(why) = self.offer(unit).await {
            if matches!(why, Unwritten::Refused(_)) {
                self.let_go(unit).await;
            }
            return Err(why.into());
        }
        match self.store.put(unit, 0).await {
            // A worker was quicker.
            Ok(_) | Err(Unwritten::Raced) => Ok(()),
            // There is room for the one and not for the other: a request that fails changes nothing.
            Err(Unwritten::Refused(error)) => match self.take_back(unit).await {
                Ok(false) => Ok(()),
                // What could not be taken back has its key still: whoever tries again goes on with it.
                Ok(true) | Err(_) => Err(error),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Takes back a unit that has its message and not its record. `false` if it is accepted: somebody else
    /// wrote the record.
    async fn take_back(&self, unit: &Unit) -> Result<bool, QueueError> {
        if self.store.unit(unit.id, true).await?.is_some() {
            return Ok(false);
        }
        if !self.take_out(unit).await {
            return Err(Unwritten::Raced.into());
        }
        match self.store.unit(unit.id, true).await? {
            None => {
                // One that stays is seen by whoever comes with it next.
                let _ = self.free_key(unit).await;
                Ok(true)
            }
            Some((found, _)) => {
                if !found.state.is_final() {
                    // Its message is gone by our doing, and needed if this attempt fails.
                    self.offer_again(unit).await?;
                }
                Ok(false)
            }
        }
    }

    /// Frees the key of a unit that was refused, unless somebody with the same key has gone on with it.
    pub(super) async fn let_go(&self, unit: &Unit) {
        if unit.key.is_some()
            && matches!(self.is_offered(unit).await, Ok(false))
            && matches!(self.store.unit(unit.id, true).await, Ok(None))
        {
            // One that stays is seen by whoever comes with it next.
            let _ = self.free_key(unit).await;
        }
    }

    /// Whether the work stream holds a unit's message. Asked before its record is read: whoever
    /// acknowledges a message has written the record.
    pub(super) async fn is_offered(&self, unit: &Unit) -> Result<bool, QueueError> {
        let Some(subject) = self.work_subject(unit) else {
            return Ok(false);
        };
        let found = self.store.read(&self.store.names.work, &subject, true);
        Ok(found.await?.is_some())
    }

    async fn is_waiting(&self, unit: &Unit) -> Result<bool, QueueError> {
        let found = self.store.unit(unit.id, true).await?;
        Ok(found.is_some_and(|(found, _)| found.state == JobState::Submitted))
    }

    /// Puts a unit's message into the work stream, once.
    pub(super) async fn offer(&self, unit: &Unit) -> Result<(), Unwritten> {
        self.offer_as(unit, unit.id).await
    }

    /// The same for a message that was taken out: for a while the broker takes another of its id for it.
    pub(super) async fn offer_again(&self, unit: &Unit) -> Result<(), Unwritten> {
        self.offer_as(unit, JobId::new()).await
    }

    async fn offer_as(&self, unit: &Unit, id: JobId) -> Result<(), Unwritten> {
        let Some(subject) = self.work_subject(unit) else {
            return Ok(());
        };
        let trace = unit.trace.as_ref();
        let sent = self.store.publish_once(subject, json(unit)?, id, trace);
        sent.await.map(|_| ())
    }

    pub(super) async fn retry(
        &self,
        id: JobId,
        trace_context: Option<TraceContext>,
    ) -> Result<Enqueued, QueueError> {
        let found = self.store.unit(id, true).await?;
        let found = found.filter(|(unit, _)| unit.parent.is_none());
        let Some((mut old, mut revision)) = found else {
            return Err(QueueError::NotFound(format!("job {id}")));
        };
        if !old.state.is_final() {
            let reason = format!("job {id} has not ended: only a job that has can be retried");
            return Err(QueueError::Conflict(reason));
        }
        let job = NewJob {
            operation: old.operation.clone(),
            target: old.target.clone(),
            idempotency_key: None,
            trace_context,
        };
        let mut accepted = self.enqueue(vec![job]).await?;
        let Some(accepted) = accepted.pop() else {
            return Err(QueueError::Fault("nothing was accepted".to_owned()));
        };
        let in_dlq = old.dlq;
        for _ in 0..TRIES {
            old.retried_as(accepted.id);
            match self.store.put(&old, revision).await {
                Err(Unwritten::Raced) => {}
                Ok(_) => break,
                // The new job is accepted; that the old one does not say so is no reason to fail.
                Err(_) => return Ok(accepted),
            }
            match self.store.unit(id, true).await? {
                Some(found) => (old, revision) = found,
                None => break,
            }
        }
        if in_dlq {
            self.exhume(id).await;
        }
        Ok(accepted)
    }
}

impl Asked {
    fn is_new(&self) -> bool {
        self.known.is_none() && self.twin.is_none()
    }

    fn answer(&self) -> Enqueued {
        Enqueued {
            id: self.unit.id,
            created_at: self.unit.created_at,
            replayed: !self.is_new(),
            units: u32::from(self.is_new()),
            operation: self.unit.operation.kind.clone(),
        }
    }
}

/// Room kept for jobs that are not counted yet.
struct Room<'a>(&'a Core, u64);

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.0.reserved.fetch_sub(self.1, Ordering::Relaxed);
    }
}

/// Gives jobs their ids, and finds those of one request that share a key.
fn sort_out(jobs: Vec<NewJob>) -> Result<Vec<Asked>, QueueError> {
    let mut first: HashMap<String, usize> = HashMap::new();
    let mut asked: Vec<Asked> = Vec::with_capacity(jobs.len());
    let now = Timestamp::now();
    for job in jobs {
        let digest = digest(&job.operation, &job.target);
        let mut unit = Unit::new(JobId::new(), job.operation, job.target);
        unit.created_at = now;
        unit.key = job.idempotency_key;
        unit.trace = job.trace_context;
        let twin = match &unit.key {
            Some(key) => first.get(key).copied(),
            None => None,
        };
        if let Some(twin) = twin {
            if asked[twin].digest != digest {
                return Err(conflict());
            }
        } else if let Some(key) = &unit.key {
            first.insert(key.clone(), asked.len());
        }
        asked.push(Asked {
            unit,
            digest,
            known: None,
            twin,
        });
    }
    Ok(asked)
}

fn conflict() -> QueueError {
    QueueError::Conflict("this idempotency key was used for another job".to_owned())
}
