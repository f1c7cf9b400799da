//! A job's changes as they happen, as Server-Sent Events.

use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{Stream, StreamExt};

use super::extract::{Allowed, JobPath, PathJob};
use super::problem::Problem;
use super::state::ApiState;
use crate::queue::{JobRecord, QueueError};

/// How often a silent stream shows that it lives, so that proxies don't cut it.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Sends the record now and after each change, as events named `job`, until the job has ended or
/// is gone, the token expires, or the server stops. A failure is sent as an event named `error` and ends the stream.
/// 503 while there are too many streams.
#[utoipa::path(
    get,
    path = "/job/{id}/events",
    tag = "jobs",
    params(JobPath),
    responses(
        (status = 200, description = "The job now and after each change", content_type = "text/event-stream", body = serde_json::Value),
        (status = 404, description = "There is no such job", content_type = "application/problem+json", body = Problem),
    )
)]
pub(super) async fn follow(
    State(state): State<ApiState>,
    allowed: Allowed,
    PathJob(id): PathJob,
) -> Result<Sse<impl Stream<Item = Result<Event, axum::Error>>>, Problem> {
    let room = state.stream()?;
    // Asked first, so that an unknown job is a plain 404.
    state.queue.get(id).await?;
    let stream = state
        .queue
        .watch(id)
        .map(move |change| {
            // Given back when the stream is dropped, however it ends.
            let _ = &room;
            event(change)
        })
        .take_until(state.lifecycle.closed_owned())
        .take_until(Box::pin(allowed.over()));
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn event(change: Result<JobRecord, QueueError>) -> Result<Event, axum::Error> {
    match change {
        Ok(record) => Event::default().event("job").json_data(record),
        Err(error) => Event::default()
            .event("error")
            .json_data(Problem::from(error)),
    }
}
