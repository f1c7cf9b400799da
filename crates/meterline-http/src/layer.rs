//! The tower layer, its service and the future of a response.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use http_body::Body;
use opentelemetry::metrics::Meter;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::body::{RequestBody, ResponseBody};
use crate::config::HttpMetricsBuilder;
use crate::guard::{Guard, PanicWatch};
use crate::labels::Outcome;
use crate::recorder::Recorder;

/// Measures every request that passes; see the [crate's documentation](crate).
///
/// Cheap to clone; clones record into the same series.
#[derive(Clone)]
pub struct HttpMetricsLayer {
    recorder: Option<&'static Recorder>,
}

impl HttpMetricsLayer {
    /// A layer with the defaults, recording through `meter`.
    ///
    /// # Panics
    ///
    /// Never: the defaults are valid.
    #[must_use]
    pub fn new(meter: Meter) -> Self {
        Self::builder()
            .meter(meter)
            .build()
            .expect("the defaults are valid")
    }

    /// A layer that measures nothing and only passes requests on, for a program that decides at run time.
    #[must_use]
    pub fn off() -> Self {
        Self { recorder: None }
    }

    /// Where to say what differs from the defaults.
    pub fn builder() -> HttpMetricsBuilder {
        HttpMetricsBuilder::new()
    }

    /// The recorder is never freed. Every request would otherwise count references to it up and down, twice, on a
    /// cache line all threads share: with two threads that alone doubled the cost of the layer. A program builds its
    /// layers once; [`HttpMetricsBuilder::build`] says so.
    pub(crate) fn from_recorder(recorder: Recorder) -> Self {
        Self {
            recorder: Some(Box::leak(Box::new(recorder))),
        }
    }
}

impl<S> Layer<S> for HttpMetricsLayer {
    type Service = HttpMetrics<S>;

    fn layer(&self, inner: S) -> Self::Service {
        HttpMetrics {
            inner,
            recorder: self.recorder,
        }
    }
}

impl fmt::Debug for HttpMetricsLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpMetricsLayer").finish_non_exhaustive()
    }
}

/// A service whose requests are measured; made by [`HttpMetricsLayer`].
#[derive(Clone)]
pub struct HttpMetrics<S> {
    inner: S,
    recorder: Option<&'static Recorder>,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for HttpMetrics<S>
where
    S: Service<Request<RequestBody<ReqBody>>, Response = Response<ResBody>>,
    ReqBody: Body,
    ResBody: Body,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let guard = self
            .recorder
            .and_then(|recorder| Guard::begin(recorder, &request));
        let read = guard.as_ref().and_then(Guard::request_bytes);
        let request = request.map(|body| RequestBody::new(body, read));
        ResponseFuture {
            inner: self.inner.call(request),
            guard,
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for HttpMetrics<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpMetrics")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The response to come; dropped before it is there, its request is recorded as cancelled.
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        guard: Option<Guard>,
    }
}

impl<F, ResBody, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    ResBody: Body,
{
    type Output = Result<Response<ResponseBody<ResBody>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = {
            let _watch = PanicWatch(this.guard);
            ready!(this.inner.poll(cx))
        };
        Poll::Ready(match result {
            Ok(response) => {
                if this
                    .guard
                    .as_mut()
                    .is_some_and(|guard| guard.respond(&response))
                {
                    *this.guard = None;
                }
                Ok(response.map(|body| ResponseBody::new(body, this.guard.take())))
            }
            Err(error) => {
                if let Some(mut guard) = this.guard.take() {
                    guard.finish(Outcome::ServiceError);
                }
                Err(error)
            }
        })
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
