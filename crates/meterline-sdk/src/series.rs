use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::KeyValue;

use crate::Attributes;

/// Series of one instrument, sorted by their attributes.
pub type SeriesList = Arc<[Arc<Series>]>;

/// One series: a set of attributes and when it began. A series that ended and came back is another
/// one. A [`Snapshot`](crate::Snapshot) carries the values beside it.
#[derive(Debug)]
pub struct Series {
    attributes: Attributes,
    start: u64,
}

impl Series {
    /// A series that began at `start`. The SDK makes its own; this is for other producers of
    /// snapshots, and for tests.
    #[must_use]
    pub fn new(attributes: &[KeyValue], start: SystemTime) -> Self {
        Self::of(Attributes::new(attributes), unix_nanos(start))
    }

    pub(crate) fn of(attributes: Attributes, start: u64) -> Self {
        Self { attributes, start }
    }

    pub(crate) fn start_nanos(&self) -> u64 {
        self.start
    }

    /// The attributes that make it this series, sorted by key.
    #[must_use]
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// When it began: a cumulative value counts from here.
    #[must_use]
    pub fn start(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.start)
    }
}

/// Nanoseconds since the Unix epoch; 0 before it, and at most what a `u64` holds (the year 2554).
pub(crate) fn unix_nanos(time: SystemTime) -> u64 {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}
