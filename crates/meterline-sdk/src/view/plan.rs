//! From an instrument and the views to its streams.

use std::borrow::Cow;
use std::sync::Arc;

use opentelemetry::InstrumentationScope;

use super::{Chosen, Filter, View, ViewAggregation};
use crate::InstrumentKind;
use crate::exemplar::MakeReservoir;
use crate::instrument::{Aggregation, Instrument};
use crate::snapshot::Descriptor;

/// A stream as it shall be.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The instrument as the view shows it.
    pub(crate) instrument: Instrument,
    pub(crate) filter: Option<Arc<Filter>>,
    pub(crate) cardinality_limit: Option<usize>,
    /// What makes the reservoirs of its exemplars, if not the SDK.
    pub(crate) reservoir: Option<MakeReservoir>,
    /// Whether it is a histogram of which kind nobody said, so that readers choose.
    pub(crate) by_reader: bool,
    /// What the instrument was created as; the view may have renamed it.
    created_as: Cow<'static, str>,
    /// The view it comes from, by its position; none for the default stream.
    view: Option<usize>,
}

/// The streams of an instrument: one per view that selects it, or the default one.
pub(crate) fn plans(
    views: &[View],
    scope: &InstrumentationScope,
    instrument: &Instrument,
) -> Vec<Plan> {
    let mut plans = Vec::new();
    let is_histogram = instrument.descriptor.kind == InstrumentKind::Histogram;
    let mut selected = false;
    let selects = |view: &View| view.selection.selects(&instrument.descriptor, scope);
    for (position, view) in views.iter().enumerate().filter(|(_, view)| selects(view)) {
        if view.discard {
            selected = true;
            continue;
        }
        let Some(aggregation) = view.aggregation_of(instrument) else {
            tracing::warn!(
                name = &*instrument.descriptor.name,
                kind = ?instrument.descriptor.kind,
                view = view.selection.pattern(),
                "a view asks for an aggregation that this kind of instrument cannot have: it is \
                 ignored here"
            );
            continue;
        };
        selected = true;
        plans.push(Plan {
            instrument: view.show(instrument, aggregation),
            filter: view.filter.clone(),
            cardinality_limit: view.cardinality_limit,
            reservoir: view.reservoir.clone(),
            by_reader: is_histogram && !view.chooses_histogram(),
            created_as: instrument.descriptor.name.clone(),
            view: Some(position),
        });
    }
    if !selected {
        plans.push(Plan {
            instrument: instrument.clone(),
            filter: None,
            cardinality_limit: None,
            reservoir: None,
            by_reader: is_histogram,
            created_as: instrument.descriptor.name.clone(),
            view: None,
        });
    }
    plans
}

impl Plan {
    /// Whether this is the name of the instrument: the one it was created with, or a view's.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.instrument.is_called(name) || self.created_as.eq_ignore_ascii_case(name)
    }

    /// Whether both are one stream: the same instrument seen through the same view, or through two
    /// that make no difference.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.instrument.is_same_as(&other.instrument)
            && (self.view == other.view
                || (self.filter == other.filter
                    && self.cardinality_limit == other.cardinality_limit
                    && self.has_reservoirs_of(other)
                    && self.instrument.aggregation == other.instrument.aggregation))
    }

    fn has_reservoirs_of(&self, other: &Self) -> bool {
        match (&self.reservoir, &other.reservoir) {
            (Some(ours), Some(theirs)) => ours.is(theirs),
            (None, None) => true,
            _ => false,
        }
    }
}

impl View {
    fn show(&self, instrument: &Instrument, aggregation: Aggregation) -> Instrument {
        let seen = &*instrument.descriptor;
        let descriptor = Descriptor {
            name: self.name.clone().unwrap_or_else(|| seen.name.clone()),
            description: match &self.description {
                Some(description) => description.clone(),
                None => seen.description.clone(),
            },
            ..seen.clone()
        };
        Instrument {
            descriptor: Arc::new(descriptor),
            number: instrument.number,
            aggregation,
        }
    }

    /// Whether it says which kind of histogram a histogram is.
    fn chooses_histogram(&self) -> bool {
        self.aggregation.is_some() || self.boundaries.is_some()
    }

    /// How this view aggregates an instrument; none if it cannot.
    fn aggregation_of(&self, instrument: &Instrument) -> Option<Aggregation> {
        let kind = instrument.descriptor.kind;
        let is_histogram = kind == InstrumentKind::Histogram;
        let chosen = self
            .aggregation
            .filter(|chosen| is_histogram || !chosen.histograms_only);
        match chosen {
            Some(Chosen { aggregation, .. }) => self.chosen(aggregation, instrument),
            None if is_histogram && self.boundaries.is_some() => {
                self.chosen(ViewAggregation::Explicit, instrument)
            }
            None => Some(instrument.aggregation.clone()),
        }
    }

    fn chosen(&self, chosen: ViewAggregation, instrument: &Instrument) -> Option<Aggregation> {
        use InstrumentKind::{
            Counter, Gauge, Histogram, ObservableCounter, ObservableGauge, ObservableUpDownCounter,
            UpDownCounter,
        };
        let kind = instrument.descriptor.kind;
        let bounds = || match &self.boundaries {
            Some(boundaries) => Arc::clone(boundaries),
            None => instrument.aggregation.bounds(),
        };
        let histogram = matches!(kind, Counter | UpDownCounter | Gauge | Histogram);
        match chosen {
            ViewAggregation::Sum => match kind {
                Counter | ObservableCounter | Histogram => {
                    Some(Aggregation::Sum { monotonic: true })
                }
                UpDownCounter | ObservableUpDownCounter => {
                    Some(Aggregation::Sum { monotonic: false })
                }
                Gauge | ObservableGauge => None,
            },
            ViewAggregation::LastValue => {
                matches!(kind, Gauge | ObservableGauge).then_some(Aggregation::LastValue)
            }
            ViewAggregation::Explicit => {
                histogram.then(|| Aggregation::Histogram { bounds: bounds() })
            }
            ViewAggregation::Exponential(options) => {
                histogram.then_some(Aggregation::Exponential(options))
            }
            ViewAggregation::Both(options) => histogram.then(|| Aggregation::Both {
                bounds: bounds(),
                exponential: options,
            }),
        }
    }
}
