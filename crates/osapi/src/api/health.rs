//! Whether the process lives, whether it can take jobs, and how everything is.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::jobs::JobCounts;
use super::state::ApiState;
use crate::queue::{BrokerStatus, DatabaseStats, WorkerState};

/// How long the queue may take to prove that it works.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// 200 as long as the process can answer at all.
#[utoipa::path(
    get,
    path = "/health",
    tag = "health",
    responses((status = 200, description = "The process answers", body = Health))
)]
pub(super) async fn live() -> Response {
    answer(StatusCode::OK, "ok", None)
}

/// 200 when jobs can be accepted: the queue was just read and written, and no shutdown is under way.
#[utoipa::path(
    get,
    path = "/health/ready",
    tag = "health",
    responses(
        (status = 200, description = "Jobs can be accepted", body = Health),
        (status = 503, description = "They cannot", body = Health),
    )
)]
pub(super) async fn ready(State(state): State<ApiState>) -> Response {
    let error = if state.lifecycle.is_stopping() {
        Some("the server is shutting down".to_owned())
    } else {
        check(&state).await.err()
    };
    match error {
        None => answer(StatusCode::OK, "ready", None),
        Some(_) => answer(StatusCode::SERVICE_UNAVAILABLE, "not_ready", error),
    }
}

fn answer(code: StatusCode, status: &'static str, error: Option<String>) -> Response {
    (code, Json(Health { status, error })).into_response()
}

async fn check(state: &ApiState) -> Result<(), String> {
    match tokio::time::timeout(CHECK_TIMEOUT, state.queue.check()).await {
        Ok(checked) => checked.map_err(|error| error.to_string()),
        Err(_) => Err(format!(
            "the queue did not answer within {} s",
            CHECK_TIMEOUT.as_secs()
        )),
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct Status {
    status: &'static str,
    version: &'static str,
    uptime: String,
    #[schema(value_type = BTreeMap<String, Health>)]
    components: BTreeMap<&'static str, Health>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jobs: Option<JobCounts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workers: Option<WorkerCounts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<DatabaseStats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nats: Option<BrokerStatus>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct WorkerCounts {
    total: usize,
    ready: usize,
}

/// How each component is, and what there is. 503 when a component does not work; what it would
/// have told is left out then.
#[utoipa::path(
    get,
    path = "/health/status",
    tag = "health",
    responses(
        (status = 200, description = "Everything works", body = Status),
        (status = 503, description = "A component does not work", body = Status),
    )
)]
pub(super) async fn status(State(state): State<ApiState>) -> Response {
    let counted = async {
        let (stats, workers, database) = tokio::join!(
            state.queue.stats(),
            state.queue.workers(),
            state.queue.database()
        );
        (stats, workers, database)
    };
    let (checked, counted) =
        tokio::join!(check(&state), tokio::time::timeout(CHECK_TIMEOUT, counted));
    let (stats, workers, database) = match counted {
        Ok((stats, workers, database)) => (stats.ok(), workers.ok(), database.ok()),
        Err(_) => (None, None, None),
    };
    let mut components = BTreeMap::from([("api", component(Ok(())))]);
    let ok = checked.is_ok();
    components.insert("queue", component(checked));
    let report = Status {
        status: if ok { "ok" } else { "degraded" },
        version: env!("CARGO_PKG_VERSION"),
        uptime: uptime(&state),
        components,
        jobs: stats.map(|stats| JobCounts::from(&stats)),
        workers: workers.map(|workers| WorkerCounts {
            total: workers.len(),
            ready: workers
                .iter()
                .filter(|w| w.state == WorkerState::Ready)
                .count(),
        }),
        database,
        nats: state.queue.broker(),
    };
    let code = if ok {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (code, Json(report)).into_response()
}

fn component(checked: Result<(), String>) -> Health {
    Health {
        status: if checked.is_ok() { "ok" } else { "error" },
        error: checked.err(),
    }
}

fn uptime(state: &ApiState) -> String {
    let seconds = state.started.elapsed().as_secs();
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}
