//! Every route, and every layer around them.
//!
//! ```text
//! GET    /                        page::index       public
//! GET    /assets/{name}           page::asset       public
//! GET    /live                    page::follow
//! GET    /health                  health::live      public
//! GET    /health/ready            health::ready     public
//! GET    /health/status           health::status
//! POST   /job                     jobs::submit
//! GET    /job                     jobs::list
//! POST   /job/batch               jobs::submit_batch
//! GET    /job/status              jobs::status
//! GET    /job/workers             workers::list
//! GET    /job/{id}                jobs::get
//! DELETE /job/{id}                jobs::delete
//! GET    /job/{id}/events         events::follow
//! POST   /job/{id}/retry          jobs::retry
//! POST   /worker/{name}/drain     workers::drain
//! POST   /worker/{name}/undrain   workers::undrain
//! ```
//!
//! The metrics paths are configurable, so the telemetry declares them and they are merged in here.

use std::any::Any;

use axum::Router;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::StatusCode;
use http::header::{HeaderValue, X_CONTENT_TYPE_OPTIONS};
use tower_http::catch_panic::CatchPanicLayer;

use super::problem::Problem;
use super::state::ApiState;
use super::{body, events, guard, health, jobs, page, workers};

/// The whole API: routes, answers for everything that is no route, and layers. `metrics` are the
/// metrics endpoints, if they are served here, and `measure` wraps what is to be measured.
pub fn router(state: &ApiState, metrics: Router, measure: impl FnOnce(Router) -> Router) -> Router {
    layered(routes(state).merge(metrics), state, measure)
}

/// What a worker process serves beside its metrics: whether it lives and whether it is ready.
pub fn health_router(state: &ApiState, metrics: Router) -> Router {
    let routes = Router::new()
        .route("/health", get(health::live))
        .route("/health/ready", get(health::ready))
        .fallback(no_such_path)
        .with_state(state.clone())
        .merge(metrics);
    layered(routes, state, std::convert::identity)
}

fn routes(state: &ApiState) -> Router {
    Router::new()
        .route("/", get(page::index))
        .route("/assets/{name}", get(page::asset))
        .route("/live", get(page::follow))
        .route("/health", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/health/status", get(health::status))
        .route("/job", post(jobs::submit).get(jobs::list))
        .route("/job/batch", post(jobs::submit_batch))
        .route("/job/status", get(jobs::status))
        .route("/job/workers", get(workers::list))
        .route("/job/{id}", get(jobs::get).delete(jobs::delete))
        .route("/job/{id}/events", get(events::follow))
        .route("/job/{id}/retry", post(jobs::retry))
        .route("/worker/{name}/drain", post(workers::drain))
        .route("/worker/{name}/undrain", post(workers::undrain))
        .fallback(no_such_path)
        .with_state(state.clone())
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
    Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path")
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
