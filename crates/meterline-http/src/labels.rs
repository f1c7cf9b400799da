//! What one request is recorded under: the values, and the attribute sets of both conventions.
//!
//! Deciding them is kept apart from recording. Every value comes from a closed set or from the server itself: the
//! method from a list, the route from the router, the status from the handler; nothing is copied from the client.

use std::borrow::Cow;
use std::sync::Arc;

use http::Version;
use opentelemetry::{KeyValue, StringValue};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    /// The response went out to its end.
    Complete,
    /// Dropped before its end: the client has gone, or a timeout outside the layer fired.
    Cancelled,
    /// The handler, or the response body, panicked.
    Panicked,
    /// The response body failed.
    BodyError,
    /// The inner service returned an error instead of a response.
    ServiceError,
}

/// The values that tell one series from another, besides the method and the route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ending {
    pub(crate) outcome: Outcome,
    /// The status sent, if any was.
    pub(crate) status: Option<u16>,
    pub(crate) version: Option<HttpVersion>,
    /// The gRPC status code, 0 to 16.
    pub(crate) grpc: Option<u8>,
}

impl Ending {
    /// All of it in the lower 21 bits of a number, no two endings in the same one. A status has three digits.
    pub(crate) fn packed(&self) -> u32 {
        const NO_GRPC_CODE: u8 = 31;
        u32::from(self.status.unwrap_or(0))
            | (self.outcome as u32) << 10
            | self.version.map_or(0, |version| version as u32 + 1) << 13
            | u32::from(self.grpc.unwrap_or(NO_GRPC_CODE)) << 16
    }

    /// `error.type`: absent on success and for 4xx. A 5xx that was sent says more than what became of its body.
    pub(crate) fn error_type(&self) -> Option<Cow<'static, str>> {
        if let Some(status @ 500..600) = self.status {
            return Some(status.to_string().into());
        }
        let name = match self.outcome {
            Outcome::Complete => grpc_error_name(self.grpc?)?,
            Outcome::Cancelled => "cancelled",
            Outcome::Panicked => "panic",
            Outcome::BodyError => "body_error",
            Outcome::ServiceError => "service_error",
        };
        Some(name.into())
    }
}

/// An HTTP version that has a name in the conventions; one byte, since it is part of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum HttpVersion {
    Http10,
    Http11,
    Http2,
    Http3,
}

impl HttpVersion {
    /// Whether gRPC can be spoken in it: that takes trailers, and gRPC-Web has a content type of its own.
    pub(crate) fn carries_grpc(self) -> bool {
        matches!(self, Self::Http2 | Self::Http3)
    }

    /// HTTP/0.9 and unknown ones have no name.
    pub(crate) fn new(version: Version) -> Option<Self> {
        match version {
            Version::HTTP_10 => Some(Self::Http10),
            Version::HTTP_11 => Some(Self::Http11),
            Version::HTTP_2 => Some(Self::Http2),
            Version::HTTP_3 => Some(Self::Http3),
            _ => None,
        }
    }

    /// As `network.protocol.version` writes it.
    fn name(self) -> &'static str {
        match self {
            Self::Http10 => "1.0",
            Self::Http11 => "1.1",
            Self::Http2 => "2",
            Self::Http3 => "3",
        }
    }
}

/// The gRPC codes that are the server's fault, by the name the gRPC specification gives them.
fn grpc_error_name(code: u8) -> Option<&'static str> {
    match code {
        2 => Some("UNKNOWN"),
        4 => Some("DEADLINE_EXCEEDED"),
        12 => Some("UNIMPLEMENTED"),
        13 => Some("INTERNAL"),
        14 => Some("UNAVAILABLE"),
        15 => Some("DATA_LOSS"),
        _ => None,
    }
}

/// Everything one request is recorded under.
pub(crate) struct Labels<'a> {
    pub(crate) method: StringValue,
    pub(crate) scheme: StringValue,
    pub(crate) route: Option<&'a Arc<str>>,
    pub(crate) ending: Ending,
}

