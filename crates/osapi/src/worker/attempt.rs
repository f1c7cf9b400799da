//! One attempt at one unit of work.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::FutureExt;
use meterline_jobs::{Attempt, AttemptStatus};
use tokio::sync::watch;
use tracing::{Instrument, debug, error, warn};

use super::Shared;
use super::slots::Slot;
use super::trouble::Trouble;
use crate::operations::{Context, Failure};
use crate::queue::{Finished, Lease, Outcome, QueueError, Revoked};
use crate::traces;

/// Runs a leased unit to its end: a result, a failure, a panic, or the lease being revoked.
pub(super) async fn run(
    shared: Arc<Shared>,
    lease: Lease,
    slot: Slot,
    revoked: watch::Receiver<Option<Revoked>>,
) {
    let span = traces::attempt_span(&lease, &shared.options.name);
    measured(shared, lease, slot, revoked)
        .instrument(span)
        .await;
}

async fn measured(
    shared: Arc<Shared>,
    lease: Lease,
    _slot: Slot,
    mut revoked: watch::Receiver<Option<Revoked>>,
) {
    let attempt = shared.jobs.start(&lease.operation.kind, lease.waited);
    // Dropped before its end it is given back, or rescued, and begins anew.
    let mut attempt = attempt.by(&shared.metrics).on_drop(None);
    let ended = tokio::select! {
        biased;
        why = until_revoked(&mut revoked) => Err(why),
        outcome = execute(&shared, &lease) => Ok(outcome),
    };
    attempt.stop();
    let finished = match ended {
        Err(why) => Finished::Stale(why),
        Ok(outcome) => tokio::select! {
            biased;
            finished = report(&shared, &lease, outcome) => finished,
            why = until_revoked(&mut revoked) => Finished::Stale(why),
        },
    };
    count(&shared, &lease, finished, attempt);
}

async fn until_revoked(revoked: &mut watch::Receiver<Option<Revoked>>) -> Revoked {
    revoked
        .wait_for(Option::is_some)
        .await
        .ok()
        .and_then(|why| *why)
        .unwrap_or(Revoked::Lost)
}

async fn execute(shared: &Shared, lease: &Lease) -> Outcome {
    let context = Context {
        attempt: lease.attempt,
    };
    // Called inside the guarded future: a handler may panic before it returns its own.
    let handler = async {
        shared
            .registry
            .run(&lease.operation.kind, lease.operation.data.clone(), context)
            .await
    };
    match AssertUnwindSafe(handler).catch_unwind().await {
        Ok(Ok(result)) => Outcome::Completed(result),
        Ok(Err(Failure {
            error,
            result,
            permanent,
        })) => {
            debug!(job = %lease.job, attempt = lease.attempt, error, "the attempt failed");
            Outcome::Failed {
                error,
                result,
                permanent,
            }
        }
        Err(panic) => {
            let message = panic_message(&*panic);
            error!(job = %lease.job, operation = lease.operation.kind, message, "the handler panicked");
            Outcome::Failed {
                error: format!("the handler panicked: {message}"),
                result: None,
                permanent: false,
            }
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// Tells the queue, for as long as the lease may hold; the heartbeat goes on meanwhile.
/// A result the queue cannot keep fails the unit: another attempt would end the same way.
async fn report(shared: &Shared, lease: &Lease, mut outcome: Outcome) -> Finished {
    let mut trouble = Trouble::new("report a result");
    loop {
        match shared.queue.finish(lease.token, outcome.clone()).await {
            Ok(finished) => {
                trouble.over();
                return finished;
            }
            Err(error @ (QueueError::Fault(_) | QueueError::TooLarge { .. }))
                if matches!(outcome, Outcome::Completed(_)) =>
            {
                outcome = Outcome::Failed {
                    error: format!("the result cannot be kept: {error}"),
                    result: None,
                    permanent: true,
                };
            }
            Err(QueueError::Closed | QueueError::Fault(_) | QueueError::TooLarge { .. }) => {
                return Finished::Stale(Revoked::Lost);
            }
            Err(error) => {
                trouble
                    .pause(&error, &tokio_util::sync::CancellationToken::new())
                    .await;
            }
        }
    }
}

fn count(shared: &Shared, lease: &Lease, finished: Finished, attempt: Attempt) {
    let status = match finished {
        Finished::Completed => AttemptStatus::Completed,
        Finished::Failed => AttemptStatus::Failed,
        Finished::Retrying(_) => AttemptStatus::Retried,
        Finished::Stale(Revoked::Cancelled) => AttemptStatus::Cancelled,
        Finished::Stale(Revoked::Lost) => {
            warn!(job = %lease.job, "the lease was lost, the late result is dropped");
            traces::note_end("lost", false);
            attempt.abandon();
            return;
        }
    };
    shared.processed.fetch_add(1, Ordering::Relaxed);
    let failed = matches!(status, AttemptStatus::Failed | AttemptStatus::Retried);
    traces::note_end(status.as_str(), failed);
    attempt.finish(status);
}
