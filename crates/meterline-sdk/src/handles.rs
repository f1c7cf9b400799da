//! What the API's instruments call: recording with attributes, bound, and from callbacks.

use std::sync::{Arc, OnceLock};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, BoundSyncInstrument, SyncInstrument};

use crate::lookup::Found;
use crate::number::Measure;
use crate::observed::Observed;
use crate::recorded::{Entry, Recorded};

/// A synchronous instrument.
pub(crate) struct Recorder(pub(crate) Arc<Recorded>);

impl<M: Measure> SyncInstrument<M> for Recorder {
    fn measure(&self, value: M, attributes: &[KeyValue]) {
        self.0.record(value, attributes);
    }

    fn bind(&self, attributes: &[KeyValue]) -> Box<dyn BoundSyncInstrument<M> + Send + Sync> {
        let bound = Bound {
            stream: Arc::clone(&self.0),
            attributes: attributes.to_vec(),
            entry: OnceLock::new(),
        };
        if !self.0.instrument().is_gauge() {
            bound.resolve(M::ZERO);
        }
        Box::new(bound)
    }
}

/// A handle with its entry looked up already, which makes the series exist, at zero. That of a gauge
/// exists only from the first value on, as there is none that would be true before.
///
/// A handle never changes its entry, whatever becomes of the series. While there is no room for it,
/// it has none and records into the overflow series.
struct Bound {
    stream: Arc<Recorded>,
    attributes: Vec<KeyValue>,
    entry: OnceLock<Arc<Entry>>,
}

impl Bound {
    /// Looks the entry up; the overflow one if there is no room.
    fn resolve<M: Measure>(&self, first: M) -> Found {
        let found = self.stream.entry(&self.attributes, first);
        if let Found::Exact(entry) = &found {
            // Should another thread be first, it found the same.
            let _ = self.entry.set(Arc::clone(entry));
        }
        found
    }

    #[cold]
    fn record_unresolved<M: Measure>(&self, value: M) {
        match self.resolve(value) {
            Found::Exact(entry) => self.stream.record_into(&entry, value, &self.attributes),
            Found::Overflow(entry) => {
                self.stream.count_overflow();
                self.stream.record_into(&entry, value, &self.attributes);
            }
        }
    }
}

impl<M: Measure> BoundSyncInstrument<M> for Bound {
    fn measure(&self, value: M) {
        if !self.stream.accepts(value) {
            return;
        }
        match self.entry.get() {
            Some(entry) => self.stream.record_into(entry, value, &self.attributes),
            None => self.record_unresolved(value),
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

/// What a callback observes with: the streams of its instrument, and the number of the collection it
/// was started for.
pub(crate) struct Observer<'a> {
    pub(crate) observed: &'a [Arc<Observed>],
    pub(crate) number: u64,
}

impl<M: Measure> AsyncInstrument<M> for Observer<'_> {
    fn observe(&self, value: M, attributes: &[KeyValue]) {
        for observed in self.observed {
            observed.observe(self.number, value, attributes);
        }
    }
}
