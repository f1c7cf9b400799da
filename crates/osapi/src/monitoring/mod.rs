//! What operators load into Prometheus and Grafana: recording rules, alerts with their runbook, and
//! dashboards. Written here once, for the default names, and printed for a configured namespace; the files
//! under `ops/` and `docs/runbook.md` are printed by the tests.

mod alerts;
mod dashboards;
mod names;
mod recorded;
mod rules;
mod runbook;

pub use self::alerts::{ALERTS, Alert, Severity};
pub use self::dashboards::{DASHBOARDS, Dashboard, dashboards};
pub use self::names::{Metrics, Unsupported};
pub use self::recorded::{RECORDED, Recorded};
pub use self::rules::rules;
pub use self::runbook::runbook;
