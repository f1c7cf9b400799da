//! OTLP/gRPC (OTLP specification, "OTLP/gRPC"): one unary call, as the gRPC protocol over HTTP/2
//! frames it.

use std::time::Duration;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use meterline_protobuf::Value;
use percent_encoding::percent_decode_str;

use crate::answer::{Answer, PartialSuccess, fields, said};
use crate::client::Reply;
use crate::options::Signal;

/// The method requests go to.
pub(crate) fn path(signal: Signal) -> &'static str {
    match signal {
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    }
}

const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const STATUS: &str = "grpc-status";

/// Both forms of padding are out there.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The headers of a call.
pub(crate) fn headers(headers: &mut HeaderMap, gzip: bool) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    if gzip {
        headers.insert(ENCODING, HeaderValue::from_static("gzip"));
    }
}

/// A message as a call carries it: whether it is compressed, its length, and itself.
pub(crate) fn framed(message: &[u8], gzip: bool) -> Bytes {
    let mut out = BytesMut::with_capacity(5 + message.len());
    out.put_u8(u8::from(gzip));
    // Requests are far smaller than 4 GiB.
    out.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    out.put_slice(message);
    out.freeze()
}

/// What the reply means.
pub(crate) fn answer(reply: &Reply) -> Answer {
    let all = [&reply.trailers, &reply.headers];
    let Some(status) = all.iter().find_map(|headers| headers.get(STATUS)) else {
        return without_status(reply);
    };
    let get = |name: &str| all.iter().find_map(|headers| headers.get(name));
    let code = status
        .to_str()
        .ok()
        .and_then(|code| code.parse::<u32>().ok());
    if code == Some(0) {
        let message = reply.body.as_deref().and_then(|body| body.get(5..));
        return Answer::Accepted(PartialSuccess::read(message.unwrap_or_default()));
    }
    let details = get("grpc-status-details-bin");
    let after = details.and_then(|details| retry_delay(&BASE64.decode(details).ok()?));
    let message = get("grpc-message").and_then(|message| message.to_str().ok());
    let message = message.map(|message| percent_decode_str(message).collect::<Vec<_>>());
    let message = said(&message.unwrap_or_default());
    let name = code.and_then(|code| CODES.get(code as usize)).copied();
    let name = name.unwrap_or("an unknown status");
    let why = if message.is_empty() {
        format!("gRPC {name}")
    } else {
        format!("gRPC {name}: {message}")
    };
    match code {
        // CANCELLED, DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS.
        Some(1 | 4 | 10 | 11 | 14 | 15) => Answer::Retry { why, after },
        // RESOURCE_EXHAUSTED: only a server that says when can recover.
        Some(8) if after.is_some() => Answer::Retry { why, after },
        _ => Answer::Refused { why },
    }
}

/// Not answered by a gRPC server, or not to the end (gRPC, "HTTP to gRPC Status Code Mapping").
fn without_status(reply: &Reply) -> Answer {
    let why = match reply.status {
        StatusCode::OK if reply.body.is_none() => {
            let why = "the answer is too large".to_owned();
            return Answer::Refused { why };
        }
        StatusCode::OK => "the answer ended without a gRPC status".to_owned(),
        status => format!("HTTP {status}, not from a gRPC server"),
    };
    match reply.status {
        StatusCode::OK
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Answer::Retry { why, after: None },
        _ => Answer::Refused { why },
    }
}

/// The delay of the `google.rpc.RetryInfo` among the details of a `google.rpc.Status`.
fn retry_delay(status: &[u8]) -> Option<Duration> {
    let message = |(field, value)| match value {
        Value::Bytes(bytes) => Some((field, bytes)),
        _ => None,
    };
    let details = fields(status).filter_map(message);
    let details = details.filter(|(field, _)| *field == 3);
    details.into_iter().find_map(|(_, any)| {
        let part = |number| {
            let mut parts = fields(any).filter_map(message);
            parts.find_map(|(field, bytes)| (field == number).then_some(bytes))
        };
        if !part(1)?.ends_with(b"/google.rpc.RetryInfo") {
            return None;
        }
        let info = part(2).unwrap_or_default();
        let delay = fields(info)
            .filter_map(message)
            .find(|(field, _)| *field == 1);
        Some(delay.map_or(Duration::ZERO, |(_, delay)| duration(delay)))
    })
}

