//! What is kept of a unit, and how it changes. No broker in here.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::queue::{
    JobId, JobRecord, JobState, JobSummary, Operation, Target, TimelineEvent, TimelineKind,
    TraceContext, UnitResponse,
};

/// A job, or one worker's part of a job for all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Unit {
    pub(super) id: JobId,
    /// The job for all it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) parent: Option<JobId>,
    /// Of a job for all: its parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) parts: Vec<JobId>,
    pub(super) state: JobState,
    pub(super) operation: Operation,
    /// For a part: the worker, as a host.
    pub(super) target: Target,
    pub(super) attempts: u32,
    pub(super) created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) finished_at: Option<Timestamp>,
    /// When the next attempt was to begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) due: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) worker: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) result: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
    /// What it was handed in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) trace: Option<TraceContext>,
    /// Failed, and not retried since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) dlq: bool,
    /// Tells whoever wrote this, and did not hear that it arrived, that it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) timeline: Vec<TimelineEvent>,
}

/// A final state and what goes with it.
pub(super) struct Ending {
    pub(super) state: JobState,
    pub(super) kind: TimelineKind,
    pub(super) error: Option<String>,
    pub(super) result: Option<serde_json::Value>,
}

impl Ending {
    pub(super) fn completed(result: Option<serde_json::Value>) -> Self {
        Self {
            state: JobState::Completed,
            kind: TimelineKind::Completed,
            error: None,
            result,
        }
    }

    pub(super) fn failed(error: String, result: Option<serde_json::Value>) -> Self {
        Self {
            state: JobState::Failed,
            kind: TimelineKind::Failed,
            error: Some(error),
            result,
        }
    }

    pub(super) fn cancelled() -> Self {
        Self {
            state: JobState::Cancelled,
            kind: TimelineKind::Cancelled,
            error: None,
            result: None,
        }
    }
}

impl Unit {
    pub(super) fn new(id: JobId, operation: Operation, target: Target) -> Self {
        Self {
            id,
            parent: None,
            parts: Vec::new(),
            state: JobState::Submitted,
            operation,
            target,
            attempts: 0,
            created_at: Timestamp::now(),
            started_at: None,
            finished_at: None,
            due: None,
            worker: None,
            result: None,
            error: None,
            key: None,
            trace: None,
            dlq: false,
            by: None,
            timeline: Vec::new(),
        }
    }

    /// One worker's part of this job for all.
    pub(super) fn part(&self, worker: &str) -> Self {
        let target = Target::Host(worker.to_owned());
        Self {
            parent: Some(self.id),
            created_at: self.created_at,
            worker: Some(worker.to_owned()),
            trace: self.trace.clone(),
            ..Self::new(JobId::new(), self.operation.clone(), target)
        }
    }

    fn note(&mut self, kind: TimelineKind, worker: bool, message: Option<String>) {
        self.timeline.push(TimelineEvent {
            timestamp: Timestamp::now(),
            event: kind,
            worker: self.worker.clone().filter(|_| worker),
            message,
        });
    }

    /// An attempt begins.
    pub(super) fn start(&mut self, worker: &str) {
        self.state = JobState::Processing;
        self.attempts += 1;
        self.worker = Some(worker.to_owned());
        self.started_at = Some(Timestamp::now());
        self.due = None;
        self.by = None;
        self.note(TimelineKind::Started, true, None);
    }

    /// The attempt under way ended without result; another follows.
    pub(super) fn put_back(&mut self, kind: TimelineKind, due: Timestamp, error: String) {
        self.state = JobState::Retrying;
        self.due = Some(due);
        self.note(kind, true, Some(error.clone()));
        self.error = Some(error);
    }

    /// The attempt under way is undone.
    pub(super) fn give_back(&mut self) {
        self.note(TimelineKind::Returned, true, None);
        self.attempts = self.attempts.saturating_sub(1);
        if self.attempts == 0 {
            self.state = JobState::Submitted;
            self.started_at = None;
        } else {
            self.state = JobState::Retrying;
        }
    }

    pub(super) fn end(&mut self, ending: Ending) {
        self.state = ending.state;
        self.finished_at = Some(Timestamp::now());
        self.due = None;
        self.dlq = ending.state == JobState::Failed && self.parent.is_none();
        let by_worker = self.attempts > 0 && self.parts.is_empty();
        self.note(ending.kind, by_worker, ending.error.clone());
        self.error = ending.error;
        self.result = ending.result;
    }

