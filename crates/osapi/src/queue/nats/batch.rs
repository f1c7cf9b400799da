//! Accepting several units at once: all of them, or none.
//!
//! They are staged: one last message of the state stream holds them, or names the others that do. Then
//! they are accepted, and everybody can go on from there: give each its message in the work stream and
//! its record.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use tracing::warn;
use uuid::Uuid;

use super::Core;
use super::names::job_key;
use super::record::{Staged, Unit};
use super::store::{Unwritten, json};
use crate::queue::{JobId, JobState, QueueError, Target};

/// What of a message's largest size is left to its headers and to what is not its own.
const SPARE: usize = 16 * 1024;

/// What of staged units could not be done.
enum Unfinished {
    /// Not each has its message.
    Offers(Unwritten),
    /// Each has, and not each its record.
    Records(Unwritten),
}

impl Core {
    pub(super) async fn submit_all(&self, units: Vec<Unit>) -> Result<(), QueueError> {
        let id = Uuid::now_v7();
        let staged = match self.stage(id, &units).await {
            Ok(staged) => staged,
            Err(why) => {
                if matches!(why, Unwritten::Refused(_)) {
                    join_all(units.iter().map(|unit| self.let_go(unit))).await;
                }
                return Err(why.into());
            }
        };
        match self.expand(&units, &HashSet::new()).await {
            Ok(()) => {}
            // Refused for want of a connection, it could not be undone either.
            Err(Unfinished::Offers(Unwritten::Refused(error)))
                if self.store.link.usable().is_ok() =>
            {
                self.undo(id, &units).await;
                return Err(error);
            }
            Err(Unfinished::Offers(error) | Unfinished::Records(error)) => {
                // It is accepted: the housekeeping completes it when the broker is back, or has room.
                let error = QueueError::from(error);
                warn!(%error, "a batch is accepted, its records follow");
                self.store.index.stage(id);
                return Ok(());
            }
        }
        self.unstage(id, staged).await;
        Ok(())
    }

    /// Stores units together. Returns in how many further messages.
    async fn stage(&self, id: Uuid, units: &[Unit]) -> Result<u32, Unwritten> {
        let largest = self.store.client.max_payload().saturating_sub(SPARE);
        let mut chunks: Vec<Staged> = vec![Staged::default()];
        let mut size = 0;
        for unit in units {
            let more = json(unit)?.len() + 1;
            if more > largest {
                // Alone it might be staged, and its record, which is a little larger, never be written.
                let limit = self.store.client.max_payload() as u64;
                return Err(Unwritten::Refused(QueueError::TooLarge { limit }));
            }
            if size + more > largest && size > 0 {
                chunks.push(Staged::default());
                size = 0;
            }
            size += more;
            if let Some(chunk) = chunks.last_mut() {
                chunk.units.push(unit.clone());
            }
        }
        let mut last = chunks.pop().unwrap_or_default();
        last.chunks = u32::try_from(chunks.len()).unwrap_or(u32::MAX);
        let further = (0_u32..).zip(&chunks).map(|(n, chunk)| async move {
            let key = chunk_key(id, n);
            self.store.put_key(&key, chunk, Some(0), None::<&()>).await
        });
        // Without the last message nothing is accepted, whether these were written or not.
        let written = try_join_all(further).await;
        written.map_err(|why| Unwritten::Refused(why.into()))?;
        let key = stage_key(id);
        let put = self.store.put_key(&key, &last, Some(0), None::<&()>);
        put.await?;
        Ok(last.chunks)
    }

    /// Gives every unit its message, but for those that have it, and its record. Can be done any number of times.
    async fn expand(&self, units: &[Unit], offered: &HashSet<JobId>) -> Result<(), Unfinished> {
        // What workers need first, where it would be seen that there is no room. But a job for all is
        // there before its parts.
        let (whole, others): (Vec<_>, Vec<_>) =
            units.iter().partition(|unit| unit.target == Target::All);
        self.write_all(&whole).await?;
        let offers = others.iter().filter(|unit| !offered.contains(&unit.id));
        let offers = offers.map(|unit| self.offer(unit));
        try_join_all(offers).await.map_err(Unfinished::Offers)?;
        self.write_all(&others).await
    }

    async fn write_all(&self, units: &[&Unit]) -> Result<(), Unfinished> {
        let records = units.iter().map(|unit| async {
            match self.store.put(unit, 0).await {
                Ok(_) | Err(Unwritten::Raced) => Ok(()),
                Err(error) => Err(Unfinished::Records(error)),
            }
        });
        try_join_all(records).await.map(|_| ())
    }

