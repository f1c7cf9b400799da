/// Why points are missing from the page. `as_str` is the `reason` of a self-metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// The instrument's name has no character that the page could show.
    InvalidName,
    /// Another instrument of another kind has the same Prometheus name. The first in the snapshot,
    /// which is sorted by scope and instrument, wins, whichever was created first; the others are
    /// dropped as a whole. A resource shown as `target_info` wins over instruments of that name.
    TypeConflict,
    /// A sample would bear the name of another family's sample: a gauge `x_count` or `x_created` beside
    /// a histogram `x`. The winner is decided as for [`TypeConflict`](Self::TypeConflict).
    NameConflict,
    /// The same name and labels as an earlier point, once translated: attributes `200` and
    /// `"200"`, or instruments `a.b` and `a_b`. The first in the snapshot is kept.
    DuplicateSeries,
    /// A kind of data that Prometheus has no representation for, such as deltas.
    Unsupported,
    /// A counter that is negative or not a number, which OpenMetrics does not allow.
    InvalidValue,
}

impl DropReason {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::InvalidName,
        Self::TypeConflict,
        Self::NameConflict,
        Self::DuplicateSeries,
        Self::Unsupported,
        Self::InvalidValue,
    ];

    /// A short name, fit for a label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidName => "invalid_name",
            Self::TypeConflict => "type_conflict",
            Self::NameConflict => "name_conflict",
            Self::DuplicateSeries => "duplicate_series",
            Self::Unsupported => "unsupported",
            Self::InvalidValue => "invalid_value",
        }
    }
}

/// How many points of one snapshot were dropped, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped([u64; DropReason::ALL.len()]);

impl Dropped {
    /// How many points were dropped for this reason.
    #[must_use]
    pub fn get(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }

    /// How many points were dropped.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Every reason with its count, which may be 0.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> {
        DropReason::ALL.into_iter().zip(self.0)
    }

    /// Both together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for (own, more) in self.0.iter_mut().zip(other.0) {
            *own += more;
        }
        self
    }

    pub(crate) fn add(&mut self, reason: DropReason, points: usize) {
        self.0[reason as usize] += points as u64;
    }
}
