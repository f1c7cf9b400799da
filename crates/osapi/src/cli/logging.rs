//! What the program says about itself, on standard error.

use std::io;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

use crate::config::{LogConfig, LogFormat, LogLevel};

/// Libraries whose debug output is about themselves.
const CHATTY: [&str; 4] = ["hyper", "hyper_util", "reqwest", "mio"];

/// Warns of each client that breaks the protocol, so a client could fill the log.
const PROVOKED: &str = "h2";

/// Starts logging. A second call changes nothing.
pub(super) fn start(config: &LogConfig) {
    let registry = tracing_subscriber::registry().with(filter(config.level));
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    // Failing means that somebody listens already, such as a test.
    let _ = match config.format {
        LogFormat::Text => registry.with(lines.with_ansi(false)).try_init(),
        LogFormat::Json => registry
            .with(lines.json().flatten_event(true).with_current_span(false))
            .try_init(),
    };
}

/// What is logged of ours, and of the libraries.
fn filter(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let quieter = level.min(LevelFilter::INFO);
    CHATTY
        .iter()
        .fold(Targets::new().with_default(level), |filter, target| {
            filter.with_target(*target, quieter)
        })
        .with_target(PROVOKED, level.min(LevelFilter::ERROR))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn libraries_say_less_and_clients_cannot_make_them() {
        for level in [LogLevel::Info, LogLevel::Debug, LogLevel::Trace] {
            let filter = filter(level);
            assert!(filter.would_enable("osapi::worker", &Level::INFO));
            assert!(filter.would_enable("hyper_util::client", &Level::WARN));
            assert!(!filter.would_enable("hyper_util::client", &Level::DEBUG));
            assert!(filter.would_enable("h2::server", &Level::ERROR));
            assert!(!filter.would_enable("h2::proto::streams::recv", &Level::WARN));
        }
        assert!(!filter(LogLevel::Off).would_enable("h2::server", &Level::ERROR));
        assert!(!filter(LogLevel::Error).would_enable("osapi::worker", &Level::WARN));
    }
}
