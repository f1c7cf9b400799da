//! Views: how instruments become streams other than by default.
//!
//! `select` is which instruments a view is about, `plan` what becomes of them, `filter` which
//! attributes stay.

mod filter;
mod plan;
mod select;

pub(crate) use filter::Filter;
pub(crate) use plan::{Plan, plans};

use std::borrow::Cow;
use std::sync::Arc;

use crate::InstrumentKind;
use crate::cell::exponential::ExponentialOptions;
use crate::exemplar::{ExemplarReservoir, MakeReservoir};
use crate::instrument::{LONGEST_NAME, are_valid_boundaries, is_valid_name};
use select::Selection;

/// A change to the instruments it selects (OpenTelemetry metrics SDK, "View").
///
/// Each view that selects an instrument gives a stream of its own; where none does, the instrument
/// has its default stream. Views that ask for what cannot be (a sum of a gauge) are reported and
/// count as absent for that instrument.
///
/// ```
/// use meterline_sdk::{MeterProvider, View};
///
/// # fn main() -> Result<(), meterline_sdk::InvalidView> {
/// let provider = MeterProvider::builder()
///     .with_view(View::builder("http.server.*").drop_attributes(["url.scheme"]).build()?)
///     .with_view(View::builder("debug.*").discard().build()?)
///     .build();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct View {
    selection: Selection,
    discard: bool,
    name: Option<Cow<'static, str>>,
    description: Option<Cow<'static, str>>,
    filter: Option<Arc<Filter>>,
    aggregation: Option<Chosen>,
    boundaries: Option<Arc<[f64]>>,
    cardinality_limit: Option<usize>,
    reservoir: Option<MakeReservoir>,
}

/// What measurements become, where a view says so.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum ViewAggregation {
    /// Their sum. Not for gauges.
    Sum,
    /// The last one. Only for gauges.
    LastValue,
    /// A histogram with explicit buckets: those of [`ViewBuilder::buckets`], else those the
    /// instrument advises, else the specification's.
    Explicit,
    /// A histogram with exponential buckets.
    Exponential(ExponentialOptions),
    /// Both histograms, from one recording: to move from the one to the other.
    Both(ExponentialOptions),
}

#[derive(Clone, Copy, Debug)]
struct Chosen {
    aggregation: ViewAggregation,
    histograms_only: bool,
}

/// Describes a [`View`].
#[derive(Clone, Debug)]
#[must_use = "a view does nothing until it is built and given to a provider"]
pub struct ViewBuilder {
    view: View,
    boundaries: Option<Vec<f64>>,
    keep: Option<Vec<String>>,
    without: Vec<String>,
}

/// Why a view cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidView {
    /// It selects nothing.
    #[error("a view needs the name of an instrument, or a pattern such as `http.*` or `*`")]
    NoInstrument,
    /// The new name is none.
    #[error(
        "{0:?} is no name for a metric: one begins with a letter, has at most {LONGEST_NAME} \
         characters, and only letters, digits, '_', '.', '-' and '/'"
    )]
    Name(String),
    /// Several instruments would get one name.
    #[error("{0:?} may select several instruments, and they cannot all be called {1:?}")]
    OneNameForMany(String, String),
    /// The boundaries are no boundaries.
    #[error("bucket boundaries have to be finite and to increase")]
    Boundaries,
    /// Boundaries for something that has none.
    #[error("bucket boundaries are given, but the aggregation has no explicit buckets")]
    BoundariesWithoutBuckets,
    /// The options of the exponential histogram cannot be.
    #[error(
        "an exponential histogram has 2 to 16384 buckets, a scale from -10 to 20, and a zero \
         threshold that is finite and not negative"
    )]
    Exponential,
    /// Nothing could be recorded.
    #[error("a cardinality limit has to be at least 1")]
    NoCardinality,
}

impl View {
    /// A view of the instruments with this name, in which `*` stands for any number of characters
    /// and `?` for one. Capital and small letters are the same, as they are in instrument names.
    pub fn builder(instrument: impl Into<String>) -> ViewBuilder {
        ViewBuilder {
            view: Self {
                selection: Selection::new(instrument.into()),
                discard: false,
                name: None,
                description: None,
                filter: None,
                aggregation: None,
                boundaries: None,
                cardinality_limit: None,
                reservoir: None,
            },
            boundaries: None,
            keep: None,
            without: Vec::new(),
        }
    }
}

impl ViewBuilder {
    /// Only instruments of this kind.
    pub fn kind(mut self, kind: InstrumentKind) -> Self {
        self.view.selection.kind = Some(kind);
        self
    }

    /// Only instruments with this unit.
    pub fn unit(mut self, unit: impl Into<String>) -> Self {
        self.view.selection.unit = Some(unit.into());
        self
    }

