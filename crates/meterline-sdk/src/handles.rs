//! What the API's instruments call: recording with attributes, bound, and from callbacks.

use std::sync::{Arc, OnceLock};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, BoundSyncInstrument, SyncInstrument};

use crate::Series;
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
                series: OnceLock::new(),
            });
        }
        let series = stream.series(attributes, M::ZERO);
        Box::new(Bound { stream, series })
    }
}

/// A sum or a histogram with its series looked up already. Binding makes the series exist, at zero.
struct Bound {
    stream: Arc<Recorded>,
    series: Arc<Series>,
}

impl<M: Measure> BoundSyncInstrument<M> for Bound {
    fn measure(&self, value: M) {
        if self.stream.accepts(value) {
            self.series.cell.record(value);
        }
    }
}

/// A gauge with its attributes; its series exists from the first value on, as there is none that
/// would be true before.
struct BoundGauge {
    stream: Arc<Recorded>,
    attributes: Vec<KeyValue>,
    series: OnceLock<Arc<Series>>,
}

impl<M: Measure> BoundSyncInstrument<M> for BoundGauge {
    fn measure(&self, value: M) {
        if self.stream.accepts(value) {
            let create = || self.stream.series(&self.attributes, value);
            self.series.get_or_init(create).cell.record(value);
        }
    }
}

/// An instrument that was refused.
pub(crate) struct Refused;

impl<M: Measure> SyncInstrument<M> for Refused {
    fn measure(&self, _: M, _: &[KeyValue]) {}

    fn bind(&self, _: &[KeyValue]) -> Box<dyn BoundSyncInstrument<M> + Send + Sync> {
        Box::new(Self)
    }
}

impl<M: Measure> BoundSyncInstrument<M> for Refused {
    fn measure(&self, _: M) {}
}

/// What a callback observes with.
pub(crate) struct Observer<'a>(pub(crate) &'a Observed);

impl<M: Measure> AsyncInstrument<M> for Observer<'_> {
    fn observe(&self, value: M, attributes: &[KeyValue]) {
        self.0.observe(value, attributes);
    }
}
