//! What time brings: expired leases, jobs that waited too long, records kept long enough, lost workers.

use rusqlite::params;

use super::clock::millis;
use super::end::{Ending, Unit, read_unit};
use super::state::FAILED;
use super::tx::Tx;
use super::writer::Refusal;
use crate::queue::{Maintenance, Rescued, TimelineKind};

/// Rows one round touches at most, so that it does not hold up the group it is in.
pub(super) const ROUND: usize = 500;

/// How long a lost worker is remembered.
const LOST_FOR_MS: i64 = 3_600_000;

impl Tx<'_> {
    pub(super) fn maintain(&mut self) -> Result<Maintenance, Refusal> {
        Ok(Maintenance {
            rescued: self.rescue()?,
            start_timeouts: self.start_timeouts()?,
            removed: {
                self.forget_workers()?;
                self.expire()?
            },
        })
    }

    fn rescue(&mut self) -> rusqlite::Result<Vec<Rescued>> {
        let expired = self.all(
            "SELECT seq, parent, state, attempts, operation, worker FROM jobs
             WHERE state = 1 AND lease < ?1 LIMIT ?2",
            params![self.now.boot_ms, ROUND],
            read_unit,
        )?;
        let mut rescued = Vec::with_capacity(expired.len());
        for unit in expired {
            let error = format!("worker {} vanished", unit.worker.as_deref().unwrap_or("?"));
            let failed = unit.attempts >= self.options.max_attempts;
            if failed {
                let ending = Ending {
                    state: FAILED,
                    kind: TimelineKind::Failed,
                    error: Some(&error),
                    result: None,
                };
                self.end(&unit, &ending)?;
            } else {
                self.put_back(&unit, self.now.boot_ms, TimelineKind::Rescued, &error)?;
            }
            rescued.push(Rescued {
                operation: unit.operation,
                failed,
            });
        }
        Ok(rescued)
    }

    fn start_timeouts(&mut self) -> rusqlite::Result<Vec<String>> {
        let Some(timeout) = self.options.start_timeout else {
            return Ok(Vec::new());
        };
        let before = self.now.boot_ms.saturating_sub(millis(timeout));
        let error = format!(
            "did not start within {}",
            humantime::format_duration(timeout)
        );
        let mut operations = Vec::new();
        for unit in self.late_units(before)? {
            let ending = Ending {
                state: FAILED,
                kind: TimelineKind::Failed,
                error: Some(&error),
                result: None,
            };
            self.end(&unit, &ending)?;
            operations.push(unit.operation);
        }
        Ok(operations)
    }

    /// The units submitted before a time and never started. Jobs are in the order of submission
    /// (units apart from them), so the first one that is not late ends the search.
    fn late_units(&self, before: i64) -> rusqlite::Result<Vec<Unit>> {
        let mut late = Vec::new();
        for condition in ["parent = 0", "parent > 0"] {
            let mut statement = self.statement(&format!(
                "SELECT seq, parent, state, attempts, operation, worker, due, route IS NULL FROM jobs
                 WHERE state = 0 AND {condition} ORDER BY parent, seq",
            ))?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let is_late = row.get::<_, i64>(6)? < before;
                if !is_late || late.len() >= ROUND {
                    break;
                }
                if !row.get::<_, bool>(7)? {
                    late.push(read_unit(row)?);
                }
            }
        }
        Ok(late)
    }

    /// Removes finished jobs that were kept long enough; as many as [`ROUND`] means there may be more.
    pub(super) fn expire(&mut self) -> rusqlite::Result<u64> {
        let retention_us = i64::try_from(self.options.retention.as_micros()).unwrap_or(i64::MAX);
        let before = self.now.wall_us.saturating_sub(retention_us);
        let old: Vec<i64> = self.all(
            "SELECT seq FROM jobs INDEXED BY jobs_finished
             WHERE finished_us < ?1 AND finished_us IS NOT NULL AND parent = 0
             ORDER BY finished_us LIMIT ?2",
            params![before, ROUND],
            |row| row.get(0),
        )?;
        for seq in &old {
            self.remove(*seq)?;
        }
        Ok(old.len() as u64)
    }

    fn forget_workers(&mut self) -> rusqlite::Result<()> {
        let before = self.now.boot_ms - millis(self.options.lease) - LOST_FOR_MS;
        self.execute("DELETE FROM workers WHERE seen_boot < ?1", params![before])?;
        self.forget_readiness();
        Ok(())
    }
}
