use meterline_sdk::{Attributes, Exemplar};
use opentelemetry::{SpanId, TraceId};

use crate::families::Kind;
use crate::labels::{LabelRules, Labels};
use crate::name::Naming;

const TRACE_ID: &str = "trace_id";
const SPAN_ID: &str = "span_id";

/// The most characters OpenMetrics 1.0 allows in the names and values of an exemplar's labels.
const MOST_CHARACTERS: usize = 128;

/// Calls `label` with each label of an exemplar: the span it was recorded in, then the attributes its
/// series does not have, as far as they fit. An attribute that is called like one of the former gives
/// way (OpenTelemetry specification, "Prometheus and OpenMetrics Compatibility", exemplars).
pub(crate) fn exemplar_labels(
    exemplar: &Exemplar,
    naming: Naming,
    mut label: impl FnMut(&str, &str),
) {
    let mut room = MOST_CHARACTERS;
    if let Some((trace, span)) = exemplar.span {
        let (trace, span) = (hexadecimal(trace), hexadecimal_span(span));
        let (names, values) = ([TRACE_ID, SPAN_ID], [text(&trace), text(&span)]);
        for (name, value) in names.into_iter().zip(values) {
            label(name, value);
            room -= name.len() + value.len();
        }
    }
    if exemplar.filtered_attributes.is_empty() {
        return;
    }
    let mut rendered = String::new();
    let attributes = Attributes::new(&exemplar.filtered_attributes);
    LabelRules::bare(naming, Kind::Gauge).render(&mut rendered, &attributes);
    for (name, value) in Labels::rendered(&rendered).iter() {
        let taken = exemplar.span.is_some() && [TRACE_ID, SPAN_ID].contains(&&*name);
        let characters = name.chars().count() + value.chars().count();
        if !taken && characters <= room {
            label(&name, &value);
            room -= characters;
        }
    }
}

fn hexadecimal(trace: TraceId) -> [u8; 32] {
    let mut out = [0; 32];
    digits(&trace.to_bytes(), &mut out);
    out
}

fn hexadecimal_span(span: SpanId) -> [u8; 16] {
    let mut out = [0; 16];
    digits(&span.to_bytes(), &mut out);
    out
}

fn digits(bytes: &[u8], out: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, out) in bytes.iter().zip(out.chunks_exact_mut(2)) {
        out[0] = DIGITS[usize::from(byte >> 4)];
        out[1] = DIGITS[usize::from(byte & 15)];
    }
}

fn text(digits: &[u8]) -> &str {
    std::str::from_utf8(digits).unwrap_or_default()
}

/// The latest of the exemplars that is in a bucket above `after` and at most `bound`, where they come
/// in the order of the buckets; those below are passed over.
pub(crate) fn in_bucket<'a>(
    exemplars: &mut std::iter::Peekable<impl Iterator<Item = &'a Exemplar>>,
    after: f64,
    bound: f64,
) -> Option<&'a Exemplar> {
    let mut latest: Option<&Exemplar> = None;
    // What is not a number is in no bucket.
    while let Some(next) = exemplars.next_if(|e| {
        let value = e.value.as_f64();
        value <= bound || value.is_nan()
    }) {
        let newer = latest.is_none_or(|latest| latest.time <= next.time);
        if next.value.as_f64() > after && newer {
            latest = Some(next);
        }
    }
    latest
}
