//! What the queue last said of itself: one reading for the gauges, `/metrics.json` and the page.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::catalogue::Process;
use crate::queue::{BrokerStatus, DatabaseStats, QueueError, QueueStats, SharedQueue, WorkerInfo};

/// How often the queue is asked.
const PERIOD: Duration = Duration::from_secs(1);

/// How old a reading may be and still be shown. An older one is left out: a gauge that is absent
/// tells more than one that is frozen.
const FRESH: Duration = Duration::from_secs(2);

/// The latest readings of the queue, kept by [`keep_current`] where that runs. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Readings(Arc<Mutex<Latest>>);

#[derive(Debug, Default)]
struct Latest {
    /// Whether [`keep_current`] runs, so that nobody else has to ask.
    kept: bool,
    queue: Option<(Instant, Reading)>,
    broker: Option<BrokerStatus>,
    works: Option<(Instant, bool)>,
    trouble: Option<String>,
}

/// What the queue said when it answered every question.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) stats: QueueStats,
    pub(crate) workers: Vec<WorkerInfo>,
    pub(crate) database: DatabaseStats,
}

/// How the queue is now.
#[derive(Clone, Debug)]
pub(crate) struct Current {
    /// Why it cannot be used, or not be read.
    pub(crate) trouble: Option<String>,
    /// What it said, if that is fresh.
    pub(crate) reading: Option<Reading>,
    /// The connection to the broker, where there is one.
    pub(crate) broker: Option<BrokerStatus>,
}

impl Readings {
    /// The database's numbers, if they are fresh.
    #[must_use]
    pub fn database(&self) -> Option<DatabaseStats> {
        self.fresh().map(|reading| reading.database)
    }

    /// How the connection to the broker is, where there is one.
    #[must_use]
    pub fn broker(&self) -> Option<BrokerStatus> {
        self.0.lock().broker.clone()
    }

    /// How the queue is. Asks it only where [`keep_current`] doesn't.
    pub(crate) async fn current(&self, queue: &SharedQueue) -> Current {
        let kept = self.0.lock().kept;
        if !kept {
            self.refresh(queue, Process::Api).await;
        }
        let reading = self.fresh();
        let latest = self.0.lock();
        Current {
            trouble: latest.trouble.clone(),
            reading,
            broker: latest.broker.clone(),
        }
    }

    pub(super) fn fresh(&self) -> Option<Reading> {
        let latest = self.0.lock();
        let (when, reading) = latest.queue.as_ref()?;
        (when.elapsed() <= FRESH).then(|| reading.clone())
    }

    /// Whether the queue worked when last asked; not if that was too long ago.
    pub(super) fn queue_works(&self) -> bool {
        self.0
            .lock()
            .works
            .is_some_and(|(when, works)| works && when.elapsed() <= FRESH)
    }

    async fn refresh(&self, queue: &SharedQueue, process: Process) {
        // As of before the answers came: what is shown is never older than it claims.
        let when = Instant::now();
        self.0.lock().broker = queue.broker();
        let answers = async { tokio::join!(queue.check(), read(queue, process)) };
        let answered = tokio::time::timeout(FRESH, answers).await;
        let mut latest = self.0.lock();
        let Ok((check, reading)) = answered else {
            latest.works = Some((when, false));
            latest.trouble = Some("the queue does not answer".to_owned());
            return;
        };
        latest.works = Some((when, check.is_ok()));
        let fault = check.err().or(reading.as_ref().err().cloned());
        latest.trouble = fault.map(|error| error.to_string());
        if let Ok(reading) = reading {
            latest.queue = Some((when, reading));
        }
    }
}

async fn read(queue: &SharedQueue, process: Process) -> Result<Reading, QueueError> {
    if process == Process::Worker {
        // A worker shows neither the queue nor the fleet.
        return Ok(Reading {
            stats: QueueStats::default(),
            workers: Vec::new(),
            database: queue.database().await?,
        });
    }
    let (stats, workers, database) =
        tokio::try_join!(queue.stats(), queue.workers(), queue.database())?;
    Ok(Reading {
        stats,
        workers,
        database,
    })
}

/// Asks the queue once a second until `stop`.
pub async fn keep_current(
    readings: Readings,
    queue: SharedQueue,
    process: Process,
    stop: CancellationToken,
) {
    readings.0.lock().kept = true;
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let asking = async {
        loop {
            ticks.tick().await;
            readings.refresh(&queue, process).await;
        }
    };
    let _ = stop.run_until_cancelled(asking).await;
    readings.0.lock().kept = false;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::QueueOptions;
    use crate::queue::sqlite::SqliteQueue;

    #[tokio::test]
    async fn who_looks_asks_the_queue_only_where_nobody_does_it_for_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("queue.db");
        let queue = SqliteQueue::open(&path, QueueOptions::default(), None).unwrap();
        let queue: SharedQueue = Arc::new(queue);
        let asked = async || queue.database().await.unwrap().queries_total;
        let readings = Readings::default();
        let first = readings.current(&queue).await;
        assert!(first.reading.is_some() && first.trouble.is_none());
        let before = asked().await;
        readings.current(&queue).await;
        assert!(asked().await > before, "nobody else asks");

        readings.0.lock().kept = true;
        let before = asked().await;
        for _ in 0..100 {
            readings.current(&queue).await;
        }
        assert_eq!(asked().await, before);
        queue.close().await;
    }
}
