//! Everything that only looks.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::watch;

use super::Core;
use super::names::job_key;
use super::record::Unit;
use super::store::unavailable;
use crate::queue::watch::{self as queue_watch, Look};
use crate::queue::{
    DatabaseStats, JobFilter, JobId, JobPage, JobRecord, JobSummary, MAX_PAGE_BYTES, QueueError,
    QueueStats,
};

/// Records a list asks for ahead of the one it is at.
const LIST_AHEAD: usize = 16;

/// Longest time without a look: a change whose news was lost shows then.
const WATCH_ANYWAY: Duration = Duration::from_secs(15);

impl Core {
    pub(super) async fn get(&self, id: JobId) -> Result<JobRecord, QueueError> {
        let found = self.store.unit(id, true).await?;
        let found = found.filter(|(unit, _)| unit.parent.is_none());
        let (unit, _) = found.ok_or_else(|| QueueError::NotFound(format!("job {id}")))?;
        let parts = self.parts(&unit, true).await?;
        Ok(unit.record(&parts))
    }

    pub(super) async fn list(&self, filter: JobFilter) -> Result<JobPage, QueueError> {
        self.catch_up().await?;
        let index = &self.store.index;
        let (total_items, ids) = index.page(filter.status, filter.offset, filter.limit);
        let status_counts = index.counts();
        let mut found = stream::iter(ids)
            .map(|id| self.summary(id))
            .buffered(LIST_AHEAD);
        let (mut items, mut bytes) = (Vec::new(), 0);
        while let Some(next) = found.next().await {
            let Some((summary, size)) = next? else {
                continue;
            };
            bytes += size;
            if bytes > MAX_PAGE_BYTES && !items.is_empty() {
                break;
            }
            items.push(summary);
        }
        drop(found);
        Ok(JobPage {
            total_items,
            status_counts,
            items,
        })
    }

    /// A job as lists show it, and the size of what is kept of it.
    async fn summary(&self, id: JobId) -> Result<Option<(JobSummary, usize)>, QueueError> {
        let found = self.store.key(&job_key(id), false).await?;
        let Some(found) = found.filter(|found| !found.removed) else {
            return Ok(None);
        };
        let Some(unit) = found.parse::<Unit>() else {
            return Ok(None);
        };
        let parts: Vec<Unit> = self.parts(&unit, false).await?;
        Ok(Some((unit.summary(&parts), found.payload.len())))
    }

    pub(super) async fn stats(&self) -> Result<QueueStats, QueueError> {
        self.catch_up().await?;
        Ok(self.store.index.stats())
    }

    pub(super) async fn check(&self) -> Result<(), QueueError> {
        if self.follows() {
            // Writes, and waits until it comes back.
            return self.catch_up().await;
        }
        let mark = self.mark().await?;
        match self.store.key(super::names::FENCE, true).await? {
            Some(found) if found.revision >= mark => Ok(()),
            _ => Err(unavailable("what was written cannot be read".to_owned())),
        }
    }

    pub(super) async fn database(&self, connected: u64) -> Result<DatabaseStats, QueueError> {
        let names = &self.store.names;
        let sizes = [&names.work, &names.state, &names.dlq].map(|name| async move {
            let stream = self.store.jetstream.get_stream(name).await;
            let stream = stream.map_err(|error| unavailable(error.to_string()))?;
            Ok(stream.cached_info().state.bytes)
        });
        self.store.link.usable()?;
        let sizes: Result<Vec<u64>, QueueError> = join_all(sizes).await.into_iter().collect();
        Ok(DatabaseStats {
            backend: "nats".to_owned(),
            connections: connected,
            connections_idle: 0,
            queries_total: self.store.requests.load(Ordering::Relaxed),
            transactions_total: self.store.writes.load(Ordering::Relaxed),
            size_bytes: sizes?.into_iter().sum(),
        })
    }
}

/// A job that is followed.
struct Followed {
    core: Result<Arc<Core>, QueueError>,
    id: JobId,
    changes: Option<watch::Receiver<()>>,
}

pub(super) fn watch(
    core: Result<Arc<Core>, QueueError>,
    id: JobId,
) -> BoxStream<'static, Result<JobRecord, QueueError>> {
    let changes = None;
    queue_watch::watch(Followed { core, id, changes })
}

impl Look for Followed {
    async fn look(&mut self) -> Result<JobRecord, QueueError> {
        let core = self.core.clone()?;
        if let Some(changes) = &mut self.changes {
            tokio::time::sleep(queue_watch::PACE).await;
            let _ = tokio::time::timeout(WATCH_ANYWAY, changes.changed()).await;
        } else {
            // Before the record is read, so that no change is missed.
            self.changes = Some(core.store.index.follow(self.id));
        }
        core.get(self.id).await
    }
}
