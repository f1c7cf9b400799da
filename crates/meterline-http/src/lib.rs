//! A tower layer that measures HTTP servers through the OpenTelemetry metrics API.
//!
//! It knows the API crate only, so it records into whichever SDK the program has, and it measures any tower service:
//! axum's (feature `axum`), hyper's, tonic's.
//!
//! ```
//! # #[cfg(feature = "axum")] {
//! use axum::{Router, routing::get};
//! use meterline_http::HttpMetricsLayer;
//!
//! # let provider = opentelemetry::metrics::NoopMeterProvider::new();
//! let metrics = HttpMetricsLayer::builder()
//!     .meter_provider(&provider)
//!     .exclude(["/metrics"])
//!     .build()?;
//! let app: Router = Router::new()
//!     .route("/jobs/{id}", get(|| async { "a job" }))
//!     .layer(metrics);
//! # }
//! # Ok::<(), meterline_http::BuildError>(())
//! ```
//!
//! # What is measured
//!
//! | instrument | kind, unit | attributes |
//! |---|---|---|
//! | `http.server.request.duration` | histogram, s | `http.request.method`, `http.route`, `http.response.status_code`, `url.scheme`, `network.protocol.version`, `error.type`, `rpc.grpc.status_code` |
//! | `http.server.active_requests` | up-down counter, {request} | `http.request.method`, `url.scheme` |
//! | `http.server.request` | counter, {request} | `http.request.method`, `http.route`, `http.response.status_code` |
//! | `http.server.request.body.size`, `http.server.response.body.size` | histogram, By | as duration |
//!
//! or, as [`Convention::Classic`], `{prefix}_requests` and `{prefix}_request_duration` with `method`, `endpoint` and
//! `status`, and `{prefix}_requests_in_flight`. Attributes follow the OpenTelemetry semantic conventions for HTTP
//! server metrics (1.44); the counter is an addition to them.
//!
//! - A **duration** begins when the request reaches the layer and ends with the response *body*: at its last frame,
//!   when it fails, or when the server drops it. Answers to HEAD, 1xx, 204, 304 and accepted CONNECTs end with their
//!   headers. The clock is read twice per request.
//! - A **body size** is what passed through the layer: the bytes the handler read, the bytes the server took. A
//!   compressing layer further out changes them afterwards.
//! - A request is **active** for exactly that time, and recorded exactly once, whatever becomes of it.
//! - The **route** is a template, never a path. Requests without one share their series.
//! - A **method** that is not on the list is `_OTHER`. The scheme is configured. Nothing else of what a client sends is
//!   looked at, so no client can create a series.
//!
//! `error.type` is absent unless the server failed:
//!
//! | value | when |
//! |---|---|
//! | `500` to `599` | a response with that status was sent, whatever became of its body |
//! | `panic` | the handler or the body panicked; the panic goes on |
//! | `cancelled` | dropped before its end: the client left, or a timeout outside the layer fired |
//! | `body_error` | the response body failed |
//! | `service_error` | the inner service returned an error; its text is never recorded |
//! | `UNKNOWN`, `DEADLINE_EXCEEDED`, `UNIMPLEMENTED`, `INTERNAL`, `UNAVAILABLE`, `DATA_LOSS` | gRPC ended with this status |
//!
//! # Where to put the layer
//!
//! On the outermost axum `Router`, after its routes: `Router::layer` runs with the route already matched, while a
//! layer around the router as a whole sees none. A layer that opens spans belongs further out, so that its sampled
//! span is current when the request arrives; it is then also current while the request is recorded, at the end of its
//! body, and an SDK can attach exemplars. Timeouts that should count as the answer they send belong further in.
//!
//! For other services, [`HttpMetricsBuilder::route`] takes a function that finds the route.
//!
//! # Cost, and the feature `bound`
//!
//! Series in use are kept ready in a table that is read without a lock or an allocation; its size is capped
//! ([`HttpMetricsBuilder::max_cached_series`]). With the cargo feature `bound` they are *bound* instruments, which
//! spares the SDK the look-up of attributes. That feature needs an SDK that implements binding: Meterline's, or the
//! official one with `experimental_metrics_bound_instruments`. Without that, the API's `bind` silently records
//! nothing, so the feature is off by default, and [`HttpMetricsBuilder`] can turn binding off where the feature came
//! in through another crate.
//!
//! A meter records into the provider it came from: set the global one before [`HttpMetricsBuilder::build`].

mod body;
mod config;
mod guard;
mod handle;
mod instruments;
mod labels;
mod layer;
mod recorder;
mod route;
mod table;

pub use body::{RequestBody, ResponseBody};
pub use config::{BuildError, Convention, HttpMetricsBuilder};
pub use layer::{HttpMetrics, HttpMetricsLayer, ResponseFuture};
pub use route::RequestHead;
