//! Every route, and every layer around them.
//!
//! ```text
//! GET    /                        page::index       public
//! GET    /assets/{name}           page::asset       public
//! GET    /live                    page::follow      health:read
//! GET    /health                  health::live      public
//! GET    /health/ready            health::ready     public
//! GET    /health/status           health::status    health:read
//! POST   /job                     jobs::submit      job:write
//! GET    /job                     jobs::list        job:read
//! POST   /job/batch               jobs::submit_batch  job:write
//! GET    /job/status              jobs::status      job:read
//! GET    /job/workers             workers::list     job:read
//! GET    /job/{id}                jobs::get         job:read
//! DELETE /job/{id}                jobs::delete      job:write
//! GET    /job/{id}/events         events::follow    job:read
//! POST   /job/{id}/retry          jobs::retry       job:write
//! POST   /worker/{name}/drain     workers::drain    worker:write
//! POST   /worker/{name}/undrain   workers::undrain  worker:write
//! GET    /openapi.json            openapi::document public
//! GET    /docs, /docs/{file}      docs::page, ...   public
//! ```
//!
//! The metrics paths are configurable, so the telemetry declares them and they are merged in here.

use std::any::Any;

use axum::Router;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{HeaderValue, X_CONTENT_TYPE_OPTIONS};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::routes;

use super::problem::Problem;
use super::routes::Routes;
use super::state::ApiState;
use super::{body, docs, events, guard, health, jobs, openapi, page, workers};
use crate::access::Permission::{HealthRead, JobRead, JobWrite, WorkerWrite};
use crate::config::Config;

/// The whole API: routes, answers for everything that is no route, and layers. `metrics` are the
/// metrics endpoints, if they are served here, and `measure` wraps what is to be measured.
pub fn router(
    state: &ApiState,
    config: &Config,
    metrics: Router,
    measure: impl FnOnce(Router) -> Router,
) -> Router {
    let (routes, description) = routes(state).describe(openapi::metrics(config)).finish();
    let document = openapi::finished(&description, &state.operations.inputs());
    // Made once per state; were it made twice, it would be the same.
    let _ = state.description.set(document.to_string().into());
    let routes = routes.fallback(no_such_path).with_state(state.clone());
    layered(routes.merge(metrics), state, measure)
}

/// What a worker process serves beside its metrics: whether it lives and whether it is ready.
pub fn health_router(state: &ApiState, metrics: Router) -> Router {
    let (routes, _) = health(Routes::new(state)).finish();
    let routes = routes.fallback(no_such_path).with_state(state.clone());
    layered(routes.merge(metrics), state, std::convert::identity)
}

/// What tells a supervisor whether to restart the process and whether to send it requests.
fn health(routes: Routes) -> Routes {
    routes
        .public(routes!(health::live))
        .public(routes!(health::ready))
}

fn routes(state: &ApiState) -> Routes {
    health(Routes::new(state))
        .public(routes!(page::assets::index))
        .public(routes!(page::assets::asset))
        .needs(HealthRead, routes!(page::live::follow))
        .needs(HealthRead, routes!(health::status))
        .needs(JobWrite, routes!(jobs::submit))
        .needs(JobRead, routes!(jobs::list))
        .needs(JobWrite, routes!(jobs::submit_batch))
        .needs(JobRead, routes!(jobs::status))
        .needs(JobRead, routes!(workers::list))
        .needs(JobRead, routes!(jobs::get))
        .needs(JobWrite, routes!(jobs::delete))
        .needs(JobRead, routes!(events::follow))
        .needs(JobWrite, routes!(jobs::retry))
        .needs(WorkerWrite, routes!(workers::drain))
        .needs(WorkerWrite, routes!(workers::undrain))
        .public(routes!(openapi::document))
        .public(routes!(docs::moved))
        .public(routes!(docs::page))
        .public(routes!(docs::asset))
}

/// Wraps the routes, innermost first. A request meets the last one first.
fn layered(routes: Router, state: &ApiState, measure: impl FnOnce(Router) -> Router) -> Router {
    let guarded = routes
        // After the merge, so that it stands for the metrics paths, too.
        .method_not_allowed_fallback(no_such_method)
        // Answers 503 itself, so that whatever measures requests outside sees an ordinary answer.
        .layer(middleware::from_fn(guard::deadline))
        .layer(middleware::from_fn(body::drained))
        .layer(middleware::from_fn_with_state(state.clone(), guard::origin))
        .layer(middleware::map_response(as_declared));
    // Measured here: refusals count, and so do panics, before they become an answer.
    measure(guarded).layer(CatchPanicLayer::custom(panicked))
}

/// Tells browsers to take an answer for what it says it is.
async fn as_declared(mut response: Response) -> Response {
    let nosniff = HeaderValue::from_static("nosniff");
    response
        .headers_mut()
        .insert(X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

async fn no_such_path() -> Problem {
    Problem::not_found("there is nothing at this path")
}

async fn no_such_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "this path does not know this method; the Allow header lists those it knows",
    )
}

#[allow(clippy::needless_pass_by_value)] // The signature tower-http asks for.
fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!("a request handler panicked");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "a fault in the server; it has been logged",
    )
    .into_response()
}
