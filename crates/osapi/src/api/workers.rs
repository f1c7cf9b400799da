//! The fleet.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::extract::PathText;
use super::problem::Problem;
use super::state::ApiState;
use crate::queue::WorkerInfo;

/// The workers there are.
#[derive(Serialize, ToSchema)]
pub(super) struct Fleet {
    total: usize,
    workers: Vec<WorkerInfo>,
}

/// A worker and what it was told.
#[derive(Serialize, ToSchema)]
pub(super) struct Told {
    worker: String,
    state: &'static str,
}

/// The fleet, by name.
#[utoipa::path(
    get,
    path = "/job/workers",
    tag = "workers",
    responses((status = 200, description = "The fleet", body = Fleet))
)]
pub(super) async fn list(State(state): State<ApiState>) -> Result<Json<Fleet>, Problem> {
    let workers = state.queue.workers().await?;
    Ok(Json(Fleet {
        total: workers.len(),
        workers,
    }))
}

/// Tells a worker to finish what it has and take no more.
#[utoipa::path(
    post,
    path = "/worker/{name}/drain",
    tag = "workers",
    params(("name" = String, Path, description = "The worker")),
    responses(
        (status = 200, description = "It will do so", body = Told),
        (status = 404, description = "There is no such worker", content_type = "application/problem+json", body = Problem),
    )
)]
pub(super) async fn drain(
    State(state): State<ApiState>,
    PathText(name): PathText,
) -> Result<Json<Told>, Problem> {
    tell(&state, name, true).await
}

/// Tells a worker to take work again.
#[utoipa::path(
    post,
    path = "/worker/{name}/undrain",
    tag = "workers",
    params(("name" = String, Path, description = "The worker")),
    responses(
        (status = 200, description = "It will do so", body = Told),
        (status = 404, description = "There is no such worker", content_type = "application/problem+json", body = Problem),
    )
)]
pub(super) async fn undrain(
    State(state): State<ApiState>,
    PathText(name): PathText,
) -> Result<Json<Told>, Problem> {
    tell(&state, name, false).await
}

async fn tell(state: &ApiState, worker: String, draining: bool) -> Result<Json<Told>, Problem> {
    state.queue.set_draining(worker.clone(), draining).await?;
    Ok(Json(Told {
        worker,
        state: if draining { "draining" } else { "ready" },
    }))
}
