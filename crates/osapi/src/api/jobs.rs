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
use utoipa::{IntoParams, ToSchema};

use super::extract::{
    IdempotencyHeader, IdempotencyKey, JobPath, JsonBody, Object, PathJob, QueryOf,
};
use super::openapi::NewOperation;
use super::problem::Problem;
use super::state::ApiState;
use crate::queue::{
    Deleted, Enqueued, JobFilter, JobId, JobPage, JobRecord, JobState, NewJob, Operation,
    QueueStats, StateCounts, Target,
};
use crate::traces;

/// Most jobs in one batch.
const MAX_BATCH: usize = 1000;

/// A job as clients submit it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Submission {
    #[schema(value_type = NewOperation)]
    operation: Object<Operation>,
    /// `_any` worker, `_all` of them, or one by its name or its host's.
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
            trace_context: traces::current(),
        })
    }
}

/// Several jobs, accepted all or not at all.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Batch {
    #[schema(value_type = Vec<Submission>, min_items = 1, max_items = 1000)]
    jobs: Vec<Object<Submission>>,
}

/// A job that was accepted.
#[derive(Serialize, ToSchema)]
pub(super) struct Accepted {
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

#[derive(Serialize, ToSchema)]
pub(super) struct AcceptedBatch {
    jobs: Vec<Accepted>,
}

/// Accepts a job. 201, or 200 with the first answer for a key already used.
#[utoipa::path(
    post,
    path = "/job",
    tag = "jobs",
    params(IdempotencyHeader),
    request_body = Submission,
    responses(
        (status = 201, description = "Accepted", body = Accepted, headers(("Location" = String, description = "The job's path"))),
        (status = 200, description = "The key was used before: the first answer", body = Accepted),
        (status = 409, description = "The key was used for another job", content_type = "application/problem+json", body = Problem),
        (status = 408, description = "The body did not come in time", content_type = "application/problem+json", body = Problem),
        (status = 413, description = "The body is too large", content_type = "application/problem+json", body = Problem),
        (status = 415, description = "The body is not JSON", content_type = "application/problem+json", body = Problem),
    )
)]
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
#[utoipa::path(
    post,
    path = "/job/batch",
    tag = "jobs",
    params(IdempotencyHeader),
    request_body = Batch,
    responses(
        (status = 201, description = "All are accepted", body = AcceptedBatch),
        (status = 200, description = "The key was used before: the first answer", body = AcceptedBatch),
        (status = 409, description = "The key was used for other jobs", content_type = "application/problem+json", body = Problem),
        (status = 408, description = "The body did not come in time", content_type = "application/problem+json", body = Problem),
        (status = 413, description = "The body is too large", content_type = "application/problem+json", body = Problem),
        (status = 415, description = "The body is not JSON", content_type = "application/problem+json", body = Problem),
    )
)]
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
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only jobs in this state.
    #[param(value_type = Option<JobState>, nullable = false)]
    status: Option<String>,
    /// At most so many; 10 if not given. There are fewer when they are large.
    #[param(minimum = 1, maximum = 100, nullable = false)]
    limit: Option<u32>,
    /// Leaves out so many of the newest.
    #[param(minimum = 0, maximum = 9223372036854775807u64, nullable = false)]
    offset: Option<u64>,
}

/// A page of jobs, newest first.
#[utoipa::path(
    get,
    path = "/job",
    tag = "jobs",
    params(ListQuery),
    responses((status = 200, description = "A page of jobs", body = JobPage))
)]
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
    let offset = query.offset.unwrap_or(0);
    if i64::try_from(offset).is_err() {
        return Err(Problem::bad_request(format!(
            "offset is 0 to {}, not {offset}",
            i64::MAX
        )));
    }
    let filter = JobFilter {
        status,
        limit,
        offset,
    };
    Ok(Json(state.queue.list(filter).await?))
}

/// Everything about a job.
#[utoipa::path(
    get,
    path = "/job/{id}",
    tag = "jobs",
    params(JobPath),
    responses(
        (status = 200, description = "The job", body = JobRecord),
        (status = 404, description = "There is no such job", content_type = "application/problem+json", body = Problem),
    )
)]
pub(super) async fn get(
    State(state): State<ApiState>,
    PathJob(id): PathJob,
) -> Result<Json<JobRecord>, Problem> {
    Ok(Json(state.queue.get(id).await?))
}

/// Cancels a job that has not ended; removes the record of one that has.
#[utoipa::path(
    delete,
    path = "/job/{id}",
    tag = "jobs",
    params(JobPath),
    responses(
        (status = 204, description = "Cancelled, or its record removed"),
        (status = 404, description = "There is no such job", content_type = "application/problem+json", body = Problem),
    )
)]
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
#[utoipa::path(
    post,
    path = "/job/{id}/retry",
    tag = "jobs",
    params(JobPath),
    responses(
        (status = 201, description = "The new job", body = Accepted, headers(("Location" = String, description = "The job's path"))),
        (status = 404, description = "There is no such job", content_type = "application/problem+json", body = Problem),
        (status = 409, description = "The job has not ended", content_type = "application/problem+json", body = Problem),
    )
)]
pub(super) async fn retry(
    State(state): State<ApiState>,
    PathJob(id): PathJob,
) -> Result<Response, Problem> {
    state.accepting()?;
    let job = state.queue.retry(id, traces::current()).await?;
    state.metrics.created(&job.operation, job.units.into());
    Ok(created(&job))
}

/// How many jobs there are in each state.
#[derive(Serialize, ToSchema)]
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
#[derive(Serialize, ToSchema)]
pub(super) struct JobsStatus {
    #[serde(flatten)]
    counts: JobCounts,
    oldest_waiting_seconds: f64,
    operations: BTreeMap<String, StateCounts>,
}

/// What the queue holds, by state and by operation.
#[utoipa::path(
    get,
    path = "/job/status",
    tag = "jobs",
    responses((status = 200, description = "What the queue holds", body = JobsStatus))
)]
pub(super) async fn status(State(state): State<ApiState>) -> Result<Json<JobsStatus>, Problem> {
    let stats = state.stats().await?;
    Ok(Json(JobsStatus {
        counts: JobCounts::from(&stats),
        oldest_waiting_seconds: stats.oldest_waiting.unwrap_or_default().as_secs_f64(),
        operations: stats.operations,
    }))
}
