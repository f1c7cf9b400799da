//! Spans: one per request, one per attempt at a job, in the trace of whoever asked.
//!
//! They are spans of `tracing`, which a layer of `tracing-opentelemetry` gives to the exporter; so spans that
//! operations open become part of them. While traces are off there is no such layer, no subscriber wants these spans,
//! and making one costs a load and a branch.

mod attempt;
mod body;
mod propagation;
mod server;

use meterline::Traces;
use opentelemetry::trace::TracerProvider as _;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

pub use self::attempt::{attempt_span, note_end};
pub use self::propagation::current;
pub use self::server::{Serving, serve};

/// The target of the spans made here, for the filters of what is logged and what is exported.
pub const TARGET: &str = "osapi::span";

/// Libraries whose spans are about themselves, the exporter's own connection among them.
const CHATTY: [&str; 5] = ["h2", "hyper", "hyper_util", "rustls", "tower"];

/// What gives spans, and what is logged in them, to the exporter.
pub fn layer<S>(traces: &Traces) -> impl Layer<S> + Send + Sync
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let wanted = Targets::new().with_default(LevelFilter::INFO);
    let wanted = CHATTY.iter().fold(wanted, |wanted, library| {
        wanted.with_target(*library, LevelFilter::OFF)
    });
    tracing_opentelemetry::layer()
        .with_tracer(traces.provider().tracer("osapi"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_filter(wanted)
}