    /// Only instruments of meters with this name.
    pub fn meter(mut self, name: impl Into<String>) -> Self {
        self.view.selection.meter = Some(name.into());
        self
    }

    /// Only instruments of meters with this version.
    pub fn meter_version(mut self, version: impl Into<String>) -> Self {
        self.view.selection.meter_version = Some(version.into());
        self
    }

    /// Only instruments of meters with this schema URL.
    pub fn meter_schema_url(mut self, url: impl Into<String>) -> Self {
        self.view.selection.meter_schema_url = Some(url.into());
        self
    }

    /// Another name for the stream. The view then has to name one instrument, without wildcards.
    pub fn rename(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.view.name = Some(name.into());
        self
    }

    /// Another description.
    pub fn describe(mut self, description: impl Into<Cow<'static, str>>) -> Self {
        self.view.description = Some(description.into());
        self
    }

    /// No stream: this view records nothing. Another view that selects the instrument still may.
    pub fn discard(mut self) -> Self {
        self.view.discard = true;
        self
    }

    /// Keeps the attributes with these keys and no others. Series that then have the same
    /// attributes are one; what was left out can be seen on exemplars.
    pub fn keep_attributes<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        let keys = keys.into_iter().map(Into::into);
        self.keep.get_or_insert_default().extend(keys);
        self
    }

    /// Leaves out the attributes with these keys, also of those that are kept.
    pub fn drop_attributes<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.without.extend(keys.into_iter().map(Into::into));
        self
    }

    /// The boundaries of histograms, which makes them explicit ones unless an aggregation is
    /// chosen; instruments that are none stay as they are.
    pub fn buckets(mut self, boundaries: impl Into<Vec<f64>>) -> Self {
        self.boundaries = Some(boundaries.into());
        self
    }

    /// How measurements are aggregated, whatever kind of instrument it is.
    pub fn aggregation(mut self, aggregation: ViewAggregation) -> Self {
        self.view.aggregation = Some(Chosen {
            aggregation,
            histograms_only: false,
        });
        self
    }

    /// How histograms are aggregated; other kinds of instruments stay as they are.
    pub fn histograms_as(mut self, aggregation: ViewAggregation) -> Self {
        self.view.aggregation = Some(Chosen {
            aggregation,
            histograms_only: true,
        });
        self
    }

    /// How many series the stream may have, instead of the provider's limit.
    pub fn cardinality_limit(mut self, limit: usize) -> Self {
        self.view.cardinality_limit = Some(limit);
        self
    }

    /// What keeps the exemplars of each series, in place of the specification's reservoirs. Which
    /// measurements it is offered is for the [filter](crate::ExemplarFilter) to say.
    pub fn exemplar_reservoir<R: ExemplarReservoir + 'static>(
        mut self,
        make: impl Fn() -> R + Send + Sync + 'static,
    ) -> Self {
        self.view.reservoir = Some(MakeReservoir::new(make));
        self
    }

    /// The view.
    ///
    /// # Errors
    /// If it asks for what cannot be, see [`InvalidView`].
    pub fn build(self) -> Result<View, InvalidView> {
        let mut view = self.view;
        if view.selection.is_empty() {
            return Err(InvalidView::NoInstrument);
        }
        if let Some(name) = &view.name {
            if !is_valid_name(name) {
                return Err(InvalidView::Name(name.clone().into_owned()));
            }
            if view.selection.has_wildcards() {
                let pattern = view.selection.pattern().to_owned();
                return Err(InvalidView::OneNameForMany(
                    pattern,
                    name.clone().into_owned(),
                ));
            }
        }
        if view.cardinality_limit == Some(0) {
            return Err(InvalidView::NoCardinality);
        }
        let chosen = view.aggregation.map(|chosen| chosen.aggregation);
        check_aggregation(chosen, self.boundaries.as_deref())?;
        view.boundaries = self.boundaries.map(Into::into);
        view.filter = Filter::new(self.keep, self.without).map(Arc::new);
        Ok(view)
    }
}

fn check_aggregation(
    chosen: Option<ViewAggregation>,
    boundaries: Option<&[f64]>,
) -> Result<(), InvalidView> {
    if boundaries.is_some_and(|boundaries| !are_valid_boundaries(boundaries)) {
        return Err(InvalidView::Boundaries);
    }
    match chosen {
        Some(ViewAggregation::Exponential(options) | ViewAggregation::Both(options))
            if !options.is_valid() =>
        {
            Err(InvalidView::Exponential)
        }
        None | Some(ViewAggregation::Explicit | ViewAggregation::Both(_)) => Ok(()),
        Some(_) if boundaries.is_some() => Err(InvalidView::BoundariesWithoutBuckets),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
