//! The registry of workers.

use rusqlite::params;
use uuid::Uuid;

use super::tx::Tx;
use super::writer::Refusal;
use crate::queue::{Beat, BeatReply, QueueError, Registration};

impl Tx<'_> {
    pub(super) fn register(&mut self, worker: &Registration) -> Result<(), Refusal> {
        let labels = serde_json::to_string(&worker.labels).unwrap_or_default();
        self.execute(
            "INSERT OR REPLACE INTO workers (name, instance, hostname, labels, slots, started_us, seen_us, seen_boot)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7)",
            params![
                worker.worker,
                worker.instance,
                worker.hostname,
                labels,
                worker.slots,
                self.now.wall_us,
                self.now.boot_ms
            ],
        )?;
        self.forget_readiness();
        Ok(())
    }

    pub(super) fn beat(&mut self, beat: &Beat) -> Result<BeatReply, Refusal> {
        let known = self.find(
            "SELECT instance, draining FROM workers WHERE name = ?1",
            params![beat.worker],
            |row| Ok((row.get::<_, Uuid>(0)?, row.get::<_, bool>(1)?)),
        )?;
        let Some((instance, draining)) = known else {
            return Err(unknown(&beat.worker));
        };
        let replaced = instance != beat.instance;
        if !replaced {
            self.execute(
                "UPDATE workers SET seen_us = ?2, seen_boot = ?3, processed = ?4, active = ?5 WHERE name = ?1",
                params![beat.worker, self.now.wall_us, self.now.boot_ms, beat.processed, beat.leases.len()],
            )?;
        }
        Ok(BeatReply {
            draining,
            replaced,
            revoked: self.extend(&beat.leases)?,
        })
    }

    pub(super) fn deregister(&mut self, worker: &str, instance: Uuid) -> Result<(), Refusal> {
        self.execute(
            "DELETE FROM workers WHERE name = ?1 AND instance = ?2",
            params![worker, instance],
        )?;
        self.forget_readiness();
        Ok(())
    }

    pub(super) fn set_draining(&mut self, worker: &str, draining: bool) -> Result<(), Refusal> {
        let changed = self.execute(
            "UPDATE workers SET draining = ?2 WHERE name = ?1",
            params![worker, draining],
        )?;
        if changed == 0 {
            return Err(unknown(worker));
        }
        self.forget_readiness();
        self.effects.work = true;
        Ok(())
    }
}

fn unknown(worker: &str) -> Refusal {
    QueueError::NotFound(format!("worker {worker:?}")).into()
}
