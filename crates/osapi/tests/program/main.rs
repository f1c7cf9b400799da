//! The program as users meet it: real processes, real sockets, real files.

#![allow(clippy::unwrap_used)] // Everything here is a test, also the functions tests share.

mod access;
mod api;
mod backup;
mod cli;
mod clock;
mod config;
mod deploy;
mod faults;
mod hostile;
mod life;
mod metric_pages;
mod metrics;
mod monitored;
mod openapi;
mod page;
mod presets;
mod pushed;
mod secured;
mod stopping;
mod support;
mod traced;
mod traces;
mod with_nats;
