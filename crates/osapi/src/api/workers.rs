//! The fleet.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::extract::PathText;
use super::problem::Problem;
use super::state::ApiState;
use crate::queue::WorkerInfo;

/// The workers there are.
#[derive(Serialize)]
pub(super) struct Fleet {
    total: usize,
    workers: Vec<WorkerInfo>,
}

/// A worker and what it was told.
#[derive(Serialize)]
pub(super) struct Told {
    worker: String,
    state: &'static str,
}

/// The fleet, by name.
pub(super) async fn list(State(state): State<ApiState>) -> Result<Json<Fleet>, Problem> {
    let workers = state.queue.workers().await?;
    Ok(Json(Fleet {
        total: workers.len(),
        workers,
    }))
}

/// Tells a worker to finish what it has and take no more.
pub(super) async fn drain(
    State(state): State<ApiState>,
    PathText(name): PathText,
) -> Result<Json<Told>, Problem> {
    tell(&state, name, true).await
}

/// Tells a worker to take work again.
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
