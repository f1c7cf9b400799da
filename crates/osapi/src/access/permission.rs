use std::fmt;
use std::str::FromStr;

/// What a token can allow. Each route of the API asks for one, unless it is public.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// See jobs and workers.
    JobRead,
    /// Submit, cancel, remove and retry jobs.
    JobWrite,
    /// See how the installation is.
    HealthRead,
    /// Tell workers to drain.
    WorkerWrite,
    /// Scrape the metrics where `telemetry.metrics.auth` is `bearer`.
    MetricsRead,
}

impl Permission {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::JobRead,
        Self::JobWrite,
        Self::HealthRead,
        Self::WorkerWrite,
        Self::MetricsRead,
    ];

    /// The name in tokens and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::JobRead => "job:read",
            Self::JobWrite => "job:write",
            Self::HealthRead => "health:read",
            Self::WorkerWrite => "worker:write",
            Self::MetricsRead => "metrics:read",
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// There is no such permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one of {}", Permission::ALL.map(Permission::as_str).join(", "))]
pub struct UnknownPermission;

impl FromStr for Permission {
    type Err = UnknownPermission;

    fn from_str(text: &str) -> Result<Self, UnknownPermission> {
        let found = Self::ALL.into_iter().find(|known| known.as_str() == text);
        found.ok_or(UnknownPermission)
    }
}
