mod bounds;

use meterline_sdk::{HistogramPoint, Histograms, Number, Snapshot};

use crate::dropped::Dropped;
use crate::labels::{Labels, Texts};
use crate::translate::{FamilyPlan, MetricPlan, Plan, Source};

pub use bounds::Bucket;
pub(crate) use bounds::BucketBounds;

/// What a snapshot looks like to Prometheus: families sorted by name, everything borrowed.
///
/// No two families share a name or the name of a sample, no two points share name and labels.
#[derive(Clone, Copy, Debug)]
pub struct Families<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) snapshot: &'a Snapshot,
}

impl<'a> Families<'a> {
    /// The families that have points, by name.
    pub fn iter(&self) -> impl Iterator<Item = Family<'a>> + use<'a> {
        let Self { plan, snapshot } = *self;
        let families = plan.families.iter();
        let families = families.map(move |family| Family {
            family,
            plan,
            snapshot,
        });
        families.filter(|family| family.blocks().any(|block| !block.is_empty()))
    }

    /// What is missing, and why.
    #[must_use]
    pub fn dropped(&self) -> Dropped {
        self.plan.dropped(self.snapshot)
    }
}

/// A Prometheus metric type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A total that never goes down.
    Counter,
    /// A value that may go anywhere.
    Gauge,
    /// A distribution over buckets.
    Histogram,
}

impl Kind {
    /// The name of the type, as all formats write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// All points of one name.
#[derive(Clone, Copy, Debug)]
pub struct Family<'a> {
    family: &'a FamilyPlan,
    plan: &'a Plan,
    snapshot: &'a Snapshot,
}

impl<'a> Family<'a> {
    /// The name, with its suffixes.
    #[must_use]
    pub fn name(&self) -> &'a str {
        &self.family.name
    }

    /// One sentence for people, empty if none; not escaped.
    #[must_use]
    pub fn help(&self) -> &'a str {
        &self.family.help
    }

    /// The unit in words (`seconds`, `bytes`), empty if none.
    #[must_use]
    pub fn unit(&self) -> &'a str {
        &self.family.unit
    }

    /// The type.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.family.kind
    }

    /// The points, one block per instrument of this name.
    pub fn blocks(&self) -> impl Iterator<Item = Block<'a>> + use<'a> {
        let Self {
            family,
            plan,
            snapshot,
        } = *self;
        family.sources.iter().map(move |source| match source {
            Source::Target(texts) => Block::Numbers(NumberBlock {
                rows: Rows {
                    texts,
                    left_out: &[],
                },
                name_len: family.name.len(),
                values: &[Number::U64(1)],
            }),
            Source::Metric(index) => block(
                family,
                &plan.metrics[*index],
                &snapshot.metrics[*index].data,
            ),
        })
    }
}

fn block<'a>(
    family: &'a FamilyPlan,
    metric: &'a MetricPlan,
    data: &'a meterline_sdk::Data,
) -> Block<'a> {
    let rows = Rows {
        texts: &metric.texts,
        left_out: &metric.duplicates,
    };
    let values: &[Number] = match data {
        meterline_sdk::Data::Sum { values, .. } | meterline_sdk::Data::Gauge(values) => values,
        meterline_sdk::Data::Histogram(data) | meterline_sdk::Data::Both(data, _) => {
            return Block::Histograms(HistogramBlock {
                rows,
                data,
                bounds: &metric.bounds,
            });
        }
        // Planning leaves other data out of every family.
        _ => &[],
    };
    Block::Numbers(NumberBlock {
        rows,
        name_len: family.name.len(),
        values,
    })
}

/// Points of one family that come from one instrument.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Block<'a> {
    /// Of a counter or a gauge.
    Numbers(NumberBlock<'a>),
    /// Of a histogram.
    Histograms(HistogramBlock<'a>),
}

impl Block<'_> {
    fn is_empty(&self) -> bool {
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
}

impl<'a> Rows<'a> {
    fn with<I: Iterator>(self, values: I) -> impl Iterator<Item = (&'a str, I::Item)> + use<'a, I> {
        self.shown(self.texts.iter().zip(values))
    }

    /// Those of `rows`, one per text, that are not left out.
    fn shown<I: Iterator>(self, rows: I) -> impl Iterator<Item = I::Item> + use<'a, I> {
        let mut left_out = self.left_out.iter().peekable();
        let rows = rows.enumerate();
        rows.filter_map(move |(at, row)| match left_out.next_if_eq(&&at) {
            Some(_) => None,
            None => Some(row),
        })
    }
}

/// Points that are one number each.
#[derive(Clone, Copy, Debug)]
pub struct NumberBlock<'a> {
    rows: Rows<'a>,
    name_len: usize,
    values: &'a [Number],
}

impl<'a> NumberBlock<'a> {
    /// The points, in the snapshot's order.
    pub fn iter(&self) -> impl Iterator<Item = (Labels<'a>, Number)> + use<'a> {
        let name_len = self.name_len;
        let rows = self.rows.with(self.values.iter().copied());
        rows.map(move |(line, number)| {
            let labels = line[name_len..].trim_end_matches(' ');
            let labels = labels.strip_prefix('{').unwrap_or(labels);
            let labels = labels.strip_suffix('}').unwrap_or(labels);
            (Labels::rendered(labels), number)
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
}

/// Points that are distributions.
#[derive(Clone, Copy, Debug)]
pub struct HistogramBlock<'a> {
    rows: Rows<'a>,
    data: &'a Histograms,
    bounds: &'a BucketBounds,
}

impl<'a> HistogramBlock<'a> {
    /// The points, in the snapshot's order.
    pub fn iter(&self) -> impl Iterator<Item = (Labels<'a>, HistogramPoint<'a>)> + use<'a> {
        let rows = self.rows.with(self.data.iter());
        rows.map(|(labels, point)| (Labels::rendered(labels), point))
    }

    /// The buckets of one of the points; the last is `+Inf`, with the count of the point.
    pub fn buckets(&self, point: HistogramPoint<'a>) -> impl Iterator<Item = Bucket<'a>> + use<'a> {
        self.bounds.cumulative(point.counts)
    }
}
