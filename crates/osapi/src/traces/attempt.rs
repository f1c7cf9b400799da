//! The span of an attempt at a unit of work.

use opentelemetry::trace::TraceContextExt;
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::{TARGET, propagation};
use crate::queue::Lease;

/// A span for an attempt, in the trace of the request that made the job: its child, however much later and whatever the
/// number of the attempt.
#[must_use]
pub fn attempt_span(lease: &Lease, worker: &str) -> Span {
    let operation = lease.operation.kind.as_str();
    let span = tracing::info_span!(
        target: TARGET,
        parent: None,
        "attempt",
        otel.name = %format_args!("run {operation}"),
        otel.kind = "consumer",
        otel.status_code = Empty,
        osapi.operation = operation,
        osapi.job.id = %lease.job,
        // As a signed number, or it would go out as text.
        osapi.job.attempt = i64::from(lease.attempt),
        osapi.job.status = Empty,
        osapi.worker = worker,
    );
    if !span.is_disabled()
        && let Some(context) = &lease.trace_context
    {
        let parent = propagation::of_job(context);
        if parent.has_active_span() {
            // Fails only without the layer, and then there is nothing to be set.
            let _ = span.set_parent(parent);
        }
    }
    span
}

/// Notes on the current span how its attempt ended.
pub fn note_end(status: &'static str, failed: bool) {
    let span = Span::current();
    span.record("osapi.job.status", status);
    if failed {
        span.record("otel.status_code", "ERROR");
    }
}
