//! How states and events are stored.

use jiff::Timestamp;

use crate::queue::{JobState, Target, TimelineEvent, TimelineKind};

pub(super) const SUBMITTED: i64 = 0;
pub(super) const PROCESSING: i64 = 1;
pub(super) const RETRYING: i64 = 2;
pub(super) const COMPLETED: i64 = 3;
pub(super) const FAILED: i64 = 4;
pub(super) const CANCELLED: i64 = 5;
/// Not a state of a job: where the dead-letter queue is counted.
pub(super) const DLQ: i64 = 6;

/// The state a stored number stands for; `None` for [`DLQ`] and for numbers never written.
pub(super) fn decode(number: i64) -> Option<JobState> {
    Some(match number {
        SUBMITTED => JobState::Submitted,
        PROCESSING => JobState::Processing,
        RETRYING => JobState::Retrying,
        COMPLETED => JobState::Completed,
        FAILED => JobState::Failed,
        CANCELLED => JobState::Cancelled,
        _ => return None,
    })
}

/// The number a state is stored as.
pub(super) const fn encode(state: JobState) -> i64 {
    match state {
        JobState::Submitted => SUBMITTED,
        JobState::Processing => PROCESSING,
        JobState::Retrying => RETRYING,
        JobState::Completed => COMPLETED,
        JobState::Failed => FAILED,
        JobState::Cancelled => CANCELLED,
    }
}

/// Whether a stored state is final.
pub(super) const fn is_final(number: i64) -> bool {
    matches!(number, COMPLETED | FAILED | CANCELLED)
}

/// Who may claim a unit, as stored: everybody, a host, or one worker. The prefixes keep a host and a
/// worker of the same name apart.
pub(super) fn route(target: &Target) -> Option<String> {
    match target {
        Target::Any => Some(String::new()),
        Target::All => None,
        Target::Host(name) => Some(host_route(name)),
    }
}

pub(super) fn host_route(host: &str) -> String {
    format!("h:{host}")
}

pub(super) fn worker_route(worker: &str) -> String {
    format!("w:{worker}")
}

/// An event as it is appended to a stored timeline.
pub(super) fn event(
    at: Timestamp,
    kind: TimelineKind,
    worker: Option<&str>,
    message: Option<&str>,
) -> String {
    let event = TimelineEvent {
        timestamp: at,
        event: kind,
        worker: worker.map(str::to_owned),
        message: message.map(str::to_owned),
    };
    let mut text = serde_json::to_string(&event).unwrap_or_default();
    text.push(',');
    text
}

/// The events of a stored timeline.
pub(super) fn events(text: &str) -> Vec<TimelineEvent> {
    serde_json::from_str(&format!("[{}]", text.trim_end_matches(','))).unwrap_or_default()
}
