//! The points of a family, as they come from one instrument.

use std::time::SystemTime;

use meterline_sdk::{
    Data, Exemplar, ExponentialHistograms, ExponentialPoint, HistogramPoint, Histograms, Metric,
    Number, Series,
};

use super::Kind;
use super::bounds::{Bucket, BucketBounds};
use super::folded::folded;
use crate::labels::{Labels, Texts};
use crate::protobuf::Pieces;
use crate::translate::{FamilyPlan, MetricPlan};

/// Points of one family that come from one instrument.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Block<'a> {
    /// Of a counter or a gauge.
    Numbers(NumberBlock<'a>),
    /// Of a histogram.
    Histograms(HistogramBlock<'a>),
}

impl<'a> Block<'a> {
    /// The one point that tells of the resource.
    pub(super) fn target(family: &'a FamilyPlan, texts: &'a Texts) -> Self {
        let rows = Rows {
            texts,
            left_out: &[],
            metric: None,
        };
        Self::Numbers(NumberBlock {
            rows,
            head: family.head.len(),
            values: &[Number::U64(1)],
            plan: None,
        })
    }

    /// The points of a metric that is shown in this family.
    pub(super) fn of(family: &'a FamilyPlan, plan: &'a MetricPlan, metric: &'a Metric) -> Self {
        let rows = Rows {
            texts: &plan.texts,
            left_out: &plan.duplicates,
            metric: Some(metric),
        };
        let bounds = &plan.bounds;
        let data = match &metric.data {
            Data::Histogram(fixed) => Shape::Fixed(fixed, bounds, None),
            Data::Both(fixed, native) => Shape::Fixed(fixed, bounds, Some(native)),
            Data::ExponentialHistogram(native) => Shape::Native(native),
            Data::Sum { values, .. } | Data::Gauge(values) => {
                return Self::Numbers(NumberBlock {
                    rows,
                    head: family.head.len(),
                    values,
                    plan: Some(plan),
                });
            }
            // Planning leaves other data out of every family.
            _ => Shape::None,
        };
        Self::Histograms(HistogramBlock { rows, data, plan })
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Numbers(block) => block.iter().next().is_none(),
            Self::Histograms(block) => block.iter().next().is_none(),
        }
    }
}

/// The texts of a metric's series, without those that are left out.
#[derive(Clone, Copy, Debug)]
struct Rows<'a> {
    texts: &'a Texts,
    /// Sorted positions.
    left_out: &'a [usize],
    metric: Option<&'a Metric>,
}

impl<'a> Rows<'a> {
    /// Those of `rows`, one per text, that are not left out.
    fn shown<I: Iterator>(self, rows: I) -> impl Iterator<Item = I::Item> + use<'a, I> {
        let mut left_out = self.left_out.iter().peekable();
        let rows = rows.enumerate();
        rows.filter_map(move |(at, row)| match left_out.next_if_eq(&&at) {
            Some(_) => None,
            None => Some(row),
        })
    }

    /// With those that are left out.
    fn all(self) -> Self {
        Self {
            left_out: &[],
            ..self
        }
    }

    /// Texts and values, with where they come from.
    fn with<I: Iterator>(
        self,
        values: I,
    ) -> impl Iterator<Item = (&'a str, I::Item, Origin<'a>)> + use<'a, I> {
        let rows = self.texts.iter().zip(values).enumerate();
        let metric = self.metric;
        let rows = rows.map(move |(at, (text, value))| (text, value, Origin { metric, at }));
        self.shown(rows)
    }
}

/// The series a point is of.
#[derive(Clone, Copy, Debug)]
struct Origin<'a> {
    metric: Option<&'a Metric>,
    at: usize,
}

impl<'a> Origin<'a> {
    fn start(self) -> Option<SystemTime> {
        let metric = self.metric?;
        let series: &Series = metric.series.get(self.at)?;
        Some(metric.start(series))
    }

    fn exemplars(self) -> impl Iterator<Item = &'a Exemplar> + Clone + use<'a> {
        let metric = self.metric.filter(|metric| !metric.exemplars.is_empty());
        // Found here and now, so that clones, one for each bucket, do not search again.
        let own = metric.map(|metric| metric.exemplars.of(self.at));
        own.into_iter().flatten()
    }
}

/// Points that are one number each.
#[derive(Clone, Copy, Debug)]
pub struct NumberBlock<'a> {
    rows: Rows<'a>,
    /// How much of a line stands before its labels.
    head: usize,
    values: &'a [Number],
    plan: Option<&'a MetricPlan>,
}

/// One number with its labels.
#[derive(Clone, Copy, Debug)]
pub struct NumberRow<'a> {
    /// What tells it from the others of its family.
    pub labels: Labels<'a>,
    /// The number.
    pub value: Number,
    /// All of its text line but the number.
    pub(crate) line: &'a str,
    origin: Origin<'a>,
}

impl<'a> NumberBlock<'a> {
    /// The points, in the snapshot's order.
    pub fn iter(&self) -> impl Iterator<Item = NumberRow<'a>> + use<'a> {
        let head = self.head;
        let rows = self.rows.with(self.values.iter().copied());
        rows.map(move |(line, value, origin)| {
            let labels = line[head..].trim_end_matches(' ');
            let labels = labels.strip_prefix(['{', ',']).unwrap_or(labels);
            let labels = labels.strip_suffix('}').unwrap_or(labels);
            NumberRow {
                labels: Labels::rendered(labels),
                value,
                line,
                origin,
            }
        })
    }

