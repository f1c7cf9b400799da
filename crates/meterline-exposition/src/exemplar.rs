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

/// The latest of the exemplars that is in a bucket above `after` and at most `bound`, in whatever order
/// they come: those of exponential histograms do not come in that of the buckets.
pub(crate) fn in_bucket<'a>(
    exemplars: impl Iterator<Item = &'a Exemplar>,
    after: f64,
    bound: f64,
) -> Option<&'a Exemplar> {
    let inside = exemplars.filter(|exemplar| {
        let value = exemplar.value.as_f64();
        value > after && value <= bound
    });
    inside.max_by_key(|exemplar| exemplar.time)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use meterline_sdk::Number;

    use super::*;

    #[test]
    fn the_latest_inside_is_found_in_any_order() {
        let exemplar = |value, seconds| Exemplar {
            value: Number::F64(value),
            time: UNIX_EPOCH + Duration::from_secs(seconds),
            span: None,
            filtered_attributes: Box::default(),
        };
        let all = [
            exemplar(9.0, 1),
            exemplar(f64::NAN, 9),
            exemplar(2.0, 3),
            exemplar(1.0, 4),
            exemplar(1.5, 2),
        ];
        let found = |after, bound| in_bucket(all.iter(), after, bound).map(|e| e.value.as_f64());
        assert_eq!(found(f64::NEG_INFINITY, 1.0), Some(1.0));
        assert_eq!(found(1.0, 2.0), Some(2.0));
        assert_eq!(found(2.0, 4.0), None);
        assert_eq!(found(4.0, f64::INFINITY), Some(9.0));
    }
}
