//! A worker's slots: which leases are in them, and how many are free.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use meterline_jobs::WorkerMetrics;
use tokio::sync::{Notify, watch};

use crate::queue::{LeaseToken, Revoked};

type Running = HashMap<LeaseToken, watch::Sender<Option<Revoked>>>;

/// The slots of one worker.
pub(super) struct Slots {
    total: u32,
    metrics: WorkerMetrics,
    running: Mutex<Running>,
    /// Told whenever a slot becomes free.
    freed: Notify,
}

impl Slots {
    /// All free.
    pub(super) fn new(total: u32, metrics: WorkerMetrics) -> Self {
        Self {
            total,
            metrics,
            running: Mutex::default(),
            freed: Notify::new(),
        }
    }

    /// Puts a lease in a slot. The receiver learns if the lease is revoked.
    pub(super) fn take(
        self: &Arc<Self>,
        token: LeaseToken,
    ) -> (Slot, watch::Receiver<Option<Revoked>>) {
        let (revoke, revoked) = watch::channel(None);
        self.lock().insert(token, revoke);
        let slot = Slot {
            slots: Arc::clone(self),
            measured: Some(self.metrics.slot()),
            token,
        };
        (slot, revoked)
    }

    /// Waits until a slot is free; returns how many are.
    pub(super) async fn any_free(&self) -> u32 {
        loop {
            let freed = self.freed.notified();
            let free = self.free(&self.lock());
            if free > 0 {
                return free;
            }
            freed.await;
        }
    }

    /// The leases that are in slots now.
    pub(super) fn leases(&self) -> Vec<LeaseToken> {
        self.lock().keys().copied().collect()
    }

    /// Tells whoever runs a lease that it no longer holds.
    pub(super) fn revoke(&self, token: LeaseToken, why: Revoked) {
        if let Some(revoke) = self.lock().get(&token) {
            revoke.send_replace(Some(why));
        }
    }

    fn free(&self, running: &Running) -> u32 {
        let used = u32::try_from(running.len()).unwrap_or(u32::MAX);
        self.total.saturating_sub(used)
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A taken slot; free again when dropped, however the attempt ended.
pub(super) struct Slot {
    slots: Arc<Slots>,
    measured: Option<meterline_jobs::Slot>,
    token: LeaseToken,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.lock().remove(&self.token);
        self.measured = None;
        self.slots.freed.notify_one();
    }
}
