//! The workers a queue knows.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{LeaseToken, Revoked};

/// A worker that announces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Its name, unique in the fleet; a newer registration replaces an older one.
    pub worker: String,
    /// Tells this process from an earlier one of the same name.
    pub instance: Uuid,
    /// The host it runs on.
    pub hostname: String,
    /// Free text of the operator's.
    pub labels: BTreeMap<String, String>,
    /// Units it runs at a time.
    pub slots: u32,
}

/// A sign of life, which also keeps the worker's leases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// The worker's name.
    pub worker: String,
    /// Its instance, as registered.
    pub instance: Uuid,
    /// Attempts finished since it started.
    pub processed: u64,
    /// The leases it holds; each is extended.
    pub leases: Vec<LeaseToken>,
}

/// The answer to a [`Beat`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BeatReply {
    /// Whether the worker is to take no more work.
    pub draining: bool,
    /// Whether another process registered under this name.
    pub replaced: bool,
    /// Leases that no longer hold: the work is to be stopped.
    pub revoked: Vec<(LeaseToken, Revoked)>,
}

/// How a worker is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum WorkerState {
    /// Takes work.
    Ready,
    /// Finishes what it has and takes no more.
    Draining,
    /// Has given no sign of life for the length of a lease, without having stopped. Forgotten after an hour.
    Lost,
}

impl WorkerState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Ready, Self::Draining, Self::Lost];

    /// The name used in JSON and labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Lost => "lost",
        }
    }
}

/// A worker as the fleet's list shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkerInfo {
    /// Its name.
    pub worker: String,
    /// The host it runs on.
    pub hostname: String,
    /// Free text of the operator's.
    pub labels: BTreeMap<String, String>,
    /// How it is.
    pub state: WorkerState,
    /// Units it runs at a time.
    pub slots: u32,
    /// Units it was running at its last sign of life.
    pub active: u32,
    /// Attempts it has finished since it started.
    pub processed: u64,
    /// When it registered.
    pub started_at: Timestamp,
    /// Its last sign of life.
    pub last_heartbeat: Timestamp,
}
