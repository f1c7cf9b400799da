//! The registry of workers, and the leases they keep.

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use std::time::Instant;
use uuid::Uuid;

use super::Core;
use super::end::why_revoked;
use super::index::Seen;
use super::names::{FENCE, worker_key};
use super::record::Enrolled;
use super::store::{Found, Unwritten};
use super::take::{IN_PROGRESS, TRIES};
use crate::queue::{
    Beat, BeatReply, LeaseToken, QueueError, Registration, Revoked, WorkerInfo, WorkerState,
};

impl Core {
    pub(super) async fn register(&self, registration: Registration) -> Result<(), QueueError> {
        self.store.link.usable()?;
        let key = worker_key(&registration.worker);
        let enrolled = Enrolled {
            worker: registration.worker,
            instance: registration.instance,
            hostname: registration.hostname,
            labels: registration.labels,
            slots: registration.slots,
            active: 0,
            processed: 0,
            draining: false,
            started_at: Timestamp::now(),
        };
        for _ in 0..TRIES {
            let found = self.store.key(&key, true).await?;
            if let Some(found) = &found {
                self.refuse_namesake(found, &enrolled).await?;
            }
            let expected = found.map_or(0, |found| found.revision);
            match self.enrol(&key, &enrolled, expected).await {
                Ok(()) => return Ok(()),
                Err(Unwritten::Raced) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Unwritten::Raced.into())
    }

    /// A worker of the same name that lives on another host keeps its name. On the same host it is
    /// this worker's earlier life: two at a time are kept apart there by a lock.
    async fn refuse_namesake(&self, found: &Found, new: &Enrolled) -> Result<(), QueueError> {
        let other = found.brief.as_deref().filter(|_| !found.removed);
        let other = other.and_then(|brief| serde_json::from_str::<Enrolled>(brief).ok());
        let Some(other) = other.filter(|other| other.hostname != new.hostname) else {
            return Ok(());
        };
        // Both times are the broker's: hosts need not agree on theirs.
        let mark = self.mark().await?;
        let now = self.store.key(FENCE, true).await?;
        let now = now.filter(|now| now.revision >= mark);
        let silent = now.map(|now| now.stored_at.duration_since(found.stored_at));
        let lease = SignedDuration::try_from(self.options.lease).unwrap_or(SignedDuration::MAX);
        if silent.is_some_and(|silent| silent < lease) {
            return Err(QueueError::Conflict(format!(
                "a worker named {:?} runs on host {:?}: give this one another worker.name",
                new.worker, other.hostname
            )));
        }
        Ok(())
    }

    async fn enrol(&self, key: &str, enrolled: &Enrolled, expected: u64) -> Result<(), Unwritten> {
        let put = self.store.put_key(key, &(), Some(expected), Some(enrolled));
        let revision = put.await?;
        self.store.index.enrol(Seen {
            enrolled: enrolled.clone(),
            revision,
            at: Timestamp::now(),
            seen: Instant::now(),
        });
        let mut local = self.draining.lock();
        local.insert(enrolled.worker.clone(), enrolled.draining);
        Ok(())
    }

    async fn enrolled(&self, worker: &str) -> Result<(Enrolled, u64), QueueError> {
        let found = self.store.key(&worker_key(worker), true).await?;
        let found = found.filter(|found| !found.removed);
        let parsed = found.and_then(|found| {
            let enrolled = serde_json::from_str(found.brief.as_deref()?).ok()?;
            Some((enrolled, found.revision))
        });
        parsed.ok_or_else(|| QueueError::NotFound(format!("worker {worker:?}")))
    }

    /// Whether a worker is to take no work, as last heard.
    pub(super) async fn is_draining(&self, worker: &str) -> Result<bool, QueueError> {
        if let Some(draining) = self.draining.lock().get(worker) {
            return Ok(*draining);
        }
        let (enrolled, _) = self.enrolled(worker).await?;
        let mut local = self.draining.lock();
        local.insert(worker.to_owned(), enrolled.draining);
        Ok(enrolled.draining)
    }

    pub(super) async fn beat(&self, beat: Beat) -> Result<BeatReply, QueueError> {
        self.store.link.usable()?;
        // The leases first: they are what must not be late.
        let kept = join_all(beat.leases.iter().map(|token| self.keep(*token))).await;
        let kept: Result<Vec<_>, _> = kept.into_iter().collect();
        let revoked = kept?.into_iter().flatten().collect();
        for _ in 0..TRIES {
            let (mut enrolled, revision) = match self.enrolled(&beat.worker).await {
                Err(QueueError::NotFound(what)) => {
                    self.draining.lock().remove(&beat.worker);
                    return Err(QueueError::NotFound(what));
                }
                other => other?,
            };
            if enrolled.instance != beat.instance {
                return Ok(BeatReply {
                    draining: enrolled.draining,
                    replaced: true,
                    revoked,
                });
            }
            enrolled.active = u32::try_from(beat.leases.len()).unwrap_or(u32::MAX);
            enrolled.processed = beat.processed;
            match self
                .enrol(&worker_key(&beat.worker), &enrolled, revision)
                .await
            {
                Ok(()) => {
                    return Ok(BeatReply {
                        draining: enrolled.draining,
                        replaced: false,
                        revoked,
                    });
                }
                Err(Unwritten::Raced) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Unwritten::Raced.into())
    }

    /// Extends a lease, or says why it cannot be.
    async fn keep(&self, token: LeaseToken) -> Result<Option<(LeaseToken, Revoked)>, QueueError> {
        let reply = self.held.lock().get(&token).map(|held| held.reply.clone());
        if let Some(reply) = reply {
            self.store.tell(&reply, IN_PROGRESS.to_owned()).await;
        }
        // An old copy may still show the revision that was replaced; the next beat sees the new one.
        match self.store.unit(token.unit, false).await? {
            Some((_, revision)) if revision <= token.serial => Ok(None),
            found => {
                if self.held.lock().remove(&token).is_none() {
                    // It was finished while this looked.
                    return Ok(None);
                }
                Ok(Some((token, why_revoked(found.map(|(unit, _)| unit)))))
            }
        }
    }

    pub(super) async fn deregister(&self, worker: &str, instance: Uuid) -> Result<(), QueueError> {
        for _ in 0..TRIES {
            let (enrolled, revision) = match self.enrolled(worker).await {
                Err(QueueError::NotFound(_)) => return Ok(()),
                other => other?,
            };
            if enrolled.instance != instance {
                return Ok(());
            }
            let key = worker_key(worker);
            match self.store.remove(&key, revision).await {
                Ok(removed) => {
                    self.store.index.strike(&key, removed);
                    self.store.index.sweep(self.store.names.state_of(&key));
                    self.draining.lock().remove(worker);
                    return Ok(());
                }
                Err(Unwritten::Raced) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Unwritten::Raced.into())
    }

    pub(super) async fn set_draining(
        &self,
        worker: &str,
        draining: bool,
    ) -> Result<(), QueueError> {
        for _ in 0..TRIES {
            let (mut enrolled, revision) = self.enrolled(worker).await?;
            enrolled.draining = draining;
            match self.enrol(&worker_key(worker), &enrolled, revision).await {
                Ok(()) => return Ok(()),
                Err(Unwritten::Raced) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Unwritten::Raced.into())
    }

    pub(super) async fn workers(&self) -> Result<Vec<WorkerInfo>, QueueError> {
        self.catch_up().await?;
        let fleet = self.store.index.workers().into_iter();
        Ok(fleet
            .map(|seen| {
                let lost = seen.seen.elapsed() >= self.options.lease;
                let worker = seen.enrolled;
                WorkerInfo {
                    state: match (lost, worker.draining) {
                        (true, _) => WorkerState::Lost,
                        (false, true) => WorkerState::Draining,
                        (false, false) => WorkerState::Ready,
                    },
                    worker: worker.worker,
                    hostname: worker.hostname,
                    labels: worker.labels,
                    slots: worker.slots,
                    active: worker.active,
                    processed: worker.processed,
                    started_at: worker.started_at,
                    last_heartbeat: seen.at,
                }
            })
            .collect())
    }
}
