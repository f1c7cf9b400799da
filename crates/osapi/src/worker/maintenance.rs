//! The queue's housekeeping.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::JobObserver;
use super::trouble::Trouble;
use crate::queue::{JobState, Maintenance, SharedQueue};

const PERIOD: Duration = Duration::from_secs(1);

/// Maintains the queue once a second until `stop`, and reports what that did. Every process runs
/// one, however many workers it has.
pub async fn maintain(queue: SharedQueue, observer: Arc<dyn JobObserver>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut trouble = Trouble::new("maintain the queue");
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        match queue.maintain().await {
            Ok(done) => {
                trouble.over();
                count(&*observer, &done);
            }
            Err(error) => trouble.note(&error),
        }
    }
}

fn count(observer: &dyn JobObserver, done: &Maintenance) {
    for rescued in &done.rescued {
        observer.rescued(&rescued.operation);
        if rescued.failed {
            observer.completed(&rescued.operation, JobState::Failed);
        }
    }
    for operation in &done.start_timeouts {
        observer.completed(operation, JobState::Failed);
    }
}
