//! How units and jobs end: finished, failed, cancelled, removed.

use rusqlite::params;

use super::state::{self, CANCELLED, COMPLETED, DLQ, FAILED, PROCESSING, RETRYING, is_final};
use super::tx::Tx;
use super::writer::Refusal;
use crate::queue::{Deleted, Finished, JobId, LeaseToken, Outcome, QueueError, TimelineKind};

/// What has to be known of a unit to end it.
pub(super) struct Unit {
    pub(super) seq: i64,
    pub(super) parent: i64,
    pub(super) state: i64,
    pub(super) attempts: u32,
    pub(super) operation: String,
    pub(super) worker: Option<String>,
}

/// A unit's final state and what goes with it.
pub(super) struct Ending<'a> {
    pub(super) state: i64,
    pub(super) kind: TimelineKind,
    pub(super) error: Option<&'a str>,
    pub(super) result: Option<&'a serde_json::Value>,
}

impl Tx<'_> {
    pub(super) fn finish(
        &mut self,
        token: LeaseToken,
        outcome: &Outcome,
    ) -> Result<Finished, Refusal> {
        let held = self.find(
            "SELECT seq, parent, state, attempts, operation, worker FROM jobs
             WHERE id = ?1 AND serial = ?2 AND state = 1",
            params![token.unit.0, token.serial],
            read_unit,
        )?;
        let Some(unit) = held else {
            return Ok(Finished::Stale(self.why_revoked(token)?));
        };
        match outcome {
            Outcome::Completed(result) => {
                let ending = Ending {
                    state: COMPLETED,
                    kind: TimelineKind::Completed,
                    error: None,
                    result: Some(result),
                };
                self.end(&unit, &ending)?;
                Ok(Finished::Completed)
            }
            Outcome::Failed {
                error,
                result,
                permanent,
            } if *permanent || unit.attempts >= self.options.max_attempts => {
                let ending = Ending {
                    state: FAILED,
                    kind: TimelineKind::Failed,
                    error: Some(error),
                    result: result.as_ref(),
                };
                self.end(&unit, &ending)?;
                Ok(Finished::Failed)
            }
            Outcome::Failed { error, .. } => {
                let delay = self.options.retry.jittered(unit.attempts);
                self.put_back(&unit, self.now.after(delay), TimelineKind::Retrying, error)?;
                Ok(Finished::Retrying(delay))
            }
        }
    }

    /// Lets a unit that a worker held wait for its next attempt.
    pub(super) fn put_back(
        &mut self,
        unit: &Unit,
        due: i64,
        kind: TimelineKind,
        error: &str,
    ) -> rusqlite::Result<()> {
        let event = state::event(
            self.now.timestamp(),
            kind,
            unit.worker.as_deref(),
            Some(error),
        );
        self.execute(
            "UPDATE jobs SET state = 2, due = ?2, lease = NULL, error = ?3, timeline = timeline || ?4 WHERE seq = ?1",
            params![unit.seq, due, error, event],
        )?;
        if unit.parent == 0 {
            self.count(&unit.operation, PROCESSING, -1);
            self.count(&unit.operation, RETRYING, 1);
        }
        self.offer(None);
        self.touch(unit.seq, unit.parent);
        Ok(())
    }

    /// Ends a unit and, if it was the last one of a job for all, the job.
    pub(super) fn end(&mut self, unit: &Unit, ending: &Ending<'_>) -> rusqlite::Result<()> {
        let worker = unit.worker.as_deref().filter(|_| unit.attempts > 0);
        let event = state::event(self.now.timestamp(), ending.kind, worker, ending.error);
        let dlq = ending.state == FAILED && unit.parent == 0;
        let result = ending.result.map(ToString::to_string);
        self.execute(
            "UPDATE jobs SET state = ?2, lease = NULL, finished_us = ?3, dlq = ?4, error = ?5, result = ?6,
                    timeline = timeline || ?7
             WHERE seq = ?1",
            params![unit.seq, ending.state, self.now.wall_us, dlq, ending.error, result, event],
        )?;
        self.touch(unit.seq, unit.parent);
        if unit.parent != 0 {
            return self.settle_parent(unit.parent);
        }
        self.count(&unit.operation, unit.state, -1);
        self.count(&unit.operation, ending.state, 1);
        if dlq {
            self.count(&unit.operation, DLQ, 1);
        }
        Ok(())
    }

    fn settle_parent(&mut self, seq: i64) -> rusqlite::Result<()> {
        let parent = self.find(
            "UPDATE jobs SET open_units = open_units - 1 WHERE seq = ?1 AND state IN (0, 1)
             RETURNING seq, parent, state, attempts, operation, worker, open_units",
            params![seq],
            |row| Ok((read_unit(row)?, row.get::<_, i64>(6)?)),
        )?;
        let Some((job, 0)) = parent else {
            return Ok(());
        };
        let (units, failed): (i64, i64) = self
            .find(
                "SELECT count(*), coalesce(sum(state = 4), 0) FROM jobs WHERE parent = ?1",
                params![seq],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?
            .unwrap_or_default();
        if failed == 0 {
            let ending = Ending {
                state: COMPLETED,
                kind: TimelineKind::Completed,
                error: None,
                result: None,
            };
            return self.end(&job, &ending);
        }
        let error = format!("failed on {failed} of {units} workers");
        self.end(
            &job,
            &Ending {
                state: FAILED,
                kind: TimelineKind::Failed,
                error: Some(&error),
                result: None,
            },
        )
    }

    pub(super) fn delete(&mut self, id: JobId) -> Result<Deleted, Refusal> {
        let job = self.find(
            "SELECT seq, parent, state, attempts, operation, worker FROM jobs WHERE id = ?1 AND parent = 0",
            params![id.0],
            read_unit,
        )?;
        let Some(job) = job else {
            return Err(QueueError::NotFound(format!("job {id}")).into());
        };
        if is_final(job.state) {
            self.remove(job.seq)?;
            return Ok(Deleted::Removed);
        }
        let units = self.all(
            "SELECT seq, parent, state, attempts, operation, worker FROM jobs
             WHERE parent = ?1 AND state IN (0, 1, 2)",
            params![job.seq],
            read_unit,
        )?;
        let ending = Ending {
            state: CANCELLED,
            kind: TimelineKind::Cancelled,
            error: None,
            result: None,
        };
        // The job first: with it ended, its units don't settle it.
        self.end(&job, &ending)?;
        for unit in &units {
            self.end(unit, &ending)?;
        }
        Ok(Deleted::Cancelled {
            operation: job.operation,
            // A job for all has units; any other is its own one.
            units: u32::try_from(units.len().max(1)).unwrap_or(u32::MAX),
        })
    }

    /// Removes a job that has ended, with its units.
    pub(super) fn remove(&mut self, seq: i64) -> rusqlite::Result<()> {
        let gone = self.find(
            "DELETE FROM jobs WHERE seq = ?1 RETURNING operation, state, dlq",
            params![seq],
            |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, i64>(1)?,
                    row.get::<_, bool>(2)?,
                ))
            },
        )?;
        self.execute("DELETE FROM jobs WHERE parent = ?1", params![seq])?;
        self.touch(seq, 0);
        if let Some((operation, state, in_dlq)) = gone {
            self.count(&operation, state, -1);
            if in_dlq {
                self.count(&operation, DLQ, -1);
            }
        }
        Ok(())
    }
}

pub(super) fn read_unit(row: &rusqlite::Row<'_>) -> rusqlite::Result<Unit> {
    Ok(Unit {
        seq: row.get(0)?,
        parent: row.get(1)?,
        state: row.get(2)?,
        attempts: row.get(3)?,
        operation: row.get(4)?,
        worker: row.get(5)?,
    })
}
