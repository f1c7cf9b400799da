//! The OpenTelemetry metrics SDK of Meterline: record, aggregate, collect a [`Snapshot`].
//!
//! Code is instrumented through the OpenTelemetry metrics *API*; this crate is what stands behind
//! it. A measurement is recorded once, however many readers there are, and a collection copies
//! values and borrows labels, so encoders downstream stay pure functions over plain values.

#![forbid(unsafe_code)]

mod attributes;
mod number;
mod resource;
mod snapshot;

pub use attributes::Attributes;
pub use number::Number;
pub use resource::Resource;
pub use snapshot::{
    Data, Descriptor, HistogramPoint, Histograms, InstrumentKind, Metric, Series, Snapshot,
};
