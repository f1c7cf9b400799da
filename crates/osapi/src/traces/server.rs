//! The span of a request, after the semantic conventions for HTTP servers.

use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{Method, Version};
use opentelemetry::trace::TraceContextExt;
use tracing::field::Empty;
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::body::Traced;
use super::{TARGET, propagation};

/// How requests come in.
#[derive(Clone, Debug)]
pub struct Serving {
    /// `url.scheme`.
    pub scheme: &'static str,
    /// Paths without spans: those that are scraped.
    pub exclude: Arc<[String]>,
}

/// Middleware: serves a request within a span that ends with the last byte of the answer. It belongs outside of what
/// measures requests, so that its span is current while they are recorded.
pub async fn serve(State(serving): State<Serving>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if serving.exclude.iter().any(|excluded| excluded == path) {
        return next.run(request).await;
    }
    let open = Open::of(&request, serving.scheme);
    let head = request.method() == Method::HEAD;
    let response = next.run(request).instrument(open.span.clone()).await;
    open.respond(response, head)
}

/// A request whose answer is not through yet.
pub(super) struct Open {
    pub(super) span: Span,
    ended: bool,
}

impl Open {
    fn of(request: &Request, scheme: &'static str) -> Self {
        let method = known(request.method());
        let route = request.extensions().get::<MatchedPath>();
        let route = route.map(MatchedPath::as_str);
        let name = match route {
            Some(route) => format!("{method} {route}"),
            None => method.to_owned(),
        };
        let original = (method == OTHER).then(|| request.method().as_str());
        let span = tracing::info_span!(
            target: TARGET,
            parent: None,
            "request",
            otel.name = name,
            otel.kind = "server",
            otel.status_code = Empty,
            http.request.method = method,
            http.request.method_original = original,
            http.route = route,
            http.response.status_code = Empty,
            url.path = request.uri().path(),
            url.query = request.uri().query(),
            url.scheme = scheme,
            network.protocol.version = version(request.version()),
            user_agent.original = header(request, http::header::USER_AGENT),
            error.type = Empty,
        );
        let parent = propagation::of_request(request.headers());
        if parent.has_active_span() {
            // Fails only without the layer, and then there is nothing to be set.
            let _ = span.set_parent(parent);
        }
        Self { span, ended: false }
    }

    fn respond(mut self, response: Response, head: bool) -> Response {
        let status = response.status();
        self.span
            .record("http.response.status_code", i64::from(status.as_u16()));
        if status.is_server_error() {
            self.span.record("error.type", status.as_str());
            self.span.record("otel.status_code", "ERROR");
            // Whatever becomes of the body, this is the error.
            self.ended = true;
        }
        if head || response.body().is_end_stream() {
            self.end();
        }
        response.map(|body| Body::new(Traced::new(body, self)))
    }

    /// The answer is through.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// The answer broke off.
    pub(super) fn fail(&mut self, error: &'static str) {
        if !std::mem::replace(&mut self.ended, true) {
            self.span.record("error.type", error);
            self.span.record("otel.status_code", "ERROR");
        }
    }
}

/// Dropped before the answer was through.
impl Drop for Open {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if std::thread::panicking() {
            self.fail("panic");
        } else {
            // The client's doing, most of the time; no fault of the server's.
            self.span.record("error.type", "cancelled");
        }
    }
}

const OTHER: &str = "_OTHER";

/// A method of RFC 9110, PATCH or QUERY by its name.
fn known(method: &Method) -> &'static str {
    const KNOWN: [&str; 10] = [
        "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "QUERY",
    ];
    let known = KNOWN.into_iter().find(|known| *known == method.as_str());
    known.unwrap_or(OTHER)
}

fn version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        _ => None,
    }
}

fn header(request: &Request, name: http::HeaderName) -> Option<&str> {
    request.headers().get(name)?.to_str().ok()
}
