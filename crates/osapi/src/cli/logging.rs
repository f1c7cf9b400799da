//! What the program says about itself, on standard error.

use std::io;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

use crate::config::{LogConfig, LogFormat, LogLevel};

/// Libraries whose debug output is about themselves.
const CHATTY: [&str; 5] = ["hyper", "hyper_util", "h2", "reqwest", "mio"];

/// Starts logging. A second call changes nothing.
pub(super) fn start(config: &LogConfig) {
    let level = match config.level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let quieter = level.min(LevelFilter::INFO);
    let filter = CHATTY
        .iter()
        .fold(Targets::new().with_default(level), |filter, target| {
            filter.with_target(*target, quieter)
        });
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    // Failing means that somebody listens already, such as a test.
    let _ = match config.format {
        LogFormat::Text => registry.with(lines.with_ansi(false)).try_init(),
        LogFormat::Json => registry
            .with(lines.json().flatten_event(true).with_current_span(false))
            .try_init(),
    };
}
