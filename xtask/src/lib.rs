//! What tests across the workspace share: where the test tools are, and how to drive them.
//!
//! The other half of this package is the program `cargo xtask`, which installs those tools and runs
//! the tests. Everything here blocks: from an async test, call it through `spawn_blocking`.
//!
//! A tool that is missing makes a test fail, never pass unseen. A test that needs one carries the
//! tool's [marker](tools::Tool::marker) in its path (`mod with_prometheus { ... }`), so that
//! `cargo xtask test --offline` can leave it out by name, and say so.

mod browser;
mod nats;
mod otlp;
mod prometheus;
mod promtool;
mod python;
pub mod tools;

pub use browser::{Browser, Screen};
pub use nats::{NatsCluster, NatsServer};
pub use otlp::{OtlpReceiver, Received};
pub use prometheus::{Labels, Prometheus, Target, TargetHealth};
pub use promtool::promtool_check_metrics;
pub use python::Python;
