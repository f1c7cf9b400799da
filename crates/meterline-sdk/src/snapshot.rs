use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::InstrumentationScope;

use crate::{Number, Resource, Series, SeriesList};

mod exemplar;
mod exponential;
mod points;

pub use exemplar::{Exemplar, Exemplars};
pub use exponential::{ExponentialBuckets, ExponentialHistograms, ExponentialPoint};

/// Everything one collection saw, as plain values.
///
/// Metrics are sorted by scope (name, version, schema URL, attributes) and instrument (name, kind,
/// unit), series by their attributes: two snapshots of the same state are in the same order,
/// whatever order things were created in.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When the values were read.
    pub time: SystemTime,
    /// What the values describe.
    pub resource: Arc<Resource>,
    /// One per instrument that has series.
    pub metrics: Vec<Metric>,
}

/// The points of one instrument: `data` holds one point per entry of `series`, in the same order.
#[derive(Clone, Debug)]
pub struct Metric {
    /// The meter's scope.
    pub scope: Arc<InstrumentationScope>,
    /// The instrument.
    pub descriptor: Arc<Descriptor>,
    /// The series, sorted by their attributes. The same allocation is handed out until a series
    /// comes or goes, so an encoder may key what it caches about labels by its address.
    pub series: SeriesList,
    /// The values.
    pub data: Data,
    /// What the values count from.
    pub temporality: Temporality,
    /// Single measurements kept as examples of the points.
    pub exemplars: Exemplars,
}

impl Metric {
    /// When the point of `series` began to count: for a delta not before the reading it follows.
    #[must_use]
    pub fn start(&self, series: &Series) -> SystemTime {
        match self.temporality {
            Temporality::Cumulative => series.start(),
            Temporality::Delta { since } => series.start().max(since),
        }
    }
}

/// What the values of sums and histograms count from; a gauge is what it is either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Temporality {
    /// From the start of each series.
    #[default]
    Cumulative,
    /// From the reader's previous collection, or the start of the series if that was later.
    Delta {
        /// When the reader collected before this.
        since: SystemTime,
    },
}

/// What an instrument is called and measures.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Descriptor {
    /// The OpenTelemetry name.
    pub name: Cow<'static, str>,
    /// What kind of instrument it is.
    pub kind: InstrumentKind,
    /// The unit in UCUM, empty if none.
    pub unit: Cow<'static, str>,
    /// One sentence for people, empty if none.
    pub description: Cow<'static, str>,
}

/// The kinds of instrument of the OpenTelemetry API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum InstrumentKind {
    /// A monotonic sum.
    Counter,
    /// A sum that may go down.
    UpDownCounter,
    /// The current value.
    Gauge,
    /// A distribution.
    Histogram,
    /// A monotonic sum, told by a callback.
    ObservableCounter,
    /// A sum that may go down, told by a callback.
    ObservableUpDownCounter,
    /// The current value, told by a callback.
    ObservableGauge,
}

/// The values of one metric's series.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Data {
    /// Totals since each series' start.
    Sum {
        /// Whether the totals never go down.
        monotonic: bool,
        /// One total per series.
        values: Vec<Number>,
    },
    /// Current values, one per series.
    Gauge(Vec<Number>),
    /// Distributions over explicit buckets.
    Histogram(Histograms),
    /// Distributions over exponential buckets.
    ExponentialHistogram(ExponentialHistograms),
    /// The same distributions twice: over explicit buckets and over exponential ones, the points in
    /// the same order.
    Both(Histograms, ExponentialHistograms),
}

impl Data {
    /// How many points there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Sum { values, .. } | Self::Gauge(values) => values.len(),
            Self::Histogram(histograms) | Self::Both(histograms, _) => histograms.len(),
            Self::ExponentialHistogram(histograms) => histograms.len(),
        }
    }

    /// Whether there are no points.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Explicit-bucket histograms that share their bounds; one allocation for all series' buckets.
#[derive(Clone, Debug, PartialEq)]
pub struct Histograms {
    bounds: Arc<[f64]>,
    counts: Vec<u64>,
    totals: Vec<Totals>,
}

/// A sum, and the smallest and the largest value.
type Totals = (Number, Option<(Number, Number)>);

impl Histograms {
    /// No points yet, over these bounds (strictly increasing and finite).
    #[must_use]
    pub fn new(bounds: Arc<[f64]>) -> Self {
        Self {
            bounds,
            counts: Vec::new(),
            totals: Vec::new(),
        }
    }

    pub(crate) fn from_parts(bounds: Arc<[f64]>, counts: Vec<u64>, totals: Vec<Totals>) -> Self {
        Self {
            bounds,
            counts,
            totals,
        }
    }

    /// Adds a point: the count of each bucket (one more than there are bounds, not cumulative),
    /// the sum, and the smallest and largest value unless nothing was recorded.
    ///
    /// # Panics
    /// If the number of buckets is not one more than that of the bounds.
    pub fn push(
        &mut self,
        counts: impl IntoIterator<Item = u64>,
        sum: Number,
        min_max: Option<(Number, Number)>,
    ) {
        self.counts.extend(counts);
        self.totals.push((sum, min_max));
        assert_eq!(
            self.counts.len(),
            self.totals.len() * (self.bounds.len() + 1)
        );
    }

    pub(crate) fn set_sum(&mut self, point: usize, sum: Number) {
        self.totals[point].0 = sum;
    }

    /// How many points there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.totals.len()
    }

    /// Whether there are no points.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.totals.is_empty()
    }

    /// The upper bounds of all buckets but the last, inclusive, strictly increasing.
    #[must_use]
    pub fn bounds(&self) -> &Arc<[f64]> {
        &self.bounds
    }

    /// # Panics
    /// If there is none at this position.
    pub(crate) fn point(&self, at: usize) -> HistogramPoint<'_> {
        let buckets = self.bounds.len() + 1;
        let (sum, min_max) = self.totals[at];
        HistogramPoint {
            counts: &self.counts[at * buckets..][..buckets],
            sum,
            min_max,
        }
    }

    /// The points, in the order of the metric's series.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = HistogramPoint<'_>> {
        let buckets = self.counts.chunks_exact(self.bounds.len() + 1);
        buckets
            .zip(&self.totals)
            .map(|(counts, &(sum, min_max))| HistogramPoint {
                counts,
                sum,
                min_max,
            })
    }
}

/// One series' distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HistogramPoint<'a> {
    /// How many values fell into each bucket, not cumulative; the last is above every bound.
    pub counts: &'a [u64],
    /// The sum of the values.
    pub sum: Number,
    /// The smallest and the largest value; `None` if there was none.
    pub min_max: Option<(Number, Number)>,
}

impl HistogramPoint<'_> {
    /// How many values were recorded: by definition the sum of the buckets.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}
