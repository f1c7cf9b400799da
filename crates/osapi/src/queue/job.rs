//! Jobs as callers hand them in and see them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

/// Names a job: a version 7 UUID, so ids sort by the time of submission.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
pub struct JobId(pub Uuid);

impl JobId {
    /// A new id, larger than every one this process made before.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for JobId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for JobId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text).map(Self)
    }
}

/// Where a job stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Accepted, waits for its first start.
    Submitted,
    /// A worker holds it.
    Processing,
    /// An attempt failed or was lost; waits for the next one.
    Retrying,
    /// Done.
    Completed,
    /// Given up.
    Failed,
    /// Cancelled by a caller.
    Cancelled,
}

impl JobState {
    /// Every state, in the order of a job's life.
    pub const ALL: [Self; 6] = [
        Self::Submitted,
        Self::Processing,
        Self::Retrying,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The name used in JSON, queries and labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Processing => "processing",
            Self::Retrying => "retrying",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more happens to a job in this state.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for JobState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| {
                let known = Self::ALL.map(Self::as_str).join(", ");
                format!("unknown job state {text:?}: one of {known}")
            })
    }
}

/// Who is to run a job. In JSON `"_any"`, `"_all"` or a host name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Target {
    /// Any one worker.
    Any,
    /// Every worker that is ready at submission, once each.
    All,
    /// A worker with this name or on this host, also one that is yet to come.
    Host(String),
}

/// Longest host name accepted as a target, in bytes (RFC 1035 section 2.3.4).
pub const MAX_HOST_LEN: usize = 255;

impl PartialSchema for Target {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^(_any|_all|[A-Za-z0-9.-][A-Za-z0-9._-]{0,254})$"))
            .into()
    }
}

impl ToSchema for Target {}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        match target {
            Target::Any => "_any".to_owned(),
            Target::All => "_all".to_owned(),
            Target::Host(name) => name,
        }
    }
}

impl TryFrom<String> for Target {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "_any" => Ok(Self::Any),
            "_all" => Ok(Self::All),
            "" => {
                Err("target_hostname is empty: give \"_any\", \"_all\" or a host name".to_owned())
            }
            name if name.starts_with('_') => Err(format!(
                "unknown target_hostname {name:?}: \"_any\", \"_all\" or a host name"
            )),
            name if name.len() > MAX_HOST_LEN => Err(format!(
                "target_hostname is longer than {MAX_HOST_LEN} bytes"
            )),
            name if !name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b)) =>
            {
                Err(
                    "target_hostname holds other characters than letters, digits and . - _"
                        .to_owned(),
                )
            }
            _ => Ok(Self::Host(text)),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "_any",
            Self::All => "_all",
            Self::Host(name) => name,
        })
    }
}

/// What a job does: the name of an operation and its input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// The operation's name, such as `node.hostname.get`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its input; which fields it may have is the operation's business.
    #[serde(default = "empty_object")]
    pub data: serde_json::Value,
}

fn empty_object() -> serde_json::Value {
    serde_json::Value::Object(serde_json::Map::new())
}

/// A job to be accepted. The operation has been validated by the caller.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// What to do.
    pub operation: Operation,
    /// Who is to do it.
    pub target: Target,
    /// The same key gives the same job, once, for as long as the job is kept.
    pub idempotency_key: Option<String>,
    /// The request it came with, for whoever runs it.
    pub trace_context: Option<TraceContext>,
}

/// Where a job belongs in a trace, as the headers of W3C Trace Context have it. The queue carries it and
/// looks at nothing in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceContext {
    /// Of the span the job was handed in with.
    pub traceparent: String,
    /// What vendors add to it.
    pub tracestate: Option<String>,
}

/// A job the queue has accepted and will not lose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enqueued {
    /// Its name.
    pub id: JobId,
    /// When it was accepted; with a replayed key, when the first one was.
    pub created_at: Timestamp,
    /// Whether the key was known, so that no new job was made.
    pub replayed: bool,
    /// Units of work made: one, or one per worker of a job for all. 0 when replayed.
    pub units: u32,
    /// The operation's name.
    pub operation: String,
}

/// What happened to a job, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TimelineEvent {
    /// When it happened.
    pub timestamp: Timestamp,
    /// What happened.
    pub event: TimelineKind,
    /// The worker it happened on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// The error, or the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The kinds of [`TimelineEvent`].
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum TimelineKind {
    /// The job was accepted.
    Submitted,
    /// A worker began an attempt.
    Started,
    /// An attempt failed; another one follows.
    Retrying,
    /// The worker vanished during an attempt; another one follows.
    Rescued,
    /// The worker gave the job back without having done it.
    Returned,
    /// The job is done.
    Completed,
    /// The job is given up.
    Failed,
    /// A caller cancelled the job.
    Cancelled,
    /// A caller made a new job of this one.
    Retried,
}

/// What one worker made of its part of a job for all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UnitResponse {
    /// Where this part stands.
    pub status: JobState,
    /// Attempts begun.
    pub attempts: u32,
    /// Its result, once completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<serde_json::Value>,
    /// Its last error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Everything known about a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobRecord {
    /// Its name.
    pub id: JobId,
    /// Where it stands.
    pub status: JobState,
    /// What it does.
    pub operation: Operation,
    /// Who is to run it.
    pub target_hostname: Target,
    /// Attempts begun; of a job for all, the sum over its workers.
    pub attempts: u32,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its latest attempt began (of a job for all, its first).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it reached its final state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// The worker of the latest attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// The result; a failed job can have one too, such as the output of a failed command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<serde_json::Value>,
    /// The last error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Of a job for all: what each worker made of it, by the worker's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub responses: Option<BTreeMap<String, UnitResponse>>,
    /// What happened so far, oldest first.
    pub timeline: Vec<TimelineEvent>,
}

/// A job in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobSummary {
    /// Its name.
    pub id: JobId,
    /// Where it stands.
    pub status: JobState,
    /// What it does.
    pub operation: Operation,
    /// Who is to run it.
    pub target_hostname: Target,
    /// Attempts begun.
    pub attempts: u32,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its latest attempt began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it reached its final state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// The worker of the latest attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// The last error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One page of a list, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobPage {
    /// How many jobs the filter matches.
    pub total_items: u64,
    /// How many jobs there are in each state, whatever the filter.
    pub status_counts: super::StateCounts,
    /// This page's jobs.
    pub items: Vec<JobSummary>,
}

/// How many bytes of operations and errors a page of a list holds before it is full. Each job may be
/// as large as a request, so rows alone would not bound a page.
pub const MAX_PAGE_BYTES: usize = 4 << 20;

/// Which jobs to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobFilter {
    /// Only jobs in this state.
    pub status: Option<JobState>,
    /// At most so many; fewer when they are large, see [`MAX_PAGE_BYTES`].
    pub limit: u32,
    /// Leaving out so many of the newest.
    pub offset: u64,
}

/// What deleting a job did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deleted {
    /// It had not ended: it is cancelled now and its record stays.
    Cancelled {
        /// The operation's name.
        operation: String,
        /// Units cancelled, whether or not a worker held them; they have ended here.
        units: u32,
    },
    /// It had ended: its record is gone.
    Removed,
}
