//! A worker's slots: which leases are in them, and how many are free.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use super::JobObserver;
use crate::queue::{LeaseToken, Revoked};

type Running = HashMap<LeaseToken, watch::Sender<Option<Revoked>>>;

/// The slots of one worker.
pub(super) struct Slots {
    worker: String,
    total: u32,
    observer: Arc<dyn JobObserver>,
    running: Mutex<Running>,
    /// Told whenever a slot becomes free.
    freed: Notify,
}

impl Slots {
    /// All free, and not yet reported.
    pub(super) fn new(worker: String, total: u32, observer: Arc<dyn JobObserver>) -> Self {
        Self {
            worker,
            total,
            observer,
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
        self.change(|running| {
            running.insert(token, revoke);
        });
        let slot = Slot {
            slots: Arc::clone(self),
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

    /// Reports how many slots are used and free.
    pub(super) fn report(&self) {
        self.change(|_| ());
    }

    /// Changes what is running and reports it, in one step: two reports in the wrong order would
    /// leave the gauge wrong until the next job.
    fn change(&self, how: impl FnOnce(&mut Running)) {
        let mut running = self.lock();
        how(&mut running);
        let free = self.free(&running);
        self.observer.slots(&self.worker, self.total - free, free);
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
    token: LeaseToken,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.change(|running| {
            running.remove(&self.token);
        });
        self.slots.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Condvar;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::queue::JobId;
    use crate::worker::{Active, AttemptStatus, JobObserver};

    /// Notes reports in the order in which they are through, and holds the first of two back until
    /// the second has overtaken it, or clearly cannot.
    #[derive(Default)]
    struct Slow {
        reports: Mutex<Vec<u32>>,
        overtaken: Condvar,
    }

    impl JobObserver for Slow {
        fn started(&self, _: &str, _: Duration) -> Active {
            Box::new(())
        }
        fn attempt(&self, _: &str, _: &str, _: AttemptStatus, _: Duration) {}
        fn completed(&self, _: &str, _: crate::queue::JobState) {}
        fn retried(&self, _: &str) {}
        fn rescued(&self, _: &str) {}
        fn slots(&self, _: &str, used: u32, _: u32) {
            let mut reports = self.reports.lock().expect("no panic");
            if used == 1 && reports.contains(&2) {
                reports = self
                    .overtaken
                    .wait_timeout_while(reports, Duration::from_millis(300), |seen| {
                        !seen.contains(&0)
                    })
                    .expect("no panic")
                    .0;
            }
            reports.push(used);
            self.overtaken.notify_all();
        }
    }

    #[test]
    fn the_last_report_is_the_last_change() {
        let slow = Arc::new(Slow::default());
        let slots = Arc::new(Slots::new("w".to_owned(), 2, slow.clone()));
        let token = |serial| LeaseToken {
            unit: JobId::new(),
            serial,
        };
        let (first, _first) = slots.take(token(1));
        let (second, _second) = slots.take(token(2));
        thread::scope(|scope| {
            scope.spawn(|| drop(first));
            scope.spawn(|| drop(second));
        });
        assert_eq!(*slow.reports.lock().expect("no panic"), [1, 2, 1, 0]);
    }
}
