//! Rules, alerts, runbook and dashboards: up to date, true to the catalogue, and working.

#![allow(clippy::unwrap_used)] // Everything here is a test, also the functions tests share.

#[path = "../program/metrics/exposed.rs"]
mod exposed;
mod expressions;
mod files;
mod samples;
mod with_promtool;
