//! Which measurements become exemplars (OpenTelemetry metrics SDK, "Exemplar"): a filter lets them
//! through, and a reservoir per series keeps some.

mod custom;
mod reservoir;

pub(crate) use custom::{Custom, MakeReservoir};
pub use custom::{ExemplarReservoir, Measurement};
pub(crate) use reservoir::{Capacity, Sampled};

use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry::{Context, KeyValue, SpanId, TraceId};

use crate::Attributes;
use crate::snapshot::Exemplar;

/// What keeps the exemplars of a series.
#[derive(Debug)]
pub(crate) enum Reservoir {
    /// As the specification says.
    Sampled(Sampled),
    /// Something that a view brought along.
    Custom(Custom),
}

impl Reservoir {
    /// Those of the series that began then, in the order of their buckets. Chances begin anew.
    pub(crate) fn collect(&self, series: u64, each: impl FnMut(Exemplar)) {
        match self {
            Self::Sampled(sampled) => sampled.collect(series, each),
            Self::Custom(custom) => custom.collect(series).into_iter().for_each(each),
        }
    }
}

/// Which measurements may be kept as exemplars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExemplarFilter {
    /// None.
    Off,
    /// Those made while the current span of the OpenTelemetry context is sampled, so that there is a
    /// trace to look at.
    #[default]
    TraceBased,
    /// All.
    Always,
}

/// The span a measurement was made in.
pub(crate) type Span = (TraceId, SpanId);

/// A measurement that a filter let through, and its span, if there is one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admitted(pub(crate) Option<Span>);

impl ExemplarFilter {
    /// Whether to ask at all: not, if it is sure that a measurement made now, on this thread, is not
    /// kept.
    #[inline]
    pub(crate) fn may_admit(self) -> bool {
        match self {
            Self::Off => false,
            Self::TraceBased => CONTEXT
                .try_with(|_| Context::map_current(TraceContextExt::has_active_span))
                .unwrap_or(false),
            Self::Always => true,
        }
    }

    /// Whether a measurement made now, on this thread, may be kept.
    pub(crate) fn admits(self) -> Option<Admitted> {
        match self {
            Self::Off => None,
            Self::TraceBased => {
                current_span(SpanContext::is_sampled).map(|span| Admitted(Some(span)))
            }
            Self::Always => Some(Admitted(current_span(|_| true))),
        }
    }
}

/// Has a destructor, so that a thread that ends says so.
struct Present;

impl Drop for Present {
    fn drop(&mut self) {}
}

thread_local! {
    /// There as long as the context can be asked for: a thread drops its locals beginning with the
    /// latest, and this one touches the context first. To ask for it later would panic.
    static CONTEXT: Present = {
        Context::map_current(|_| ());
        Present
    };
}

fn current_span(wanted: impl Fn(&SpanContext) -> bool) -> Option<Span> {
    let of = |context: &Context| {
        if !context.has_active_span() {
            return None;
        }
        let span = context.span();
        let span = span.span_context();
        (span.is_valid() && wanted(span)).then(|| (span.trace_id(), span.span_id()))
    };
    let found = CONTEXT.try_with(|_| Context::map_current(of));
    found.ok().flatten()
}

/// What was given that a series does not have.
pub(crate) fn left_out(given: &[KeyValue], kept: &Attributes) -> Box<[KeyValue]> {
    let is_kept = |given: &KeyValue| kept.iter().any(|kept| kept.key == given.key);
    if given.iter().all(is_kept) {
        return Box::default();
    }
    let left_out = given.iter().filter(|given| !is_kept(given)).cloned();
    let left_out: Vec<KeyValue> = left_out.collect();
    Attributes::new(&left_out).to_vec().into()
}
