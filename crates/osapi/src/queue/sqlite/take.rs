//! Handing out work, keeping leases, taking work back.

use std::time::Duration;

use rusqlite::params;

use super::clock::timestamp;
use super::state::{self, CANCELLED, PROCESSING, RETRYING, SUBMITTED};
use super::submit::{read_operation, since};
use super::tx::Tx;
use super::writer::Refusal;
use crate::queue::{
    Claim, JobId, Lease, LeaseToken, Operation, Revoked, TimelineKind, TraceContext,
};

/// What a worker got.
pub(super) struct Taken {
    pub(super) leases: Vec<Lease>,
    /// When it got nothing: when something that waits for it is due.
    pub(super) next_due: Option<Duration>,
}

/// A unit that may be handed out.
struct Due {
    seq: i64,
    parent: i64,
    due: i64,
}

impl Tx<'_> {
    pub(super) fn claim(&mut self, claim: &Claim) -> Result<Taken, Refusal> {
        if !self.is_ready(&claim.worker)? {
            return Ok(Taken {
                leases: Vec::new(),
                next_due: None,
            });
        }
        let mut routes = vec![
            String::new(),
            state::worker_route(&claim.worker),
            state::host_route(&claim.hostname),
        ];
        if claim.worker != claim.hostname {
            routes.push(state::host_route(&claim.worker));
        }
        let mut found = Vec::new();
        for route in &routes {
            found.extend(self.due(route, claim.slots)?);
        }
        found.sort_unstable_by_key(|unit| (unit.due, unit.seq));
        found.truncate(claim.slots as usize);
        if found.is_empty() {
            return Ok(Taken {
                leases: Vec::new(),
                next_due: self.next_due(&routes)?,
            });
        }
        let event = state::event(
            self.now.timestamp(),
            TimelineKind::Started,
            Some(&claim.worker),
            None,
        );
        let leases = found
            .iter()
            .map(|unit| self.lease(unit, &claim.worker, &event))
            .collect::<Result<_, _>>()?;
        Ok(Taken {
            leases,
            next_due: None,
        })
    }

    fn due(&mut self, route: &str, limit: u32) -> rusqlite::Result<Vec<Due>> {
        if self.is_barren(route) {
            return Ok(Vec::new());
        }
        let due = self.all(
            "SELECT seq, parent, due FROM jobs
             WHERE route = ?1 AND due <= ?2 AND state IN (0, 2) ORDER BY due LIMIT ?3",
            params![route, self.now.boot_ms, limit],
            |row| {
                Ok(Due {
                    seq: row.get(0)?,
                    parent: row.get(1)?,
                    due: row.get(2)?,
                })
            },
        )?;
        if due.is_empty() && limit > 0 {
            self.note_barren(route);
        }
        Ok(due)
    }

    fn next_due(&self, routes: &[String]) -> rusqlite::Result<Option<Duration>> {
        let mut next: Option<i64> = None;
        for route in routes {
            let due = self.find(
                "SELECT due FROM jobs WHERE route = ?1 AND state IN (0, 2) ORDER BY due LIMIT 1",
                params![route],
                |row| row.get(0),
            )?;
            next = [next, due].into_iter().flatten().min();
        }
        Ok(next.map(|due| since(due, self.now.boot_ms)))
    }

    fn lease(&mut self, unit: &Due, worker: &str, event: &str) -> rusqlite::Result<Lease> {
        let mut statement = self.statement(
            "UPDATE jobs SET state = 1, lease = ?2, serial = serial + 1, attempts = attempts + 1,
                    started_us = ?3, worker = ?4, timeline = timeline || ?5
             WHERE seq = ?1
             RETURNING id, serial, attempts, operation, data, created_us, traceparent, tracestate",
        )?;
        let expires = self.now.after(self.options.lease);
        let params = params![unit.seq, expires, self.now.wall_us, worker, event];
        let (id, serial, attempt, operation, created_us, trace_context) =
            statement.query_row(params, |row| {
                Ok((
                    row.get::<_, uuid::Uuid>(0)?,
                    row.get::<_, u64>(1)?,
                    row.get::<_, u32>(2)?,
                    read_operation(row.get(3)?, row.get_ref(4)?.as_str()?),
                    row.get::<_, i64>(5)?,
                    read_trace_context(row.get(6)?, row.get(7)?),
                ))
            })?;
        drop(statement);
        // Due times from before a reboot are negative: then the wall clock knows better.
        let waited = if unit.due < 0 {
            Duration::try_from(self.now.timestamp().duration_since(timestamp(created_us)))
                .unwrap_or_default()
        } else {
            since(self.now.boot_ms, unit.due)
        };
        let job = self.note_start(unit, JobId(id), attempt, &operation)?;
        Ok(Lease {
            token: LeaseToken {
                unit: JobId(id),
                serial,
            },
            job,
            operation,
            attempt,
            waited,
            trace_context,
        })
    }

    /// Counts a job that starts; of a unit, starts its job with the first. Returns the job's id.
    fn note_start(
        &mut self,
        unit: &Due,
        id: JobId,
        attempt: u32,
        operation: &Operation,
    ) -> rusqlite::Result<JobId> {
        self.touch(unit.seq, unit.parent);
        if unit.parent == 0 {
            self.count(
                &operation.kind,
                if attempt == 1 { SUBMITTED } else { RETRYING },
                -1,
            );
            self.count(&operation.kind, PROCESSING, 1);
            return Ok(id);
        }
        let started = self.execute(
            "UPDATE jobs SET state = 1, started_us = ?2 WHERE seq = ?1 AND state = 0",
            params![unit.parent, self.now.wall_us],
        )?;
        if started > 0 {
            self.count(&operation.kind, SUBMITTED, -1);
            self.count(&operation.kind, PROCESSING, 1);
        }
        let job = self.find(
            "SELECT id FROM jobs WHERE seq = ?1",
            params![unit.parent],
            |row| row.get(0),
        )?;
        Ok(job.map_or(id, JobId))
    }

    /// Extends leases; returns those that no longer hold.
    pub(super) fn extend(
        &mut self,
        tokens: &[LeaseToken],
    ) -> rusqlite::Result<Vec<(LeaseToken, Revoked)>> {
        let expires = self.now.after(self.options.lease);
        let mut revoked = Vec::new();
        for token in tokens {
            let held = self.execute(
                "UPDATE jobs SET lease = ?3 WHERE id = ?1 AND serial = ?2 AND state = 1",
                params![token.unit.0, token.serial, expires],
            )?;
            if held == 0 {
                revoked.push((*token, self.why_revoked(*token)?));
            }
        }
        Ok(revoked)
    }

    pub(super) fn why_revoked(&self, token: LeaseToken) -> rusqlite::Result<Revoked> {
        let state: Option<i64> = self.find(
            "SELECT state FROM jobs WHERE id = ?1 AND serial = ?2",
            params![token.unit.0, token.serial],
            |row| row.get(0),
        )?;
        Ok(if state == Some(CANCELLED) {
            Revoked::Cancelled
        } else {
            Revoked::Lost
        })
    }

    pub(super) fn give_back(&mut self, tokens: &[LeaseToken]) -> rusqlite::Result<()> {
        for token in tokens {
            self.give_back_one(*token)?;
        }
        Ok(())
    }

    fn give_back_one(&mut self, token: LeaseToken) -> rusqlite::Result<()> {
        let held = self.find(
            "SELECT seq, parent, attempts, operation, worker FROM jobs WHERE id = ?1 AND serial = ?2 AND state = 1",
            params![token.unit.0, token.serial],
            |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, i64>(1)?,
                    row.get::<_, i64>(2)?,
                    row.get::<_, String>(3)?,
                    row.get::<_, Option<String>>(4)?,
                ))
            },
        )?;
        let Some((seq, parent, attempts, operation, worker)) = held else {
            return Ok(());
        };
        let state = if attempts <= 1 { SUBMITTED } else { RETRYING };
        let event = state::event(
            self.now.timestamp(),
            TimelineKind::Returned,
            worker.as_deref(),
            None,
        );
        self.execute(
            "UPDATE jobs SET state = ?2, lease = NULL, attempts = attempts - 1, timeline = timeline || ?3,
                    started_us = CASE WHEN attempts > 1 THEN started_us END
             WHERE seq = ?1",
            params![seq, state, event],
        )?;
        if parent == 0 {
            self.count(&operation, PROCESSING, -1);
            self.count(&operation, state, 1);
        }
        self.offer(None);
        self.touch(seq, parent);
        Ok(())
    }
}

/// A trace context as stored.
fn read_trace_context(
    traceparent: Option<String>,
    tracestate: Option<String>,
) -> Option<TraceContext> {
    traceparent.map(|traceparent| TraceContext {
        traceparent,
        tracestate,
    })
}