    async fn unstage(&self, id: Uuid, chunks: u32) {
        self.store.index.unstage(id);
        let names = &self.store.names;
        // One that stays is found and taken out by the housekeeping.
        let _ = self
            .store
            .purge(&names.state, names.state_of(&stage_key(id)))
            .await;
        for n in 0..chunks {
            let _ = self
                .store
                .purge(&names.state, names.state_of(&chunk_key(id, n)))
                .await;
        }
    }

    /// Takes back what was accepted although there was no room for all of it.
    async fn undo(&self, id: Uuid, units: &[Unit]) {
        let names = &self.store.names;
        let stage = names.state_of(&stage_key(id));
        if self.store.purge(&names.state, stage).await.is_err() {
            // Whether it is accepted still is not known; if it is, the housekeeping completes it. The keys
            // stay, so that whoever tries again goes on with it.
            self.store.index.stage(id);
            return;
        }
        self.store.index.unstage(id);
        join_all(units.iter().map(|unit| self.undo_one(unit))).await;
    }

    async fn undo_one(&self, unit: &Unit) {
        let begun = |found: &Unit| found.state != JobState::Submitted;
        if let Ok(Some((found, _))) = self.store.unit(unit.id, true).await
            && begun(&found)
        {
            return;
        }
        let taken_out = self.take_out(unit).await;
        match self.store.unit(unit.id, true).await {
            Ok(Some((found, revision))) if !begun(&found) => {
                let _ = self.remove(&found, revision).await;
            }
            Ok(Some((found, _))) if !found.state.is_final() => {
                // Begun just now: it keeps its key, and needs its message if this attempt fails.
                let _ = self.offer_again(unit).await;
            }
            Ok(None) if taken_out => {
                // One that stays is seen by whoever comes with it next.
                let _ = self.free_key(unit).await;
            }
            _ => {}
        }
    }

    /// Reads what is staged, all its units together; `None` if it is not there any more, or unreadable.
    async fn staged(&self, id: Uuid) -> Result<Option<Staged>, QueueError> {
        let last = self.store.key(&stage_key(id), true).await?;
        let last = last.filter(|found| !found.removed);
        let Some(last) = last.and_then(|found| found.parse::<Staged>()) else {
            return Ok(None);
        };
        let mut units = Vec::new();
        for n in 0..last.chunks {
            let chunk = self.store.key(&chunk_key(id, n), true).await?;
            units.extend(
                chunk
                    .and_then(|chunk| chunk.parse::<Staged>())
                    .unwrap_or_default()
                    .units,
            );
        }
        units.extend(last.units);
        Ok(Some(Staged {
            chunks: last.chunks,
            units,
        }))
    }

    /// Whether a unit is staged: accepted, though its record may not be written yet.
    pub(super) async fn is_staged(&self, unit: JobId) -> Result<bool, QueueError> {
        self.catch_up().await?;
        for id in self.store.index.stuck(Duration::ZERO) {
            let staged = self.staged(id).await?.unwrap_or_default();
            if staged.units.iter().any(|staged| staged.id == unit) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Goes on with what whoever staged it has not finished.
    pub(super) async fn complete_staged(&self, id: Uuid) -> Result<(), QueueError> {
        let Some(staged) = self.staged(id).await? else {
            self.store.index.unstage(id);
            return Ok(());
        };
        let looks = staged.units.iter().map(|unit| self.look_after(unit));
        let looks = try_join_all(looks).await?;
        let (mut missing, mut offered) = (Vec::new(), HashSet::new());
        for (unit, look) in staged.units.into_iter().zip(looks) {
            let Some(has_message) = look else { continue };
            if has_message {
                offered.insert(unit.id);
            }
            missing.push(unit);
        }
        match self.expand(&missing, &offered).await {
            Ok(()) => {}
            Err(Unfinished::Offers(error) | Unfinished::Records(error)) => return Err(error.into()),
        }
        self.unstage(id, staged.chunks).await;
        Ok(())
    }

    /// Whether a staged unit that waits to be begun has its message; `None` if it does not wait any more. A
    /// second message, once the broker has forgotten the id of the first, might let it run twice.
    async fn look_after(&self, unit: &Unit) -> Result<Option<bool>, QueueError> {
        let offered = self.is_offered(unit).await?;
        let found = self.store.key(&job_key(unit.id), true).await?;
        let waits = match &found {
            None => true,
            Some(found) if found.removed => false,
            Some(found) => found
                .parse::<Unit>()
                .is_some_and(|unit| unit.state == JobState::Submitted),
        };
        Ok(waits.then_some(offered))
    }
}

pub(super) fn stage_key(id: Uuid) -> String {
    format!("stage.{id}")
}

fn chunk_key(id: Uuid, n: u32) -> String {
    format!("chunk.{id}-{n}")
}
