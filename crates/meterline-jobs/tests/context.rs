//! The span an attempt starts in is current again while it is recorded, if it is sampled.
//!
//! The instrument behind the API is a probe here, which notes the trace each measurement was made in.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use meterline_jobs::{AttemptStatus, Instruments, JobMetrics};
#[cfg(feature = "bound")]
use opentelemetry::metrics::BoundSyncInstrument;
use opentelemetry::metrics::{
    Histogram, HistogramBuilder, InstrumentProvider, Meter, SyncInstrument,
};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};

/// The traces waits and durations were recorded in.
#[derive(Clone, Default)]
struct Probe(Arc<Mutex<Vec<TraceId>>>);

impl Probe {
    fn note(&self) {
        let trace = Context::current().span().span_context().trace_id();
        self.0.lock().unwrap().push(trace);
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
    let (trace, span) = (TraceId::from(trace), SpanId::from(1));
    let context = SpanContext::new(trace, span, flags, true, TraceState::NONE);
    Context::new().with_remote_span_context(context)
}

#[test]
fn a_sampled_span_is_current_when_an_attempt_ends_and_no_other() {
    let probe = Probe::default();
    let meter = Meter::new(Arc::new(probe.clone()));
    let jobs = JobMetrics::new(&Instruments::builder().meter(meter).build().unwrap());
    for (context, waited, ended) in [
        (Some(span(7, TraceFlags::SAMPLED)), 7, 7),
        (Some(span(8, TraceFlags::NOT_SAMPLED)), 8, 0),
        (None, 0, 0),
    ] {
        let start = || {
            let _attached = context.clone().map(Context::attach);
            jobs.start("mail", Duration::ZERO)
        };
        // The span has long been left when the attempts end.
        start().finish(AttemptStatus::Completed);
        drop(start());
        assert!(!Context::current().has_active_span(), "nothing stays");
        let traces = std::mem::take(&mut *probe.0.lock().unwrap());
        let expected = [waited, ended, waited, ended].map(TraceId::from);
        assert_eq!(traces, expected);
    }
}
