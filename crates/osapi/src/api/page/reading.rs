//! How everything is at one moment.

use axum::body::Bytes;
use jiff::Timestamp;
use serde::Serialize;

use super::super::state::ApiState;
use super::measured::Measured;
use crate::metrics::Current;
use crate::queue::{BrokerStatus, DatabaseStats, JobState, QueueStats, WorkerInfo};

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
    /// Left out where the queue has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    broker: Option<BrokerStatus>,
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
        let Current {
            trouble,
            reading,
            broker,
        } = state.readings.current(&state.queue).await;
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
        let (stats, workers, database) = match reading {
            Some(reading) => (
                Some(reading.stats),
                Some(reading.workers),
                Some(reading.database),
            ),
            None => (None, None, None),
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
            broker,
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