impl Labels<'_> {
    /// `http.server.request.duration` and the body sizes.
    pub(crate) fn semconv(&self) -> Vec<KeyValue> {
        let mut attributes = self.semconv_total();
        attributes.push(KeyValue::new("url.scheme", self.scheme.clone()));
        if let Some(version) = self.ending.version {
            attributes.push(KeyValue::new("network.protocol.version", version.name()));
        }
        if let Some(code) = self.ending.grpc {
            attributes.push(KeyValue::new("rpc.grpc.status_code", i64::from(code)));
        }
        if let Some(error) = self.ending.error_type() {
            attributes.push(KeyValue::new("error.type", error));
        }
        attributes
    }

    /// `http.server.request`.
    pub(crate) fn semconv_total(&self) -> Vec<KeyValue> {
        let mut attributes = Vec::with_capacity(7);
        attributes.push(KeyValue::new("http.request.method", self.method.clone()));
        if let Some(route) = self.route {
            attributes.push(KeyValue::new("http.route", Arc::clone(route)));
        }
        if let Some(status) = self.ending.status {
            attributes.push(KeyValue::new(
                "http.response.status_code",
                i64::from(status),
            ));
        }
        attributes
    }

    /// `{prefix}_requests` and `{prefix}_request_duration`.
    pub(crate) fn classic(&self) -> Vec<KeyValue> {
        let status = match (self.ending.status, self.ending.outcome) {
            (Some(status), _) => status,
            // Nobody sent it; nginx made 499 the customary number for a client that left.
            (None, Outcome::Cancelled) => 499,
            (None, _) => 500,
        };
        let endpoint = self.route.map_or(StringValue::from("unmatched"), |route| {
            Arc::clone(route).into()
        });
        vec![
            KeyValue::new("method", self.method.clone()),
            KeyValue::new("endpoint", endpoint),
            KeyValue::new("status", status.to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_type(outcome: Outcome, status: Option<u16>, grpc: Option<u8>) -> Option<String> {
        Ending {
            outcome,
            status,
            version: None,
            grpc,
        }
        .error_type()
        .map(Cow::into_owned)
    }

    #[test]
    fn no_two_endings_are_packed_into_the_same_number() {
        let mut packed = std::collections::HashSet::new();
        let mut endings = 0;
        for outcome in [
            Outcome::Complete,
            Outcome::Cancelled,
            Outcome::Panicked,
            Outcome::BodyError,
            Outcome::ServiceError,
        ] {
            for version in [Version::HTTP_09, Version::HTTP_10, Version::HTTP_3] {
                for grpc in std::iter::once(None).chain((0..=16).map(Some)) {
                    for status in std::iter::once(None).chain((100..=999).map(Some)) {
                        let version = HttpVersion::new(version);
                        let ending = Ending {
                            outcome,
                            status,
                            version,
                            grpc,
                        };
                        packed.insert(ending.packed());
                        endings += 1;
                    }
                }
            }
        }
        assert_eq!(packed.len(), endings);
        assert!(packed.iter().all(|number| *number < 1 << 21));
    }

    #[test]
    fn a_client_error_is_no_error_of_the_server() {
        assert_eq!(error_type(Outcome::Complete, Some(404), None), None);
        assert_eq!(error_type(Outcome::Complete, Some(200), None), None);
        assert_eq!(
            error_type(Outcome::Complete, Some(503), None).as_deref(),
            Some("503")
        );
        assert_eq!(error_type(Outcome::Complete, Some(600), None), None);
    }

    #[test]
    fn a_server_error_that_was_sent_wins_over_a_client_that_left() {
        assert_eq!(
            error_type(Outcome::Cancelled, Some(502), None).as_deref(),
            Some("502")
        );
        assert_eq!(
            error_type(Outcome::Cancelled, Some(200), None).as_deref(),
            Some("cancelled")
        );
        assert_eq!(
            error_type(Outcome::Cancelled, None, None).as_deref(),
            Some("cancelled")
        );
    }

    #[test]
    fn exactly_the_six_grpc_codes_of_a_failing_server_are_errors() {
        let errors: Vec<u8> = (0..=16)
            .filter(|code| error_type(Outcome::Complete, Some(200), Some(*code)).is_some())
            .collect();
        assert_eq!(errors, [2, 4, 12, 13, 14, 15]);
    }
}