/// A `google.protobuf.Duration`; a negative one is none.
fn duration(message: &[u8]) -> Duration {
    let (mut seconds, mut nanos) = (0, 0);
    for field in fields(message) {
        match field {
            (1, Value::Varint(value)) => seconds = value.cast_signed(),
            (2, Value::Varint(value)) => nanos = value.cast_signed(),
            _ => {}
        }
    }
    let seconds = u64::try_from(seconds).unwrap_or(0);
    let nanos = u32::try_from(nanos).unwrap_or(0).min(999_999_999);
    Duration::new(seconds, nanos)
}

const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

#[cfg(test)]
mod tests {
    use meterline_protobuf::Writer;

    use super::*;

    fn reply(status: u32, more: &[(&'static str, String)]) -> Reply {
        let mut trailers = HeaderMap::new();
        trailers.insert(STATUS, HeaderValue::from(status));
        for (name, value) in more {
            trailers.insert(*name, HeaderValue::from_str(value).expect("a header"));
        }
        Reply {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Some(Bytes::new()),
            trailers,
        }
    }

    fn details(type_url: &str, seconds: i64, nanos: i64) -> Vec<u8> {
        let mut out = Writer::new();
        out.uint64(1, 8);
        for url in ["type.googleapis.com/google.rpc.Help", type_url] {
            let any = out.begin(3);
            out.string(1, url);
            let info = out.begin(2);
            let delay = out.begin(1);
            out.int64(1, seconds);
            out.int64(2, nanos);
            out.end(delay);
            out.end(info);
            out.end(any);
        }
        out.into_vec()
    }

    #[test]
    fn exactly_the_codes_of_the_specification_are_tried_again() {
        for code in 0..20 {
            let retried = matches!(answer(&reply(code, &[])), Answer::Retry { .. });
            assert_eq!(retried, [1, 4, 10, 11, 14, 15].contains(&code), "{code}");
            let accepted = matches!(answer(&reply(code, &[])), Answer::Accepted(_));
            assert_eq!(accepted, code == 0, "{code}");
        }
    }

    #[test]
    fn exhausted_is_tried_again_only_when_the_server_says_when() {
        let retry_info = details("type.googleapis.com/google.rpc.RetryInfo", 7, 500_000_000);
        let padded = base64::engine::general_purpose::STANDARD.encode(&retry_info);
        let bare = padded.trim_end_matches('=').to_owned();
        for encoded in [padded, bare] {
            let more = [("grpc-status-details-bin", encoded)];
            let Answer::Retry { after, .. } = answer(&reply(8, &more)) else {
                panic!("it is not tried again");
            };
            assert_eq!(after, Some(Duration::from_millis(7_500)));
            assert!(matches!(answer(&reply(3, &more)), Answer::Refused { .. }));
        }
        let other = details("type.googleapis.com/google.rpc.QuotaFailure", 7, 0);
        for nonsense in [
            BASE64.encode(other),
            "%%%".to_owned(),
            BASE64.encode(b"\xff\xff"),
        ] {
            let more = [("grpc-status-details-bin", nonsense)];
            assert!(matches!(answer(&reply(8, &more)), Answer::Refused { .. }));
        }
    }

    #[test]
    fn a_delay_that_makes_no_sense_is_none() {
        let url = "type.googleapis.com/google.rpc.RetryInfo";
        assert_eq!(retry_delay(&details(url, -5, -5)), Some(Duration::ZERO));
        let longest = retry_delay(&details(url, i64::MAX, i64::MAX));
        assert_eq!(longest, Some(Duration::new(i64::MAX as u64, 0)));
    }

    #[test]
    fn messages_are_decoded() {
        let more = [("grpc-message", "no%20such%0Atenant%".to_owned())];
        let why = "gRPC PERMISSION_DENIED: no such tenant%".to_owned();
        assert_eq!(answer(&reply(7, &more)), Answer::Refused { why });
    }

    #[test]
    fn partial_success_comes_in_a_frame() {
        let mut response = Writer::new();
        let partial = response.begin(1);
        response.uint64(1, 5);
        response.end(partial);
        let mut reply = reply(0, &[]);
        reply.body = Some(framed(response.as_slice(), false));
        let Answer::Accepted(partial) = answer(&reply) else {
            panic!("it is accepted");
        };
        assert_eq!(partial.rejected, 5);
    }

    #[test]
    fn who_is_no_grpc_server_is_told_apart() {
        for status in 200..=599 {
            let mut reply = reply(0, &[]);
            reply.trailers.clear();
            reply.status = StatusCode::from_u16(status).expect("a status");
            let retried = matches!(answer(&reply), Answer::Retry { .. });
            assert_eq!(
                retried,
                [200, 429, 502, 503, 504].contains(&status),
                "{status}"
            );
        }
    }
}
