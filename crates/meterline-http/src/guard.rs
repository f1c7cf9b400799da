//! The one record of each request: made once, whatever becomes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body::Body;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;

use crate::instruments::{ActiveSeries, Measured};
use crate::labels::{Ending, HttpVersion, Outcome};
use crate::recorder::{Recorder, RouteRef};

/// A request in progress. It is counted as active from [`Guard::begin`] on, and recorded by the first of: a call of
/// [`Guard::finish`], or being dropped.
pub(crate) struct Guard {
    recorder: &'static Recorder,
    active: &'static ActiveSeries,
    start: Instant,
    /// Kept for exemplars, and only if its span is sampled; boxed, since most requests carry none along.
    context: Option<Box<Context>>,
    route: RouteRef,
    method: u8,
    /// Responses to these are without a body (HEAD), or are the start of a tunnel (CONNECT).
    special: Option<Special>,
    ending: Ending,
    is_grpc: bool,
    request_bytes: Option<Arc<AtomicU64>>,
    response_bytes: u64,
    /// How long the response body says it is; [`UNKNOWN`] when it doesn't.
    expected_bytes: u64,
    finished: bool,
}

/// A length no body has.
const UNKNOWN: u64 = u64::MAX;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Special {
    Head,
    Connect,
}

impl Guard {
    /// Starts the measurement of `request`, or leaves it out altogether.
    pub(crate) fn begin<B: Body>(
        recorder: &'static Recorder,
        request: &Request<B>,
    ) -> Option<Self> {
        if recorder.excludes(request) {
            return None;
        }
        // The user's extractor may panic: nothing has been counted yet.
        let route = recorder.route(request);
        let method = recorder.method(request.method());
        let counted = recorder.counts_request_bodies() && !request.body().is_end_stream();
        let active = recorder.active(method);
        active.add(1);
        Some(Self {
            recorder,
            active,
            context: sampled_context(),
            route,
            method,
            special: match *request.method() {
                Method::HEAD => Some(Special::Head),
                Method::CONNECT => Some(Special::Connect),
                _ => None,
            },
            ending: Ending {
                outcome: Outcome::Cancelled,
                status: None,
                version: HttpVersion::new(request.version()),
                grpc: None,
            },
            is_grpc: false,
            request_bytes: counted.then(Arc::default),
            response_bytes: 0,
            expected_bytes: UNKNOWN,
            finished: false,
            start: Instant::now(),
        })
    }

    /// Where the request body's bytes are counted.
    pub(crate) fn request_bytes(&self) -> Option<Arc<AtomicU64>> {
        self.request_bytes.clone()
    }

    /// The response is there; its body may still have to be sent. Returns whether that is the end.
    pub(crate) fn respond<B: Body>(&mut self, response: &Response<B>) -> bool {
        let status = response.status();
        self.ending.status = Some(status.as_u16());
        let carries_grpc = self.ending.version.is_some_and(HttpVersion::carries_grpc);
        self.is_grpc = carries_grpc && is_grpc(response.headers());
        // A gRPC response without messages has its status here.
        self.trailers(response.headers());
        // Servers drop these bodies unread, so nobody would tell us that they ended.
        let ended = self.is_without_body(status) || response.body().is_end_stream();
        if ended {
            self.finish(Outcome::Complete);
        } else {
            self.expected_bytes = response
                .body()
                .size_hint()
                .exact()
                .or_else(|| content_length(response.headers()))
                .unwrap_or(UNKNOWN);
        }
        ended
    }

    /// So many bytes of the response body were handed to the server.
    pub(crate) fn sent(&mut self, bytes: u64) {
        self.response_bytes += bytes;
    }

    /// Looks for a gRPC status, in trailers or in the headers of a response that is nothing else.
    pub(crate) fn trailers(&mut self, trailers: &HeaderMap) {
        if self.is_grpc
            && let Some(status) = trailers.get("grpc-status")
        {
            self.ending.grpc = Some(grpc_code(status.as_bytes()));
        }
    }

    /// Records the request, unless that has been done.
    pub(crate) fn finish(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        self.ending.outcome = outcome;
        let measured = Measured {
            seconds: self.start.elapsed().as_secs_f64(),
            request_bytes: self
                .request_bytes
                .as_ref()
                .map_or(0, |bytes| bytes.load(Ordering::Relaxed)),
            response_bytes: self.response_bytes,
        };
        let _attached = self.context.take().map(|context| context.attach());
        self.active.add(-1);
        self.recorder
            .record(self.method, &self.route, self.ending, measured);
    }

    /// Whether a response with this status to this request has no body of its own: RFC 9110, sections 9.3.2, 9.3.6
    /// and 15. What follows 101, or a CONNECT that succeeded, is another protocol.
    fn is_without_body(&self, status: StatusCode) -> bool {
        status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            || match self.special {
                Some(Special::Head) => true,
                Some(Special::Connect) => status.is_success(),
                None => false,
            }
    }
}

/// Dropped before its end was seen. A server stops reading a body of a known length when it has that many bytes, so
/// this is not always an early end.
impl Drop for Guard {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let all_sent = self.response_bytes >= self.expected_bytes;
        self.finish(match () {
            () if std::thread::panicking() => Outcome::Panicked,
            () if all_sent => Outcome::Complete,
            () => Outcome::Cancelled,
        });
    }
}

/// Notices a panic that passes through, at once and whoever catches it further out. Nothing is caught here.
pub(crate) struct PanicWatch<'a>(pub(crate) &'a mut Option<Guard>);

impl Drop for PanicWatch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(guard) = self.0.as_mut()
        {
            guard.finish(Outcome::Panicked);
        }
    }
}

fn sampled_context() -> Option<Box<Context>> {
    Context::map_current(|context| {
        let sampled = context.has_active_span() && context.span().span_context().is_sampled();
        sampled.then(|| Box::new(context.clone()))
    })
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// `application/grpc`, `application/grpc+proto` and the like. gRPC-Web has its trailers in the body, out of our sight.
fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .map_or(&b""[..], |value| value.as_bytes());
    let rest = content_type.strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}

/// A status as the wire has it. What is no code of gRPC's counts as UNKNOWN, as it does for gRPC clients.
fn grpc_code(text: &[u8]) -> u8 {
    const UNKNOWN: u8 = 2;
    let number = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok());
    number.filter(|code| *code <= 16).unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_is_told_by_its_content_type() {
        let with = |value: &'static str| {
            is_grpc(&HeaderMap::from_iter([(
                header::CONTENT_TYPE,
                http::HeaderValue::from_static(value),
            )]))
        };
        assert!(
            with("application/grpc")
                && with("application/grpc+proto")
                && with("application/grpc; x=y")
        );
        assert!(
            !with("application/grpc-web")
                && !with("application/json")
                && !is_grpc(&HeaderMap::new())
        );
    }

    #[test]
    fn a_status_that_is_no_grpc_code_is_unknown() {
        assert_eq!(
            [
                grpc_code(b"0"),
                grpc_code(b"16"),
                grpc_code(b"17"),
                grpc_code(b"-1"),
                grpc_code(b"ok")
            ],
            [0, 16, 2, 2, 2]
        );
    }
}
