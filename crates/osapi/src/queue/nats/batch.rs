//! Accepting several units at once: all of them, or none.
//!
//! They are staged: one last message of the state stream holds them, or names the others that do. Then
//! they are accepted, and everybody can go on from there: give each its message in the work stream and
//! its record.

use futures_util::future::{join_all, try_join_all};
use tracing::warn;
use uuid::Uuid;

use super::Core;
use super::names::job_key;
use super::record::{Staged, Unit};
use super::store::{Unwritten, json};
use crate::queue::{JobState, QueueError, Target};

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
        let staged = self.stage(id, &units).await?;
        match self.expand(&units).await {
            Ok(()) => {}
            Err(Unfinished::Offers(Unwritten::Refused(error))) => {
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
    async fn stage(&self, id: Uuid, units: &[Unit]) -> Result<u32, QueueError> {
        let largest = self.store.client.max_payload().saturating_sub(SPARE);
        let mut chunks: Vec<Staged> = vec![Staged::default()];
        let mut size = 0;
        for unit in units {
            let more = json(unit).map_err(QueueError::from)?.len() + 1;
            if more > largest {
                // Alone it might be staged, and its record, which is a little larger, never be written.
                let limit = self.store.client.max_payload() as u64;
                return Err(QueueError::TooLarge { limit });
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
        try_join_all(further).await.map_err(QueueError::from)?;
        let key = stage_key(id);
        let put = self.store.put_key(&key, &last, Some(0), None::<&()>);
        put.await.map_err(QueueError::from)?;
        Ok(last.chunks)
    }

    /// Gives every unit its message and its record. Can be done any number of times.
    async fn expand(&self, units: &[Unit]) -> Result<(), Unfinished> {
        // What workers need first, where it would be seen that there is no room. But a job for all is
        // there before its parts.
        let (whole, others): (Vec<_>, Vec<_>) =
            units.iter().partition(|unit| unit.target == Target::All);
        self.write_all(&whole).await?;
        let offers = others.iter().map(|unit| self.offer(unit));
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
        self.unstage(id, 0).await;
        let undone = units.iter().map(|unit| async {
            self.take_out(unit).await;
            if let Ok(Some((found, revision))) = self.store.unit(unit.id, true).await
                && found.state == JobState::Submitted
            {
                let _ = self.remove(&found, revision).await;
            }
        });
        join_all(undone).await;
    }

    /// Goes on with what whoever staged it has not finished.
    pub(super) async fn complete_staged(&self, id: Uuid) -> Result<(), QueueError> {
        let last = self.store.key(&stage_key(id), true).await?;
        let Some(last) = last.filter(|found| !found.removed) else {
            self.store.index.unstage(id);
            return Ok(());
        };
        let Some(last) = last.parse::<Staged>() else {
            return Ok(());
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
        let mut missing = Vec::new();
        for unit in units {
            let found = self.store.key(&job_key(unit.id), true).await?;
            let waits = match &found {
                None => true,
                Some(found) if found.removed => false,
                Some(found) => found
                    .parse::<Unit>()
                    .is_some_and(|unit| unit.state == JobState::Submitted),
            };
            if waits {
                missing.push(unit);
            }
        }
        match self.expand(&missing).await {
            Ok(()) => {}
            Err(Unfinished::Offers(error) | Unfinished::Records(error)) => return Err(error.into()),
        }
        self.unstage(id, last.chunks).await;
        Ok(())
    }
}

pub(super) fn stage_key(id: Uuid) -> String {
    format!("stage.{id}")
}

fn chunk_key(id: Uuid, n: u32) -> String {
    format!("chunk.{id}-{n}")
}
