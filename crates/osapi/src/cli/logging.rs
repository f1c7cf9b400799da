//! What the program says about itself, on standard error.

mod correlated;

use std::io;

use meterline::Traces;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format;
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;

use self::correlated::Correlated;
use crate::config::{LogConfig, LogFormat, LogLevel};
use crate::traces;

/// Libraries whose debug output is about themselves.
const CHATTY: [&str; 4] = ["hyper", "hyper_util", "rustls", "mio"];

/// Warns of each client that breaks the protocol, so a client could fill the log.
const PROVOKED: &str = "h2";

/// Starts logging, and giving spans to their exporter if there is one. A second call changes nothing.
pub(super) fn start(config: &LogConfig, traces: Option<&Traces>) {
    let filter = filter(config.level);
    // Failing means that somebody listens already, such as a test.
    let _ = match traces {
        None => {
            let lines = lines(config.format, false);
            tracing_subscriber::registry()
                .with(filter)
                .with(lines)
                .try_init()
        }
        // What is logged is then no longer all that is wanted: each has a filter of its own.
        Some(traces) => tracing_subscriber::registry()
            .with(traces::layer(traces))
            .with(lines(config.format, true).with_filter(filter))
            .try_init(),
    };
}

fn lines<S>(format: LogFormat, correlated: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(false);
    match (format, correlated) {
        (LogFormat::Text, false) => lines.boxed(),
        (LogFormat::Text, true) => {
            let format = Correlated {
                format: format::Format::default().with_ansi(false),
                json: false,
            };
            lines.event_format(format).boxed()
        }
        (LogFormat::Json, correlated) => {
            let json = format::Format::default()
                .json()
                .flatten_event(true)
                .with_current_span(false);
            let lines = lines.fmt_fields(format::JsonFields::new());
            if correlated {
                let (format, json) = (json, true);
                lines.event_format(Correlated { format, json }).boxed()
            } else {
                lines.event_format(json).boxed()
            }
        }
    }
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
        // Spans for an exporter; a line says its trace's id, not what is in the span.
        .with_target(traces::TARGET, LevelFilter::OFF)
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
