//! The instruments of one scope, with what they have recorded.

use std::sync::Arc;

use opentelemetry::InstrumentationScope;
use parking_lot::Mutex;

use crate::instrument::Instrument;
use crate::observed::Observed;
use crate::recorded::{Occasion, Reading, Recorded};
use crate::view::Plan;

/// The instruments of one scope.
pub(crate) struct Scope {
    pub(crate) scope: Arc<InstrumentationScope>,
    pub(crate) streams: Mutex<Vec<Stream>>,
}

/// An instrument with what it has recorded.
#[derive(Clone)]
pub(crate) enum Stream {
    Recorded(Arc<Recorded>),
    Observed(Arc<Observed>),
}

impl Scope {
    pub(crate) fn new(scope: InstrumentationScope) -> Self {
        Self {
            scope: Arc::new(scope),
            streams: Mutex::default(),
        }
    }
}

impl Stream {
    pub(crate) fn instrument(&self) -> &Instrument {
        &self.plan().instrument
    }

    pub(crate) fn plan(&self) -> &Plan {
        match self {
            Self::Recorded(recorded) => recorded.plan(),
            Self::Observed(observed) => observed.plan(),
        }
    }

    pub(crate) fn recorded(self) -> Option<Arc<Recorded>> {
        match self {
            Self::Recorded(recorded) => Some(recorded),
            Self::Observed(_) => None,
        }
    }

    pub(crate) fn observed(self) -> Option<Arc<Observed>> {
        match self {
            Self::Observed(observed) => Some(observed),
            Self::Recorded(_) => None,
        }
    }

    /// Whether both are this very stream.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Recorded(a), Self::Recorded(b)) => Arc::ptr_eq(a, b),
            (Self::Observed(a), Self::Observed(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// All series in order, with their values.
    pub(crate) fn collect(&self, occasion: Occasion) -> Reading {
        match self {
            Self::Recorded(recorded) => recorded.collect(occasion),
            Self::Observed(observed) => observed.collect(),
        }
    }

    pub(crate) fn series_count(&self) -> usize {
        match self {
            Self::Recorded(recorded) => recorded.series_count(),
            Self::Observed(observed) => observed.series_count(),
        }
    }
}