    /// The points, each with all of its text line but the number: `name{labels} `.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (&'a [u8], Number)> + use<'a> {
        let lines = self.rows.texts.iter_bytes();
        self.rows.shown(lines.zip(self.values.iter().copied()))
    }

    /// About how long the lines are, all together and without their numbers.
    pub(crate) fn bytes(&self) -> usize {
        self.rows.texts.total_bytes()
    }

    /// At least how many points there are.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// What stays of the protobuf messages of all series, made when first asked for; `None` for what
    /// has no series. One per series, left out ones included.
    pub(crate) fn pieces(&self, kind: Kind) -> Option<&'a Pieces> {
        let all = Self {
            rows: self.rows.all(),
            ..*self
        };
        let make = || Pieces::of_numbers(kind, all.iter());
        Some(self.plan?.pieces.get_or_init(make))
    }

    /// The points, each with its piece.
    pub(crate) fn with_pieces(
        &self,
        pieces: &'a Pieces,
    ) -> impl Iterator<Item = (&'a [u8], Number)> + use<'a> {
        self.rows
            .shown(pieces.iter().zip(self.values.iter().copied()))
    }

    pub(crate) fn has_exemplars(&self) -> bool {
        self.rows.metric.is_some_and(|m| !m.exemplars.is_empty())
    }
}

impl<'a> NumberRow<'a> {
    /// When a counter began to count; `None` for what did not begin.
    #[must_use]
    pub fn start(&self) -> Option<SystemTime> {
        self.origin.start()
    }

    /// Measurements that are examples of this total, of a counter.
    pub fn exemplars(&self) -> impl Iterator<Item = &'a Exemplar> + Clone + use<'a> {
        self.origin.exemplars()
    }
}

/// Points that are distributions.
#[derive(Clone, Copy, Debug)]
pub struct HistogramBlock<'a> {
    rows: Rows<'a>,
    data: Shape<'a>,
    plan: &'a MetricPlan,
}

/// The data of a metric's histograms.
#[derive(Clone, Copy, Debug)]
enum Shape<'a> {
    Fixed(
        &'a Histograms,
        &'a BucketBounds,
        Option<&'a ExponentialHistograms>,
    ),
    Native(&'a ExponentialHistograms),
    None,
}

/// One distribution with its labels.
#[derive(Clone, Copy, Debug)]
pub struct HistogramRow<'a> {
    /// What tells it from the others of its family.
    pub labels: Labels<'a>,
    point: Point<'a>,
    origin: Origin<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Point<'a> {
    Fixed(
        HistogramPoint<'a>,
        &'a BucketBounds,
        Option<ExponentialPoint<'a>>,
    ),
    Native(ExponentialPoint<'a>),
}

impl<'a> HistogramBlock<'a> {
    /// The points, in the snapshot's order.
    pub fn iter(&self) -> impl Iterator<Item = HistogramRow<'a>> + use<'a> {
        let (fixed, native) = match self.data {
            Shape::Fixed(fixed, bounds, native) => (Some((fixed, bounds)), native),
            Shape::Native(native) => (None, Some(native)),
            Shape::None => (None, None),
        };
        let mut native = native.map(ExponentialHistograms::iter);
        let mut fixed = fixed.map(|(fixed, bounds)| (fixed.iter(), bounds));
        let points = std::iter::from_fn(move || {
            let native = native.as_mut().and_then(Iterator::next);
            match &mut fixed {
                Some((fixed, bounds)) => Some(Point::Fixed(fixed.next()?, bounds, native)),
                None => native.map(Point::Native),
            }
        });
        let rows = self.rows.with(points);
        rows.map(|(labels, point, origin)| HistogramRow {
            labels: Labels::rendered(labels),
            point,
            origin,
        })
    }
}

impl<'a> HistogramBlock<'a> {
    /// The points, each with the protobuf form of its labels.
    pub(crate) fn with_pieces(
        &self,
    ) -> impl Iterator<Item = (&'a [u8], HistogramRow<'a>)> + use<'a> {
        let all = Self {
            rows: self.rows.all(),
            ..*self
        };
        let make = || Pieces::of_histograms(all.iter());
        let pieces = self.plan.pieces.get_or_init(make);
        self.rows.shown(pieces.iter().zip(all.iter()))
    }
}

impl<'a> HistogramRow<'a> {
    /// The buckets; the last is `+Inf`, with the count of all values. Exponential ones without fixed
    /// ones beside them are added up to powers of two.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket<'a>> + use<'a> {
        let (fixed, native) = match self.point {
            Point::Fixed(point, bounds, _) => (Some(bounds.cumulative(point.counts)), None),
            Point::Native(point) => (None, Some(folded(point))),
        };
        fixed
            .into_iter()
            .flatten()
            .chain(native.into_iter().flatten())
    }

    /// The sum of all values.
    #[must_use]
    pub fn sum(&self) -> Number {
        match self.point {
            Point::Fixed(point, ..) => point.sum,
            Point::Native(point) => point.sum,
        }
    }

    /// The exponential buckets, if there are any.
    #[must_use]
    pub fn native(&self) -> Option<ExponentialPoint<'a>> {
        match self.point {
            Point::Fixed(_, _, native) => native,
            Point::Native(native) => Some(native),
        }
    }

    /// Whether there are fixed buckets, whatever else there is.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        matches!(self.point, Point::Fixed(..))
    }

    /// When it began to count.
    #[must_use]
    pub fn start(&self) -> Option<SystemTime> {
        self.origin.start()
    }

    /// Measurements that are examples of this distribution.
    pub fn exemplars(&self) -> impl Iterator<Item = &'a Exemplar> + Clone + use<'a> {
        self.origin.exemplars()
    }
}
