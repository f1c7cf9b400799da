//! osapi: an HTTP API that runs jobs on Linux hosts through workers.
//!
//! A job is accepted by the API, kept durably by a [`queue`], taken by a [`worker`] and carried out by
//! one of the [`operations`].

pub mod access;
pub mod api;
pub mod cli;
pub mod config;
pub mod metrics;
pub mod monitoring;
pub mod operations;
pub mod queue;
pub mod telemetry;
pub mod traces;
pub mod worker;
