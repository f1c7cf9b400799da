//! The HTTP API: what it serves ([`router()`]), how errors read ([`Problem`]), and the server that
//! carries it ([`Server`]).

mod body;
mod events;
mod extract;
mod guard;
mod health;
mod jobs;
mod problem;
mod router;
mod server;
mod state;
mod workers;

pub use self::problem::Problem;
pub use self::router::{health_router, router};
pub use self::server::{BindError, Server};
pub use self::state::{ApiState, JobEvents, Lifecycle, OperationRules};
