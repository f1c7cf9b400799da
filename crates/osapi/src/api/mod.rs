//! The HTTP API: what it serves ([`router()`]), and how errors read ([`Problem`]).

mod body;
mod docs;
mod events;
mod extract;
mod guard;
mod health;
mod jobs;
mod openapi;
mod page;
mod problem;
mod router;
mod routes;
mod state;
mod workers;

pub use self::problem::Problem;
pub use self::router::{health_router, router};
pub use self::routes::metrics_check;
pub use self::state::{ApiState, Lifecycle, OperationRules};
