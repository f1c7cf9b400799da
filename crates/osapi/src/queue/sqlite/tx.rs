//! What all operations of a group share: one transaction, one reading of the clock, the counts.

use std::collections::{HashMap, HashSet};

use rusqlite::{CachedStatement, Params, Row, Transaction, params};

use super::clock::Now;
use super::state::{RETRYING, SUBMITTED};
use super::writer::{Effects, Refusal};
use crate::queue::{QueueError, QueueOptions};

/// States a count is kept for: six of jobs, and the dead-letter queue.
const COUNTED: usize = 7;

/// The transaction of a group.
pub(super) struct Tx<'a> {
    conn: &'a Transaction<'a>,
    pub(super) options: &'a QueueOptions,
    pub(super) now: Now,
    counts: HashMap<String, [i64; COUNTED]>,
    waiting: Option<i64>,
    /// Workers this group found registered and not draining.
    ready: HashSet<String>,
    /// Routes this group found nothing due on.
    barren: HashSet<String>,
    pub(super) effects: Effects,
}

impl<'a> Tx<'a> {
    pub(super) fn new(conn: &'a Transaction<'a>, options: &'a QueueOptions) -> Self {
        Self {
            conn,
            options,
            now: Now::read(),
            counts: HashMap::new(),
            waiting: None,
            ready: HashSet::new(),
            barren: HashSet::new(),
            effects: Effects::default(),
        }
    }

    pub(super) fn statement(&self, sql: &str) -> rusqlite::Result<CachedStatement<'_>> {
        self.conn.prepare_cached(sql)
    }

    pub(super) fn execute(&self, sql: &str, params: impl Params) -> rusqlite::Result<usize> {
        self.statement(sql)?.execute(params)
    }

    /// The first row, if there is one.
    pub(super) fn find<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Option<T>> {
        let mut statement = self.statement(sql)?;
        let mut rows = statement.query(params)?;
        rows.next()?.map(read).transpose()
    }

    pub(super) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        self.statement(sql)?.query_map(params, read)?.collect()
    }

    pub(super) fn last_insert(&self) -> i64 {
        self.conn.last_insert_rowid()
    }

    /// Counts jobs of an operation into a state (or, negative, out of it).
    pub(super) fn count(&mut self, operation: &str, state: i64, by: i64) {
        if let Some(waiting) = self
            .waiting
            .as_mut()
            .filter(|_| matches!(state, SUBMITTED | RETRYING))
        {
            *waiting += by;
        }
        let Some(slot) = usize::try_from(state).ok().filter(|slot| *slot < COUNTED) else {
            return;
        };
        if let Some(counts) = self.counts.get_mut(operation) {
            counts[slot] += by;
        } else {
            let mut counts = [0; COUNTED];
            counts[slot] = by;
            self.counts.insert(operation.to_owned(), counts);
        }
    }

    /// Notes that a job, or a unit of it, changed.
    pub(super) fn touch(&mut self, seq: i64, parent: i64) {
        let job = if parent == 0 { seq } else { parent };
        self.effects.changed.push(job);
    }

    /// To be called when a unit may be handed out that could not be before: on the given route, or on
    /// any if that is not known.
    pub(super) fn offer(&mut self, route: Option<&str>) {
        if let Some(route) = route {
            self.barren.remove(route);
        } else {
            self.barren.clear();
        }
        self.effects.work = true;
    }

    /// Whether an earlier call of this group found nothing due on a route. Time stands still within a
    /// group, so only an [offer](Tx::offer) changes that.
    pub(super) fn is_barren(&self, route: &str) -> bool {
        self.barren.contains(route)
    }

    pub(super) fn note_barren(&mut self, route: &str) {
        if !self.is_barren(route) {
            self.barren.insert(route.to_owned());
        }
    }

    /// Whether a worker is registered and may take work. It is looked up once in a group; whoever
    /// changes a worker [forgets](Tx::forget_readiness) that.
    pub(super) fn is_ready(&mut self, worker: &str) -> Result<bool, Refusal> {
        if self.ready.contains(worker) {
            return Ok(true);
        }
        let draining: Option<bool> = self.find(
            "SELECT draining FROM workers WHERE name = ?1",
            params![worker],
            |row| row.get(0),
        )?;
        match draining {
            None => Err(QueueError::NotFound(format!("worker {worker:?}")).into()),
            Some(true) => Ok(false),
            Some(false) => {
                self.ready.insert(worker.to_owned());
                Ok(true)
            }
        }
    }

    pub(super) fn forget_readiness(&mut self) {
        self.ready.clear();
    }

    /// Jobs that wait, this group's included.
    pub(super) fn waiting(&mut self) -> rusqlite::Result<i64> {
        if let Some(waiting) = self.waiting {
            return Ok(waiting);
        }
        let stored: i64 = self
            .statement("SELECT coalesce(sum(n), 0) FROM counts WHERE state IN (0, 2)")?
            .query_row([], |row| row.get(0))?;
        let pending: i64 = self
            .counts
            .values()
            .map(|counts| counts[SUBMITTED as usize] + counts[RETRYING as usize])
            .sum();
        Ok(*self.waiting.insert(stored + pending))
    }

    /// Writes down the counts; to be called last.
    pub(super) fn settle(self) -> rusqlite::Result<Effects> {
        let mut statement = self.statement(
            "INSERT INTO counts (operation, state, n) VALUES (?1, ?2, ?3)
             ON CONFLICT (operation, state) DO UPDATE SET n = n + excluded.n",
        )?;
        for (operation, counts) in &self.counts {
            for (state, by) in counts.iter().enumerate().filter(|(_, by)| **by != 0) {
                statement.execute(params![operation, state, by])?;
            }
        }
        drop(statement);
        Ok(self.effects)
    }
}
