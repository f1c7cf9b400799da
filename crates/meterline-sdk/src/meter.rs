//! How the API creates instruments.

use std::sync::Arc;

use opentelemetry::metrics::{
    AsyncInstrumentBuilder, Callback, Counter, Gauge, Histogram, HistogramBuilder,
    InstrumentBuilder, InstrumentProvider, ObservableCounter, ObservableGauge,
    ObservableUpDownCounter, SyncInstrument, UpDownCounter,
};

use crate::handles::{Recorder, Refused};
use crate::instrument::{Instrument, Request};
use crate::number::Measure;
use crate::pipeline::Pipeline;
use crate::scope::{Scope, Stream};
use crate::snapshot::InstrumentKind;

/// What stands behind the API's `Meter`.
pub(crate) struct Meter {
    pub(crate) scope: Arc<Scope>,
    pub(crate) pipeline: Arc<Pipeline>,
}

impl Meter {
    fn recorder<M: Measure>(&self, request: Request) -> Arc<dyn SyncInstrument<M> + Send + Sync> {
        let create = |instrument| Stream::Recorded(Arc::new(self.pipeline.recorded(instrument)));
        match self.stream(request, create) {
            Some(Stream::Recorded(recorded)) => Arc::new(Recorder(recorded)),
            _ => Arc::new(Refused),
        }
    }

    fn observe<M: Measure>(&self, request: Request, callbacks: Vec<Callback<M>>) {
        let create = |instrument| Stream::Observed(Arc::new(self.pipeline.observed(instrument)));
        if let Some(Stream::Observed(observed)) = self.stream(request, create) {
            self.pipeline.add_callbacks(&observed, callbacks);
        }
    }

    /// The same instrument if there is one already, else a new one; none if the request is invalid.
    fn stream(&self, request: Request, create: impl Fn(Instrument) -> Stream) -> Option<Stream> {
        let (name, meter) = (request.name.clone(), self.scope.scope.name());
        let instrument = match Instrument::try_from(request) {
            Ok(instrument) => instrument,
            Err(error) => {
                tracing::error!(%name, meter, "instrument refused, it records nothing: {error}");
                return None;
            }
        };
        let mut streams = self.scope.streams.lock();
        let same = streams
            .iter()
            .find(|known| known.instrument().is_same_as(&instrument));
        if let Some(same) = same.cloned() {
            drop(streams);
            warn_of_differences(same.instrument(), &instrument, meter);
            return Some(same);
        }
        let conflict = streams
            .iter()
            .any(|known| known.instrument().has_name_of(&instrument));
        let new = create(instrument);
        streams.push(new.clone());
        drop(streams);
        if conflict {
            tracing::warn!(
                %name,
                meter,
                "an instrument of this name but another kind, unit or number type exists: both \
                 record, but exporters may have to drop one"
            );
        }
        Some(new)
    }
}

fn warn_of_differences(first: &Instrument, again: &Instrument, meter: &str) {
    let name = &*first.descriptor.name;
    if first.descriptor.name != again.descriptor.name {
        let again = &*again.descriptor.name;
        tracing::warn!(
            name,
            again,
            meter,
            "names that differ in case only are one instrument"
        );
    }
    if first.descriptor.description != again.descriptor.description {
        tracing::warn!(
            name,
            meter,
            "created again with another description; the first stays"
        );
    }
    if first.aggregation != again.aggregation {
        tracing::warn!(
            name,
            meter,
            "created again with other boundaries; the first ones stay"
        );
    }
}

macro_rules! synchronous {
    ($($method:ident: $kind:ident -> $instrument:ident<$number:ty>;)*) => {$(
        fn $method(
            &self,
            builder: InstrumentBuilder<'_, $instrument<$number>>,
        ) -> $instrument<$number> {
            let InstrumentBuilder { name, description, unit, .. } = builder;
            let (kind, number) = (InstrumentKind::$kind, <$number>::KIND);
            let request = Request { name, description, unit, kind, number, boundaries: None };
            $instrument::new(self.recorder::<$number>(request))
        }
    )*};
}

macro_rules! histograms {
    ($($method:ident -> $number:ty;)*) => {$(
        fn $method(
            &self,
            builder: HistogramBuilder<'_, Histogram<$number>>,
        ) -> Histogram<$number> {
            let HistogramBuilder { name, description, unit, boundaries, .. } = builder;
            let (kind, number) = (InstrumentKind::Histogram, <$number>::KIND);
            let request = Request { name, description, unit, kind, number, boundaries };
            Histogram::new(self.recorder::<$number>(request))
        }
    )*};
}

macro_rules! observable {
    ($($method:ident: $kind:ident -> $instrument:ident<$number:ty>;)*) => {$(
        fn $method(
            &self,
            builder: AsyncInstrumentBuilder<'_, $instrument<$number>, $number>,
        ) -> $instrument<$number> {
            let AsyncInstrumentBuilder { name, description, unit, callbacks, .. } = builder;
            let (kind, number) = (InstrumentKind::$kind, <$number>::KIND);
            let request = Request { name, description, unit, kind, number, boundaries: None };
            self.observe(request, callbacks);
            $instrument::new()
        }
    )*};
}

impl InstrumentProvider for Meter {
    synchronous! {
        u64_counter: Counter -> Counter<u64>;
        f64_counter: Counter -> Counter<f64>;
        i64_up_down_counter: UpDownCounter -> UpDownCounter<i64>;
        f64_up_down_counter: UpDownCounter -> UpDownCounter<f64>;
        u64_gauge: Gauge -> Gauge<u64>;
        i64_gauge: Gauge -> Gauge<i64>;
        f64_gauge: Gauge -> Gauge<f64>;
    }
    histograms! {
        u64_histogram -> u64;
        f64_histogram -> f64;
    }
    observable! {
        u64_observable_counter: ObservableCounter -> ObservableCounter<u64>;
        f64_observable_counter: ObservableCounter -> ObservableCounter<f64>;
        i64_observable_up_down_counter: ObservableUpDownCounter -> ObservableUpDownCounter<i64>;
        f64_observable_up_down_counter: ObservableUpDownCounter -> ObservableUpDownCounter<f64>;
        u64_observable_gauge: ObservableGauge -> ObservableGauge<u64>;
        i64_observable_gauge: ObservableGauge -> ObservableGauge<i64>;
        f64_observable_gauge: ObservableGauge -> ObservableGauge<f64>;
    }
}
