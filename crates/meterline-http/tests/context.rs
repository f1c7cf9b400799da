//! The span a request arrived in is current again while the request is recorded, if it is sampled.
//!
//! No SDK for Rust fills exemplars from it yet that this crate could depend on, so the instrument behind the API is a
//! probe here, which notes the trace each measurement was made in.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::sync::{Arc, Mutex};

use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt;
use meterline_http::{HttpMetricsLayer, RequestBody};
#[cfg(feature = "bound")]
use opentelemetry::metrics::BoundSyncInstrument;
use opentelemetry::metrics::{
    Histogram, HistogramBuilder, InstrumentProvider, Meter, SyncInstrument,
};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use tower::{Layer, Service, service_fn};

/// The traces durations were recorded in.
#[derive(Clone, Default)]
struct Probe(Arc<Mutex<Vec<TraceId>>>);

impl Probe {
    fn note(&self) {
        self.0
            .lock()
            .unwrap()
            .push(Context::current().span().span_context().trace_id());
    }
}

impl InstrumentProvider for Probe {
    fn f64_histogram(&self, _: HistogramBuilder<'_, Histogram<f64>>) -> Histogram<f64> {
        Histogram::new(Arc::new(self.clone()))
    }
}

impl SyncInstrument<f64> for Probe {
    fn measure(&self, _: f64, _: &[KeyValue]) {
        self.note();
    }

    #[cfg(feature = "bound")]
    fn bind(&self, _: &[KeyValue]) -> Box<dyn BoundSyncInstrument<f64> + Send + Sync> {
        Box::new(self.clone())
    }
}

#[cfg(feature = "bound")]
impl BoundSyncInstrument<f64> for Probe {
    fn measure(&self, _: f64) {
        self.note();
    }
}

fn span(trace: u128, flags: TraceFlags) -> Context {
    let context = SpanContext::new(
        TraceId::from(trace),
        SpanId::from(1),
        flags,
        true,
        TraceState::NONE,
    );
    Context::new().with_remote_span_context(context)
}

#[tokio::test]
async fn a_sampled_span_is_current_at_the_end_of_the_body_and_no_other() {
    let probe = Probe::default();
    let layer = HttpMetricsLayer::new(Meter::new(Arc::new(probe.clone())));
    let mut service = layer.layer(service_fn(|_: Request<RequestBody<Body>>| async {
        Ok::<_, std::convert::Infallible>(Response::new(Body::from("text")))
    }));
    for context in [
        Some(span(7, TraceFlags::SAMPLED)),
        Some(span(8, TraceFlags::NOT_SAMPLED)),
        None,
    ] {
        let response = {
            let _attached = context.map(Context::attach);
            service.call(Request::new(Body::empty()))
        };
        let response = response.await.unwrap();
        // The span has long been left when the server reads the body.
        assert!(!Context::current().has_active_span());
        response.into_body().collect().await.unwrap();
        assert!(
            !Context::current().has_active_span(),
            "nothing stays attached"
        );
    }
    assert_eq!(
        *probe.0.lock().unwrap(),
        [TraceId::from(7), TraceId::INVALID, TraceId::INVALID]
    );
}
