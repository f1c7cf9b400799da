//! Log lines that say which trace they belong to.

use std::fmt::{self, Write};

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Adds `trace_id` and `span_id` of the current span, if there is one, at the end of what another format writes.
pub(super) struct Correlated<F> {
    pub(super) format: F,
    /// Whether the other format writes JSON objects, and not text.
    pub(super) json: bool,
}

impl<F, S, N> FormatEvent<S, N> for Correlated<F>
where
    F: FormatEvent<S, N>,
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let span = Context::map_current(|context| context.span().span_context().clone());
        if !span.is_valid() {
            return self.format.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.format
            .format_event(context, Writer::new(&mut line), event)?;
        writer.write_str(&with_ids(&line, &span, self.json))
    }
}

fn with_ids(line: &str, span: &SpanContext, json: bool) -> String {
    let (trace, span) = (span.trace_id(), span.span_id());
    let line = line.trim_end_matches('\n');
    let mut with = String::with_capacity(line.len() + 80);
    // Writing to a string cannot fail.
    let _ = match line.strip_suffix('}').filter(|_| json) {
        Some(open) => writeln!(with, r#"{open},"trace_id":"{trace}","span_id":"{span}"}}"#),
        None => writeln!(with, "{line} trace_id={trace} span_id={span}"),
    };
    with
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanId, TraceFlags, TraceId, TraceState};

    use super::*;

    #[test]
    fn ids_stand_at_the_end_of_both_formats() {
        let (trace, span) = (TraceId::from(0xabc), SpanId::from(0xd));
        let span = SpanContext::new(trace, span, TraceFlags::SAMPLED, false, TraceState::NONE);
        assert_eq!(
            with_ids("INFO osapi: up {x}\n", &span, false),
            "INFO osapi: up {x} trace_id=00000000000000000000000000000abc span_id=000000000000000d\n"
        );
        let line = with_ids("{\"message\":\"up }\"}\n", &span, true);
        let parsed: serde_json::Value = serde_json::from_str(&line).expect("an object");
        assert_eq!(parsed["message"], "up }");
        assert_eq!(parsed["trace_id"], "00000000000000000000000000000abc");
        assert_eq!(parsed["span_id"], "000000000000000d");
        assert!(line.ends_with("}\n"));
    }
}
