//! How the API creates instruments.

use std::sync::Arc;

use opentelemetry::metrics::{
    AsyncInstrumentBuilder, Callback, Counter, Gauge, Histogram, HistogramBuilder,
    InstrumentBuilder, InstrumentProvider, ObservableCounter, ObservableGauge,
    ObservableUpDownCounter, SyncInstrument, UpDownCounter,
};

use crate::handles::{Recorder, Several, Silent};
use crate::instrument::{Instrument, Request};
use crate::number::Measure;
use crate::pipeline::Pipeline;
use crate::scope::{Scope, Stream};
use crate::snapshot::InstrumentKind;
use crate::view::{self, Plan};

/// What stands behind the API's `Meter`.
pub(crate) struct Meter {
    pub(crate) scope: Arc<Scope>,
    pub(crate) pipeline: Arc<Pipeline>,
}

impl Meter {
    fn recorder<M: Measure>(&self, request: Request) -> Arc<dyn SyncInstrument<M> + Send + Sync> {
        let create = |plan| Stream::Recorded(Arc::new(self.pipeline.recorded(plan)));
        let streams = self.streams(request, create).into_iter();
        let mut recorders: Vec<Recorder> =
            streams.filter_map(Stream::recorded).map(Recorder).collect();
        match recorders.len() {
            0 => Arc::new(Silent),
            1 => Arc::new(recorders.remove(0)),
            _ => Arc::new(Several(recorders.into())),
        }
    }

    fn observe<M: Measure>(&self, request: Request, callbacks: Vec<Callback<M>>) {
        let create = |plan| Stream::Observed(Arc::new(self.pipeline.observed(plan)));
        let streams = self.streams(request, create).into_iter();
        let observed: Arc<[_]> = streams.filter_map(Stream::observed).collect();
        if !observed.is_empty() {
            self.pipeline.callbacks().add(&observed, callbacks);
        }
    }

    /// The streams of an instrument: those there are already, and else new ones. None if the
    /// request is invalid, or views discard it.
    fn streams(&self, request: Request, create: impl Fn(Plan) -> Stream) -> Vec<Stream> {
        let (name, meter) = (request.name.clone(), self.scope.scope.name());
        let instrument = match Instrument::try_from(request) {
            Ok(instrument) => instrument,
            Err(error) => {
                tracing::error!(%name, meter, "instrument refused, it records nothing: {error}");
                return Vec::new();
            }
        };
        let plans = view::plans(self.pipeline.views(), &self.scope.scope, &instrument);
        let mut streams: Vec<Stream> = Vec::with_capacity(plans.len());
        for plan in plans {
            let stream = self.stream(plan, &create);
            // Two views that make no difference are one stream, and count once.
            if !streams.iter().any(|known| known.is(&stream)) {
                streams.push(stream);
            }
        }
        streams
    }

    /// The same stream if there is one already, else a new one.
    fn stream(&self, plan: Plan, create: impl Fn(Plan) -> Stream) -> Stream {
        let meter = self.scope.scope.name();
        let mut streams = self.scope.streams.lock();
        let same = streams.iter().find(|known| known.plan().is_same_as(&plan));
        if let Some(same) = same.cloned() {
            drop(streams);
            warn_of_differences(same.instrument(), &plan.instrument, meter);
            return same;
        }
        let has_name = |known: &Stream| known.instrument().has_name_of(&plan.instrument);
        let conflict = streams.iter().any(has_name);
        let name = plan.instrument.descriptor.name.clone();
        let new = create(plan);
        streams.push(new.clone());
        drop(streams);
        if conflict {
            tracing::warn!(
                %name,
                meter,
                "a metric of this name but another kind, unit, number type or view exists: both \
                 record, but exporters may have to drop one"
            );
        }
        new
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
