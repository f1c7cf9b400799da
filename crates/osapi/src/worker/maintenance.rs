//! The queue's housekeeping.

use std::time::Duration;

use meterline_jobs::{JobMetrics, UnitStatus};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::trouble::Trouble;
use crate::queue::{Maintenance, SharedQueue};

const PERIOD: Duration = Duration::from_secs(1);

/// Maintains the queue once a second until `stop`, and counts what that did. Every process runs
/// one, however many workers it has.
pub async fn maintain(queue: SharedQueue, jobs: JobMetrics, stop: CancellationToken) {
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
                count(&jobs, &done);
            }
            Err(error) => trouble.note(&error),
        }
    }
}

fn count(jobs: &JobMetrics, done: &Maintenance) {
    for rescued in &done.rescued {
        jobs.rescued(&rescued.operation);
        if rescued.failed {
            jobs.completed(&rescued.operation, UnitStatus::Failed, 1);
        }
    }
    for operation in &done.start_timeouts {
        jobs.completed(operation, UnitStatus::Failed, 1);
    }
}
