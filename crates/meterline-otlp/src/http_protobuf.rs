//! OTLP/HTTP with binary protobuf (OTLP specification, "OTLP/HTTP").

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::answer::{Answer, PartialSuccess, said};
use crate::client::Reply;

/// The headers of a request.
pub(crate) fn headers(headers: &mut HeaderMap, gzip: bool) {
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-protobuf"),
    );
    if gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
}

/// What the reply means: exactly four codes may be tried again.
pub(crate) fn answer(reply: &Reply) -> Answer {
    match reply.status {
        status if status.is_success() => Answer::Accepted(PartialSuccess::read(
            reply.body.as_deref().unwrap_or_default(),
        )),
        status @ (StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT) => Answer::Retry {
            why: why(status, reply.body.as_ref()),
            after: retry_after(&reply.headers, SystemTime::now()),
        },
        status => Answer::Refused {
            why: why(status, reply.body.as_ref()),
        },
    }
}

/// The status, and what the body says: a `google.rpc.Status`, or text.
fn why(status: StatusCode, body: Option<&Bytes>) -> String {
    let body = body.map(|body| match status_message(body) {
        Some(message) => said(message),
        None => said(body),
    });
    match body {
        Some(said) if !said.is_empty() => format!("HTTP {status}: {said}"),
        _ => format!("HTTP {status}"),
    }
}

/// Field 2 of a `google.rpc.Status`, if that is what it is.
fn status_message(body: &[u8]) -> Option<&[u8]> {
    use meterline_protobuf::{Reader, Value};
    let fields: Vec<_> = Reader::new(body).collect::<Result<_, _>>().ok()?;
    fields.into_iter().find_map(|field| match field {
        (2, Value::Bytes(message)) => Some(message),
        _ => None,
    })
}

/// How long the collector wants to be left alone: seconds or a date (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let given = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = given.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(given).ok()?;
    Some(at.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use meterline_protobuf::Writer;

    use super::*;

    fn reply(status: u16, body: &[u8]) -> Reply {
        Reply {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: HeaderMap::new(),
            body: Some(Bytes::copy_from_slice(body)),
            trailers: HeaderMap::new(),
        }
    }

    #[test]
    fn only_the_four_codes_of_the_specification_are_tried_again() {
        for status in 100..=599 {
            let retried = matches!(answer(&reply(status, b"")), Answer::Retry { .. });
            assert_eq!(retried, [429, 502, 503, 504].contains(&status), "{status}");
            let accepted = matches!(answer(&reply(status, b"")), Answer::Accepted(_));
            assert_eq!(accepted, (200..300).contains(&status), "{status}");
        }
    }

    #[test]
    fn what_the_collector_says_is_passed_on() {
        let mut status = Writer::new();
        status.uint64(1, 3);
        status.string(2, "no such tenant");
        for body in [status.as_slice(), b"no such tenant\n"] {
            let why = "HTTP 400 Bad Request: no such tenant".to_owned();
            assert_eq!(answer(&reply(400, body)), Answer::Refused { why });
        }
    }

    #[test]
    fn both_forms_of_retry_after_are_understood() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777 - 90);
        for (given, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(90)),
            ("Sun, 06 Nov 1983 08:49:37 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(given))]);
            let expected = expected.map(Duration::from_secs);
            assert_eq!(retry_after(&headers, now), expected, "{given}");
        }
    }
}
