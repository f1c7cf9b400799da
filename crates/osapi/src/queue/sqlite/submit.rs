//! Accepting jobs, and making new ones of old ones.

use std::collections::HashMap;
use std::time::Duration;

use rusqlite::params;

use super::clock::{millis, timestamp};
use super::state::{self, SUBMITTED, is_final};
use super::tx::Tx;
use super::writer::Refusal;
use crate::queue::{
    Enqueued, JobId, NewJob, Operation, QueueError, Target, TimelineKind, TraceContext,
};

/// A job whose key is already in use.
struct Keyed {
    id: JobId,
    created_us: i64,
    same: bool,
}

impl Tx<'_> {
    pub(super) fn enqueue(&mut self, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Refusal> {
        let known = self.known_keys(jobs)?;
        let fresh = jobs
            .iter()
            .zip(&known)
            .filter(|(_, known)| known.is_none())
            .count() as u64;
        self.refuse_overflow(fresh)?;
        let workers = if jobs
            .iter()
            .zip(&known)
            .any(|(job, known)| known.is_none() && job.target == Target::All)
        {
            self.ready_workers()?
        } else {
            Vec::new()
        };
        let mut first_of_key: HashMap<&str, JobId> = HashMap::new();
        let mut answers = Vec::with_capacity(jobs.len());
        for (job, known) in jobs.iter().zip(known) {
            let key = job.idempotency_key.as_deref();
            let kind = &job.operation.kind;
            let twin = key.and_then(|key| first_of_key.get(key));
            if let Some(known) = known {
                answers.push(replay(known.id, known.created_us, kind.clone()));
            } else if let Some(twin) = twin {
                answers.push(replay(*twin, self.now.wall_us, kind.clone()));
            } else {
                let accepted = self.insert(job, key, &workers)?;
                first_of_key.extend(key.map(|key| (key, accepted.id)));
                answers.push(accepted);
            }
        }
        Ok(answers)
    }

    pub(super) fn retry(
        &mut self,
        id: JobId,
        trace_context: Option<TraceContext>,
    ) -> Result<Enqueued, Refusal> {
        let found = self.find(
            "SELECT seq, state, dlq, operation, data, target FROM jobs WHERE id = ?1 AND parent = 0",
            params![id.0],
            |row| {
                let target: String = row.get(5)?;
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, bool>(2)?, read_operation(row.get(3)?, row.get_ref(4)?.as_str()?), target))
            },
        )?;
        let Some((seq, at, in_dlq, operation, target)) = found else {
            return Err(QueueError::NotFound(format!("job {id}")).into());
        };
        if !is_final(at) {
            let reason = format!("job {id} has not ended: only a job that has can be retried");
            return Err(QueueError::Conflict(reason).into());
        }
        self.refuse_overflow(1)?;
        let target = Target::try_from(target).unwrap_or(Target::Any);
        let workers = if target == Target::All {
            self.ready_workers()?
        } else {
            Vec::new()
        };
        let kind = operation.kind.clone();
        let accepted = self.insert(
            &NewJob {
                operation,
                target,
                idempotency_key: None,
                trace_context,
            },
            None,
            &workers,
        )?;
        let message = format!("as {}", accepted.id);
        let event = state::event(
            self.now.timestamp(),
            TimelineKind::Retried,
            None,
            Some(&message),
        );
        self.execute(
            "UPDATE jobs SET dlq = 0, timeline = timeline || ?2 WHERE seq = ?1",
            params![seq, event],
        )?;
        self.touch(seq, 0);
        if in_dlq {
            self.count(&kind, state::DLQ, -1);
        }
        Ok(accepted)
    }

    /// Of each job, the one its key already belongs to. Refuses a key that belongs to another job.
    fn known_keys(&self, jobs: &[NewJob]) -> Result<Vec<Option<Keyed>>, Refusal> {
        let mut in_batch: HashMap<&str, &NewJob> = HashMap::new();
        let mut known = Vec::with_capacity(jobs.len());
        for job in jobs {
            let Some(key) = job.idempotency_key.as_deref() else {
                known.push(None);
                continue;
            };
            let twin = *in_batch.entry(key).or_insert(job);
            let stored = self.keyed(key, job)?;
            let same = stored.as_ref().is_none_or(|stored| stored.same);
            if !same || twin.operation != job.operation || twin.target != job.target {
                // The key itself is not told: of a batch it is not the one the caller gave.
                let reason = "this idempotency key was used for another job".to_owned();
                return Err(QueueError::Conflict(reason).into());
            }
            known.push(stored);
        }
        Ok(known)
    }

    fn keyed(&self, key: &str, job: &NewJob) -> rusqlite::Result<Option<Keyed>> {
        self.find(
            "SELECT id, created_us, operation, target, data FROM jobs WHERE key = ?1",
            params![key],
            |row| {
                let operation = read_operation(row.get(2)?, row.get_ref(4)?.as_str()?);
                let target: String = row.get(3)?;
                Ok(Keyed {
                    id: JobId(row.get(0)?),
                    created_us: row.get(1)?,
                    same: operation == job.operation && target == job.target.to_string(),
                })
            },
        )
    }

    fn refuse_overflow(&mut self, more: u64) -> Result<(), Refusal> {
        if more == 0 {
            return Ok(());
        }
        let waiting = u64::try_from(self.waiting()?).unwrap_or(0);
        let limit = self.options.max_waiting;
        if waiting.saturating_add(more) > limit {
            return Err(QueueError::Full { waiting, limit }.into());
        }
        Ok(())
    }

    /// The workers a job for all goes to.
    fn ready_workers(&self) -> Result<Vec<String>, Refusal> {
        let alive_since = self.now.boot_ms - millis(self.options.lease);
        let sql = "SELECT name FROM workers WHERE draining = 0 AND seen_boot >= ?1 ORDER BY name";
        let names: Vec<String> = self.all(sql, params![alive_since], |row| row.get(0))?;
        if names.is_empty() {
            Err(QueueError::NoWorkers.into())
        } else {
            Ok(names)
        }
    }

    fn insert(
        &mut self,
        job: &NewJob,
        key: Option<&str>,
        workers: &[String],
    ) -> rusqlite::Result<Enqueued> {
        let id = JobId::new();
        let data = serde_json::to_string(&job.operation.data).unwrap_or_default();
        let target = job.target.to_string();
        let to_all = job.target == Target::All;
        let units = if to_all { workers } else { &[] };
        let route = state::route(&job.target);
        let trace = job.trace_context.as_ref();
        let traceparent = trace.map(|trace| &trace.traceparent);
        let tracestate = trace.and_then(|trace| trace.tracestate.as_ref());
        self.execute(
            "INSERT INTO jobs (id, state, route, due, open_units, created_us, operation, target, key, data, traceparent, tracestate)
             VALUES (?1, 0, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            params![
                id.0,
                route,
                self.now.boot_ms,
                units.len(),
                self.now.wall_us,
                job.operation.kind,
                target,
                key,
                data,
                traceparent,
                tracestate
            ],
        )?;
        let parent = self.last_insert();
        for worker in units {
            self.execute(
                "INSERT INTO jobs (id, parent, state, route, due, created_us, operation, target, worker, data, traceparent, tracestate)
                 VALUES (?1, ?2, 0, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9, ?10)",
                params![
                    JobId::new().0,
                    parent,
                    state::worker_route(worker),
                    self.now.boot_ms,
                    self.now.wall_us,
                    job.operation.kind,
                    worker,
                    data,
                    traceparent,
                    tracestate
                ],
            )?;
        }
        self.count(&job.operation.kind, SUBMITTED, 1);
        self.offer(route.as_deref());
        Ok(Enqueued {
            id,
            created_at: self.now.timestamp(),
            replayed: false,
            units: if to_all {
                u32::try_from(units.len()).unwrap_or(u32::MAX)
            } else {
                1
            },
            operation: job.operation.kind.clone(),
        })
    }
}

/// An operation as stored.
pub(super) fn read_operation(kind: String, data: &str) -> Operation {
    Operation {
        kind,
        data: serde_json::from_str(data).unwrap_or_default(),
    }
}

fn replay(id: JobId, created_us: i64, operation: String) -> Enqueued {
    Enqueued {
        id,
        created_at: timestamp(created_us),
        replayed: true,
        units: 0,
        operation,
    }
}

/// How long something has waited, given a boot-clock time in the past.
pub(super) fn since(now_ms: i64, then_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(now_ms.saturating_sub(then_ms)).unwrap_or(0))
}
