//! How things end.

/// How one attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttemptStatus {
    /// It did what it should; the unit is completed.
    Completed,
    /// The unit failed for good.
    Failed,
    /// The unit was cancelled while the attempt ran.
    Cancelled,
    /// It failed, and the unit will be tried again.
    Retried,
}

impl AttemptStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Retried,
    ];

    /// The value of the attribute `status`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Retried => "retried",
        }
    }
}

/// The final state of a unit of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnitStatus {
    /// Done.
    Completed,
    /// Given up.
    Failed,
    /// Cancelled by a caller.
    Cancelled,
}

impl UnitStatus {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Completed, Self::Failed, Self::Cancelled];

    /// The value of the attribute `status`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}