    /// The end of a job for all, once all its parts have theirs.
    pub(super) fn settlement(parts: &[Self]) -> Option<Ending> {
        if !parts.iter().all(|part| part.state.is_final()) {
            return None;
        }
        let failed = parts
            .iter()
            .filter(|part| part.state == JobState::Failed)
            .count();
        Some(match failed {
            0 => Ending::completed(None),
            _ => Ending::failed(
                format!("failed on {failed} of {} workers", parts.len()),
                None,
            ),
        })
    }

    pub(super) fn retried_as(&mut self, id: JobId) {
        self.dlq = false;
        self.note(TimelineKind::Retried, false, Some(format!("as {id}")));
    }

    pub(super) fn vanished(&self) -> String {
        format!("worker {} vanished", self.worker.as_deref().unwrap_or("?"))
    }

    /// As a caller sees it, with the parts of a job for all.
    pub(super) fn record(self, parts: &[Self]) -> JobRecord {
        let mut timeline = vec![TimelineEvent {
            timestamp: self.created_at,
            event: TimelineKind::Submitted,
            worker: None,
            message: None,
        }];
        timeline.extend(self.timeline);
        let responses = (self.target == Target::All).then(|| {
            let worker = |part: &Self| part.target.to_string();
            parts
                .iter()
                .map(|part| (worker(part), part.response()))
                .collect()
        });
        if responses.is_some() {
            timeline.extend(parts.iter().flat_map(|part| part.timeline.iter().cloned()));
            // Stable, so the job's own end stays behind the part's that brought it about.
            timeline.sort_by_key(|event| {
                let own = event.worker.is_none() && event.event != TimelineKind::Submitted;
                (event.timestamp, own)
            });
        }
        JobRecord {
            id: self.id,
            status: self.state,
            operation: self.operation,
            target_hostname: self.target,
            attempts: self.attempts + parts.iter().map(|part| part.attempts).sum::<u32>(),
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
            worker: self.worker,
            result: self.result,
            error: self.error,
            responses,
            timeline,
        }
    }

    fn response(&self) -> UnitResponse {
        UnitResponse {
            status: self.state,
            attempts: self.attempts,
            result: self.result.clone(),
            error: self.error.clone(),
        }
    }

    /// As a list shows it.
    pub(super) fn summary(self, parts: &[Self]) -> JobSummary {
        let record = Self {
            timeline: Vec::new(),
            ..self
        }
        .record(parts);
        JobSummary {
            id: record.id,
            status: record.status,
            operation: record.operation,
            target_hostname: record.target_hostname,
            attempts: record.attempts,
            created_at: record.created_at,
            started_at: record.started_at,
            finished_at: record.finished_at,
            worker: record.worker,
            error: record.error,
        }
    }

    /// What the index keeps of it.
    pub(super) fn brief(&self) -> Brief {
        Brief {
            state: self.state,
            kind: self.operation.kind.clone(),
            parent: self.parent,
            created_us: self.created_at.as_microsecond(),
            finished_us: self.finished_at.map(Timestamp::as_microsecond),
            worker: self
                .worker
                .clone()
                .filter(|_| self.state == JobState::Processing),
            dlq: self.dlq,
            all: self.target == Target::All,
        }
    }
}

/// What the index keeps of a unit. It travels in a header, so that whoever keeps an index need not be
/// sent results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Brief {
    #[serde(rename = "s")]
    pub(super) state: JobState,
    #[serde(rename = "k")]
    pub(super) kind: String,
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub(super) parent: Option<JobId>,
    #[serde(rename = "c")]
    pub(super) created_us: i64,
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub(super) finished_us: Option<i64>,
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub(super) worker: Option<String>,
    #[serde(rename = "d", default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) dlq: bool,
    #[serde(rename = "a", default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) all: bool,
}

/// A worker as the registry keeps it; in the header, as the payload is empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Enrolled {
    pub(super) worker: String,
    pub(super) instance: Uuid,
    pub(super) hostname: String,
    pub(super) labels: std::collections::BTreeMap<String, String>,
    pub(super) slots: u32,
    pub(super) active: u32,
    pub(super) processed: u64,
    pub(super) draining: bool,
    pub(super) started_at: Timestamp,
}

/// What an idempotency key stands for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Keyed {
    pub(super) id: JobId,
    pub(super) created_at: Timestamp,
    /// Of the operation and its target.
    pub(super) digest: Uuid,
}

/// Tells jobs that differ apart.
pub(super) fn digest(operation: &Operation, target: &Target) -> Uuid {
    let text = serde_json::to_vec(&(operation, target)).unwrap_or_default();
    Uuid::new_v5(&Uuid::NAMESPACE_OID, &text)
}

/// Units to be accepted together: all of them once this is stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Staged {
    /// Further messages that hold units of it.
    pub(super) chunks: u32,
    pub(super) units: Vec<Unit>,
}
