//! The OpenTelemetry metrics SDK of Meterline: record, aggregate, collect a [`Snapshot`].
//!
//! Code is instrumented through the OpenTelemetry metrics *API*; this crate is what stands behind
//! it. A measurement is recorded once, however many readers there are, and a collection copies
//! values and borrows labels, so encoders downstream stay pure functions over plain values.
//!
//! ```
//! use meterline_sdk::{Data, MeterProvider};
//! use opentelemetry::KeyValue;
//! use opentelemetry::metrics::MeterProvider as _;
//!
//! let provider = MeterProvider::builder().build();
//! // For the whole program: opentelemetry::global::set_meter_provider(provider.clone());
//! let orders = provider.meter("shop").u64_counter("orders").build();
//! orders.add(2, &[KeyValue::new("paid", true)]);
//!
//! let snapshot = provider.collect();
//! assert_eq!(snapshot.metrics[0].descriptor.name, "orders");
//! assert!(matches!(snapshot.metrics[0].data, Data::Sum { monotonic: true, .. }));
//! ```

#![forbid(unsafe_code)]

mod attributes;
mod callbacks;
mod cell;
mod diagnostics;
mod exemplar;
mod handles;
mod instrument;
mod lookup;
mod meter;
mod number;
mod observed;
mod pipeline;
mod provider;
mod push;
mod reader;
mod recorded;
mod resource;
mod scope;
mod series;
mod snapshot;
mod sync;
mod view;

pub use attributes::Attributes;
pub use cell::exponential::ExponentialOptions;
pub use diagnostics::Stats;
pub use exemplar::{ExemplarFilter, ExemplarReservoir, Measurement};
pub use number::Number;
pub use provider::{MeterProvider, MeterProviderBuilder, WeakMeterProvider};
pub use push::{Push, PushError};
pub use reader::{HistogramPreference, Reader, ReaderOptions, TemporalityPreference};
pub use resource::Resource;
pub use series::{Series, SeriesList};
pub use snapshot::{
    Data, Descriptor, Exemplar, Exemplars, ExponentialBuckets, ExponentialHistograms,
    ExponentialPoint, HistogramPoint, Histograms, InstrumentKind, Metric, Snapshot, Temporality,
};
pub use view::{InvalidView, View, ViewAggregation, ViewBuilder};
