//! What the API's instruments call: recording with attributes, bound, and from callbacks.

use std::sync::{Arc, OnceLock};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, BoundSyncInstrument, SyncInstrument};

use crate::Series;
use crate::lookup::Found;
use crate::number::Measure;
use crate::observed::Observed;
use crate::recorded::Recorded;

/// A synchronous instrument.
pub(crate) struct Recorder(pub(crate) Arc<Recorded>);

impl<M: Measure> SyncInstrument<M> for Recorder {
    fn measure(&self, value: M, attributes: &[KeyValue]) {
        self.0.record(value, attributes);
    }

    fn bind(&self, attributes: &[KeyValue]) -> Box<dyn BoundSyncInstrument<M> + Send + Sync> {
        let stream = Arc::clone(&self.0);
        if stream.instrument().is_gauge() {
            let attributes = attributes.to_vec();
            return Box::new(BoundGauge {
                stream,
                attributes,
                target: OnceLock::new(),
            });
        }
        let target = Target::of(stream.series(attributes, M::ZERO));
        Box::new(Bound { stream, target })
    }
}

/// Where a bound handle records.
struct Target {
    series: Arc<Series>,
    overflows: bool,
}

impl Target {
    fn of(found: Found) -> Self {
        match found {
            Found::Exact(series) => Self {
                series,
                overflows: false,
            },
            Found::Overflow(series) => Self {
                series,
                overflows: true,
            },
        }
    }

    #[inline]
    fn record<M: Measure>(&self, value: M, stream: &Recorded) {
        self.series.cell.record(value);
        if self.overflows {
            stream.count_overflow();
        }
    }
}

/// A sum or a histogram with its series looked up already. Binding makes the series exist, at zero.
struct Bound {
    stream: Arc<Recorded>,
    target: Target,
}

impl<M: Measure> BoundSyncInstrument<M> for Bound {
    fn measure(&self, value: M) {
        if self.stream.accepts(value) {
            self.target.record(value, &self.stream);
        }
    }
}

/// A gauge with its attributes; its series exists from the first value on, as there is none that
/// would be true before.
struct BoundGauge {
    stream: Arc<Recorded>,
    attributes: Vec<KeyValue>,
    target: OnceLock<Target>,
}

impl<M: Measure> BoundSyncInstrument<M> for BoundGauge {
    fn measure(&self, value: M) {
        if self.stream.accepts(value) {
            let create = || Target::of(self.stream.series(&self.attributes, value));
            self.target.get_or_init(create).record(value, &self.stream);
        }
    }
}

/// A synchronous instrument with several streams, because several views select it.
pub(crate) struct Several(pub(crate) Box<[Recorder]>);

impl<M: Measure> SyncInstrument<M> for Several {
    fn measure(&self, value: M, attributes: &[KeyValue]) {
        for recorder in &self.0 {
            recorder.measure(value, attributes);
        }
    }

    fn bind(&self, attributes: &[KeyValue]) -> Box<dyn BoundSyncInstrument<M> + Send + Sync> {
        Box::new(SeveralBound(
            self.0
                .iter()
                .map(|recorder| recorder.bind(attributes))
                .collect(),
        ))
    }
}

struct SeveralBound<M>(Box<[Box<dyn BoundSyncInstrument<M> + Send + Sync>]>);

impl<M: Measure> BoundSyncInstrument<M> for SeveralBound<M> {
    fn measure(&self, value: M) {
        for bound in &self.0 {
            bound.measure(value);
        }
    }
}

/// An instrument that records nothing: it was refused, or views discard it.
pub(crate) struct Silent;

impl<M: Measure> SyncInstrument<M> for Silent {
    fn measure(&self, _: M, _: &[KeyValue]) {}

    fn bind(&self, _: &[KeyValue]) -> Box<dyn BoundSyncInstrument<M> + Send + Sync> {
        Box::new(Self)
    }
}

impl<M: Measure> BoundSyncInstrument<M> for Silent {
    fn measure(&self, _: M) {}
}

/// What a callback observes with: the streams of its instrument.
pub(crate) struct Observer<'a>(pub(crate) &'a [Arc<Observed>]);

impl<M: Measure> AsyncInstrument<M> for Observer<'_> {
    fn observe(&self, value: M, attributes: &[KeyValue]) {
        for observed in self.0 {
            observed.observe(value, attributes);
        }
    }
}
