//! Signs of life, and the news they bring back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::Shared;
use super::trouble::Trouble;
use crate::queue::{Beat, BeatReply, QueueError};

/// Longest time between two signs of life, so that cancellations and orders to drain arrive soon.
const LONGEST_PERIOD: Duration = Duration::from_secs(2);

/// Beats until `stop`; cancels `replaced` when another process took the worker's name.
pub(super) async fn run(shared: Arc<Shared>, stop: CancellationToken, replaced: CancellationToken) {
    let period = (shared.options.lease / 3).clamp(Duration::from_millis(10), LONGEST_PERIOD);
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut trouble = Trouble::new("give a sign of life");
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let beat = Beat {
            worker: shared.options.name.clone(),
            instance: shared.instance,
            processed: shared.processed.load(Ordering::Relaxed),
            leases: shared.slots.leases(),
        };
        match shared.queue.beat(beat).await {
            Ok(reply) => {
                trouble.over();
                take_news(&shared, &reply, &replaced);
            }
            Err(QueueError::NotFound(_)) if !shared.replaced.load(Ordering::Relaxed) => {
                warn!(
                    worker = shared.options.name,
                    "the queue has forgotten this worker, it registers again"
                );
                // A failure shows as another NotFound at the next beat.
                let _ = shared.register(&stop).await;
            }
            Err(error) => trouble.note(&error),
        }
    }
}

fn take_news(shared: &Shared, reply: &BeatReply, replaced: &CancellationToken) {
    if reply.replaced && !shared.replaced.swap(true, Ordering::Relaxed) {
        error!(
            worker = shared.options.name,
            "another process registered under this worker's name: stopping"
        );
        replaced.cancel();
    }
    let changed = shared
        .draining
        .send_if_modified(|draining| std::mem::replace(draining, reply.draining) != reply.draining);
    if changed {
        let state = if reply.draining { "draining" } else { "ready" };
        info!(worker = shared.options.name, state, "told to change");
    }
    for (token, why) in &reply.revoked {
        shared.slots.revoke(*token, *why);
    }
}
