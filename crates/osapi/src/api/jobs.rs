//! Jobs: submitted, listed, read, cancelled, repeated.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::LOCATION;
use jiff::Timestamp;
use meterline_jobs::UnitStatus;
use serde::{Deserialize, Serialize};

use super::extract::{IdempotencyKey, JsonBody, Object, PathJob, QueryOf};
use super::problem::Problem;
use super::state::ApiState;
use crate::queue::{
    Deleted, Enqueued, JobFilter, JobId, JobPage, JobRecord, JobState, NewJob, Operation,
    QueueStats, StateCounts, Target,
};

/// Most jobs in one batch.
const MAX_BATCH: usize = 1000;

/// A job as clients submit it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Submission {
    operation: Object<Operation>,
    #[serde(default = "anybody")]
    target_hostname: Target,
}

fn anybody() -> Target {
    Target::Any
}

impl Submission {
    fn checked(self, state: &ApiState, key: Option<String>) -> Result<NewJob, Problem> {
        let Object(operation) = self.operation;
        state.operations.check(&operation)?;
        Ok(NewJob {
            operation,
            target: self.target_hostname,
            idempotency_key: key,
            trace_context: None,
        })
    }
}

/// Several jobs, accepted all or not at all.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Batch {
    jobs: Vec<Object<Submission>>,
}

/// A job that was accepted.
#[derive(Serialize)]
struct Accepted {
    job_id: JobId,
    status: JobState,
    created_at: Timestamp,
}

impl From<&Enqueued> for Accepted {
    fn from(job: &Enqueued) -> Self {
        Self {
            job_id: job.id,
            status: JobState::Submitted,
            created_at: job.created_at,
        }
    }
}

#[derive(Serialize)]
struct AcceptedBatch {
    jobs: Vec<Accepted>,
}

/// Accepts a job. 201, or 200 with the first answer for a key already used.
pub(super) async fn submit(
    State(state): State<ApiState>,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(submission): JsonBody<Submission>,
) -> Result<Response, Problem> {
    state.accepting()?;
    let job = submission.checked(&state, key)?;
    let accepted = enqueue(&state, vec![job]).await?;
    let [job] = accepted.as_slice() else {
        return Err(miscounted());
    };
    Ok(created(job))
}

/// Accepts up to 1,000 jobs in one transaction. A key covers the batch as a whole.
pub(super) async fn submit_batch(
    State(state): State<ApiState>,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(batch): JsonBody<Batch>,
) -> Result<Response, Problem> {
    state.accepting()?;
    if !(1..=MAX_BATCH).contains(&batch.jobs.len()) {
        return Err(Problem::bad_request(format!(
            "a batch has 1 to {MAX_BATCH} jobs, this one has {}",
            batch.jobs.len()
        )));
    }
    let mut jobs = Vec::with_capacity(batch.jobs.len());
    for (index, Object(submission)) in batch.jobs.into_iter().enumerate() {
        // No key of a client's holds a newline, so these never meet a single job's.
        let key = key.as_ref().map(|key| format!("{key}\n{index}"));
        jobs.push(submission.checked(&state, key)?);
    }
    let accepted = enqueue(&state, jobs).await?;
    let replayed = accepted.iter().all(|job| job.replayed);
    let answer = AcceptedBatch {
        jobs: accepted.iter().map(Accepted::from).collect(),
    };
    Ok((made(replayed), Json(answer)).into_response())
}

async fn enqueue(state: &ApiState, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, Problem> {
    let accepted = state.queue.enqueue(jobs).await?;
    for job in accepted.iter().filter(|job| !job.replayed) {
        state.metrics.created(&job.operation, job.units.into());
    }
    Ok(accepted)
}

fn miscounted() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the queue answered for another number of jobs than it was given",
    )
}

fn made(replayed: bool) -> StatusCode {
    if replayed {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    }
}

fn created(job: &Enqueued) -> Response {
    let location = [(LOCATION, format!("/job/{}", job.id))];
    (made(job.replayed), location, Json(Accepted::from(job))).into_response()
}

/// Which jobs to list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    status: Option<String>,
    limit: Option<u32>,
    offset: Option<u64>,
}

/// A page of jobs, newest first.
pub(super) async fn list(
    State(state): State<ApiState>,
    QueryOf(query): QueryOf<ListQuery>,
) -> Result<Json<JobPage>, Problem> {
    let status = query
        .status
        .map(|status| status.parse::<JobState>())
        .transpose()
        .map_err(Problem::bad_request)?;
    let limit = query.limit.unwrap_or(10);
    if !(1..=100).contains(&limit) {
        return Err(Problem::bad_request(format!(
            "limit is 1 to 100, not {limit}"
        )));
    }
    let filter = JobFilter {
        status,
        limit,
        offset: query.offset.unwrap_or(0),
    };
    Ok(Json(state.queue.list(filter).await?))
}

/// Everything about a job.
pub(super) async fn get(
    State(state): State<ApiState>,
    PathJob(id): PathJob,
) -> Result<Json<JobRecord>, Problem> {
    Ok(Json(state.queue.get(id).await?))
}

/// Cancels a job that has not ended; removes the record of one that has.
pub(super) async fn delete(
    State(state): State<ApiState>,
    PathJob(id): PathJob,
) -> Result<StatusCode, Problem> {
    if let Deleted::Cancelled { operation, units } = state.queue.delete(id).await? {
        state
            .metrics
            .completed(&operation, UnitStatus::Cancelled, units.into());
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a new job of one that has ended.
pub(super) async fn retry(
    State(state): State<ApiState>,
    PathJob(id): PathJob,
) -> Result<Response, Problem> {
    state.accepting()?;
    let job = state.queue.retry(id, None).await?;
    state.metrics.created(&job.operation, job.units.into());
    Ok(created(&job))
}

/// How many jobs there are in each state.
#[derive(Serialize)]
pub(super) struct JobCounts {
    total: u64,
    #[serde(flatten)]
    states: StateCounts,
    dlq: u64,
}

impl From<&QueueStats> for JobCounts {
    fn from(stats: &QueueStats) -> Self {
        Self {
            total: stats.jobs.total(),
            states: stats.jobs,
            dlq: stats.dlq,
        }
    }
}

/// What the queue holds.
#[derive(Serialize)]
pub(super) struct JobsStatus {
    #[serde(flatten)]
    counts: JobCounts,
    oldest_waiting_seconds: f64,
    operations: BTreeMap<String, StateCounts>,
}

/// What the queue holds, by state and by operation.
pub(super) async fn status(State(state): State<ApiState>) -> Result<Json<JobsStatus>, Problem> {
    let stats = state.stats().await?;
    Ok(Json(JobsStatus {
        counts: JobCounts::from(&stats),
        oldest_waiting_seconds: stats.oldest_waiting.unwrap_or_default().as_secs_f64(),
        operations: stats.operations,
    }))
}
