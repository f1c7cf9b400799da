//! What a collector answered, in terms of what to do next.

use std::time::Duration;

use meterline_protobuf::{Reader, Value};

/// What to do after a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It arrived; some points of it may have been rejected.
    Accepted(PartialSuccess),
    /// It may be sent again, after at least this long if the collector said so.
    Retry {
        why: String,
        after: Option<Duration>,
    },
    /// It must not be sent again.
    Refused { why: String },
}

/// `ExportMetricsPartialSuccess`; with zero and an empty message it is full success.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PartialSuccess {
    pub(crate) rejected: u64,
    pub(crate) message: String,
}

impl PartialSuccess {
    /// From an `ExportMetricsServiceResponse`. One that cannot be read says nothing: the request was
    /// accepted all the same.
    pub(crate) fn read(response: &[u8]) -> Self {
        let mut partial = Self::default();
        for (_, value) in fields(response).filter(|(field, _)| *field == 1) {
            let Value::Bytes(message) = value else {
                continue;
            };
            for field in fields(message) {
                match field {
                    // Negative makes no sense.
                    (1, Value::Varint(rejected)) => {
                        partial.rejected = u64::try_from(rejected.cast_signed()).unwrap_or(0);
                    }
                    (2, Value::Bytes(text)) => partial.message = said(text),
                    _ => {}
                }
            }
        }
        partial
    }
}

/// The fields of a message up to its first fault.
pub(crate) fn fields(message: &[u8]) -> impl Iterator<Item = (u32, Value<'_>)> {
    Reader::new(message).map_while(Result::ok)
}

/// What a collector says, fit for a line in a log: not too long, and no control characters.
pub(crate) fn said(text: &[u8]) -> String {
    const LONGEST: usize = 300;
    let text = String::from_utf8_lossy(&text[..text.len().min(4 * LONGEST)]);
    let printable = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    printable
        .take(LONGEST)
        .collect::<String>()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use meterline_protobuf::Writer;

    use super::*;

    fn response(rejected: i64, message: &str) -> Vec<u8> {
        let mut out = Writer::new();
        let partial = out.begin(1);
        out.int64(1, rejected);
        out.string(2, message);
        out.end(partial);
        out.into_vec()
    }

    #[test]
    fn partial_success_is_read() {
        let read = PartialSuccess::read(&response(3, "no\nroom"));
        assert_eq!(read.rejected, 3);
        assert_eq!(read.message, "no room");
        assert_eq!(PartialSuccess::read(&response(-3, "")).rejected, 0);
        assert_eq!(PartialSuccess::read(&[]), PartialSuccess::default());
    }

    #[test]
    fn nonsense_is_full_success() {
        assert_eq!(PartialSuccess::read(b"<html>"), PartialSuccess::default());
        let cut = response(3, "text");
        assert_eq!(
            PartialSuccess::read(&cut[..cut.len() - 1]),
            PartialSuccess::default()
        );
    }

    #[test]
    fn what_is_said_is_short_and_printable() {
        assert_eq!(said(b" a\x1b[31mb\r\nc\xff "), "a [31mb  c\u{fffd}");
        assert_eq!(said(&[b'x'; 100_000]).len(), 300);
    }
}
