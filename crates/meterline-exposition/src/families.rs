mod blocks;
mod bounds;
mod folded;
mod le;

use meterline_sdk::Snapshot;

use crate::dropped::Dropped;
use crate::filter::NameFilter;
use crate::name::Naming;
use crate::translate::{FamilyPlan, Plan, Source};

pub use blocks::{Block, HistogramBlock, HistogramRow, NumberBlock, NumberRow};
pub use bounds::Bucket;
pub(crate) use bounds::BucketBounds;

/// What a snapshot looks like to Prometheus: families sorted by name, everything borrowed.
///
/// No two families share a name or the name of a sample, no two points share name and labels.
#[derive(Clone, Copy, Debug)]
pub struct Families<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) filter: Option<&'a NameFilter>,
}

impl<'a> Families<'a> {
    /// Only those of these families that the filter names.
    #[must_use]
    pub fn only(self, filter: &'a NameFilter) -> Self {
        Self {
            filter: Some(filter),
            ..self
        }
    }

    /// The families that have points, by name.
    pub fn iter(&self) -> impl Iterator<Item = Family<'a>> + use<'a> {
        let Self {
            plan,
            snapshot,
            filter,
        } = *self;
        let wanted = move |family: &&FamilyPlan| filter.is_none_or(|f| f.wants(family));
        let families = plan.families.iter().filter(wanted);
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

    pub(crate) fn naming(&self) -> Naming {
        self.plan.naming
    }

    /// Whether OpenMetrics has `_created` lines.
    pub(crate) fn shows_created(&self) -> bool {
        self.plan.created_timestamps
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
            Source::Target(texts) => Block::target(family, texts),
            Source::Metric(index) => {
                Block::of(family, &plan.metrics[*index], &snapshot.metrics[*index])
            }
        })
    }

    /// The name and the type that OpenMetrics shows: a counter's without `_total`, the target's
    /// without `_info`; where that is impossible the type is `unknown`, and the lines are the same.
    pub(crate) fn openmetrics(&self) -> (&'a str, &'static str) {
        let name = self.name();
        match self.family.openmetrics {
            OpenMetricsType::Own => (name, self.kind().as_str()),
            OpenMetricsType::Stem(kind) => (self.family.openmetrics_name(), kind),
            OpenMetricsType::Unknown => (name, "unknown"),
        }
    }

    /// The unit, if the name shows it where OpenMetrics says that it must; else empty.
    pub(crate) fn named_unit(&self) -> &'a str {
        let (name, kind) = self.openmetrics();
        let stem = if kind == "unknown" { "" } else { name };
        let named = stem
            .strip_suffix(self.unit())
            .is_some_and(|s| s.ends_with('_'));
        if named { self.unit() } else { "" }
    }
}

/// How OpenMetrics, whose counters are named without the suffix of their samples, sees a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenMetricsType {
    /// As the other formats do.
    Own,
    /// A counter or info, named without its last word.
    Stem(&'static str),
    /// A counter without `_total`, or whose name without it belongs to another family.
    Unknown,
}
