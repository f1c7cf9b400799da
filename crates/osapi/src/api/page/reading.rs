//! How everything is at one moment.

use std::time::Duration;

use axum::body::Bytes;
use jiff::Timestamp;
use serde::Serialize;

use super::super::state::ApiState;
use super::measured::Measured;
use crate::queue::{DatabaseStats, JobState, QueueStats, WorkerInfo};

/// How long the queue may take to answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// What the page shows. What the queue did not tell is left out.
#[derive(Serialize)]
pub(super) struct Reading {
    /// Milliseconds since the Unix epoch.
    time: i64,
    version: &'static str,
    uptime_seconds: u64,
    /// What can be submitted.
    operations: Vec<&'static str>,
    /// Why jobs cannot be accepted, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jobs: Option<Jobs>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workers: Option<Vec<WorkerInfo>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<DatabaseStats>,
    /// What only metrics know; left out while they are off.
    #[serde(skip_serializing_if = "Option::is_none")]
    measured: Option<Measured>,
}

/// The queue's jobs: how many there are, and how many came and went.
#[derive(Serialize)]
struct Jobs {
    waiting: u64,
    retrying: u64,
    active: u64,
    dlq: u64,
    oldest_waiting_seconds: f64,
    created: f64,
    completed: f64,
    failed: f64,
}

impl Reading {
    pub(super) async fn take(state: &ApiState) -> Self {
        let queue = &state.queue;
        let asked = async {
            tokio::join!(
                queue.check(),
                queue.stats(),
                queue.workers(),
                queue.database()
            )
        };
        let asked = tokio::time::timeout(TIMEOUT, asked).await;
        let (trouble, stats, workers, database) = match asked {
            Ok((check, stats, workers, database)) => {
                let trouble = check.err().map(|error| error.to_string());
                (trouble, stats.ok(), workers.ok(), database.ok())
            }
            Err(_) => (
                Some("the queue does not answer".to_owned()),
                None,
                None,
                None,
            ),
        };
        let trouble = if state.lifecycle.is_stopping() {
            Some("the server is shutting down".to_owned())
        } else {
            trouble
        };
        let measured = match state.measurements.clone() {
            // Collecting calls back whoever observes: not on a thread that serves.
            Some(from) => tokio::task::spawn_blocking(move || from.read()).await.ok(),
            None => None,
        };
        Self {
            time: Timestamp::now().as_millisecond(),
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: state.started.elapsed().as_secs(),
            operations: state.operations.names(),
            trouble,
            jobs: stats.map(|stats| Jobs::new(&stats, measured.as_ref())),
            workers,
            database,
            measured,
        }
    }

    /// The reading as a Server-Sent Event.
    pub(super) fn event(&self) -> Bytes {
        match serde_json::to_string(self) {
            // No JSON text has a line break that is not escaped.
            Ok(json) => format!("event: reading\ndata: {json}\n\n").into(),
            Err(error) => {
                tracing::error!(%error, "a reading could not be written");
                Bytes::from_static(b": a reading could not be written\n\n")
            }
        }
    }
}

impl Jobs {
    /// Counters say best what came and went; without them, what the queue still holds.
    fn new(stats: &QueueStats, measured: Option<&Measured>) -> Self {
        let counted = measured.map(|measured| &measured.jobs);
        let held = |state| stats.jobs.get(state) as f64;
        let ended = counted.and_then(|jobs| jobs.ended);
        Self {
            waiting: stats.jobs.submitted,
            retrying: stats.jobs.retrying,
            active: stats.jobs.processing,
            dlq: stats.dlq,
            oldest_waiting_seconds: stats.oldest_waiting.unwrap_or_default().as_secs_f64(),
            created: counted.map_or_else(|| stats.jobs.total() as f64, |jobs| jobs.created),
            completed: ended.map_or_else(|| held(JobState::Completed), |ended| ended.completed),
            failed: ended.map_or_else(|| held(JobState::Failed), |ended| ended.failed),
        }
    }
}
