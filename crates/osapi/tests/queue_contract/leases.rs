//! Work in the hands of workers, and out of them again.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use osapi::queue::{Finished, JobState, Outcome, Revoked, TimelineKind};
use serde_json::json;

use crate::bed::{Bed, Words, failure, job};

/// Short enough to wait for.
const LEASE: Duration = Duration::from_millis(150);

pub(crate) async fn hands_out_each_job_once(bed: Bed) {
    const JOBS: u64 = 400;
    let queues = [bed.open().await, bed.open().await];
    queues[0]
        .enqueue((0..JOBS).map(job).collect())
        .await
        .expect("accepted");
    let mut tasks = Vec::new();
    for n in 0..8 {
        let queue = queues[n % 2].clone();
        tasks.push(tokio::spawn(async move {
            let worker = format!("w{n}");
            queue.join(&worker).await;
            let mut seen = Vec::new();
            loop {
                let leases = queue.take(&worker, 3).await;
                if leases.is_empty() {
                    return seen;
                }
                for lease in leases {
                    let done = queue
                        .finish(lease.token, Outcome::Completed(json!(n)))
                        .await
                        .expect("finished");
                    assert_eq!(done, Finished::Completed);
                    seen.push(lease.job);
                }
            }
        }));
    }
    let mut seen = Vec::new();
    for task in tasks {
        seen.extend(task.await.expect("no panic"));
    }
    assert_eq!(seen.len() as u64, JOBS);
    assert_eq!(seen.into_iter().collect::<HashSet<_>>().len() as u64, JOBS);
    let stats = queues[0].stats().await.expect("stats");
    assert_eq!((stats.jobs.completed, stats.jobs.total()), (JOBS, JOBS));
}

pub(crate) async fn refuses_the_late_result_of_a_lost_worker(mut bed: Bed) {
    let queue = bed.with(|options| options.lease = LEASE).open().await;
    queue.join("slow").await;
    queue.join("quick").await;
    let id = queue.submit(job(1)).await.id;
    let late = queue.take_one("slow").await;
    let rescued = queue.rescue().await;
    assert_eq!(
        (rescued.operation.as_str(), rescued.failed),
        ("sleep", false)
    );
    assert_eq!(queue.record(id).await.status, JobState::Retrying);

    let second = queue.take_one("quick").await;
    assert_eq!((second.job, second.attempt), (id, 2));
    let stale = queue
        .finish(late.token, Outcome::Completed(json!("late")))
        .await
        .expect("answered");
    assert_eq!(stale, Finished::Stale(Revoked::Lost));
    assert_eq!(queue.record(id).await.status, JobState::Processing);
    queue.give_back(vec![late.token]).await.expect("ignored");
    assert_eq!(queue.record(id).await.status, JobState::Processing);

    queue
        .finish(second.token, Outcome::Completed(json!("in time")))
        .await
        .expect("finished");
    let stale = queue
        .finish(late.token, failure("late"))
        .await
        .expect("answered");
    assert_eq!(stale, Finished::Stale(Revoked::Lost));
    let record = queue.record(id).await;
    assert_eq!(
        (record.status, record.result),
        (JobState::Completed, Some(json!("in time")))
    );
    assert_eq!(record.worker.as_deref(), Some("quick"));
    assert!(
        record
            .timeline
            .iter()
            .any(|event| event.event == TimelineKind::Rescued)
    );
}

pub(crate) async fn ends_an_attempt_once(bed: Bed) {
    let queues = [bed.open().await, bed.open().await];
    queues[0].join("w").await;
    queues[0].submit(job(1)).await;
    let token = queues[0].take_one("w").await.token;
    let tasks: Vec<_> = (0..10)
        .map(|n| {
            let queue = queues[n % 2].clone();
            tokio::spawn(async move {
                queue
                    .finish(token, Outcome::Completed(json!(n)))
                    .await
                    .expect("answered")
            })
        })
        .collect();
    let mut completed = 0;
    for task in tasks {
        completed += u32::from(task.await.expect("no panic") == Finished::Completed);
    }
    assert_eq!(completed, 1);
    assert_eq!(queues[0].stats().await.expect("stats").jobs.completed, 1);
}

pub(crate) async fn keeps_a_lease_that_is_extended(mut bed: Bed) {
    let queue = bed.with(|options| options.lease = 4 * LEASE).open().await;
    let instance = queue.join("w").await;
    queue.submit(job(1)).await;
    let lease = queue.take_one("w").await;
    let begun = Instant::now();
    while begun.elapsed() < 8 * LEASE {
        let reply = queue
            .beat_of("w", instance, std::slice::from_ref(&lease))
            .await;
        assert_eq!(reply.revoked, []);
        assert_eq!(queue.maintain().await.expect("maintained").rescued, []);
        tokio::time::sleep(LEASE / 4).await;
    }
    let done = queue
        .finish(lease.token, Outcome::Completed(json!(1)))
        .await
        .expect("finished");
    assert_eq!(done, Finished::Completed);
}

pub(crate) async fn takes_back_what_was_not_begun(bed: Bed) {
    let queue = bed.open().await;
    queue.join("w").await;
    let id = queue.submit(job(1)).await.id;
    let first = queue.take_one("w").await;
    queue
        .give_back(vec![first.token])
        .await
        .expect("given back");
    let record = queue.record(id).await;
    assert_eq!(
        (record.status, record.attempts, record.started_at),
        (JobState::Submitted, 0, None)
    );

    let second = queue.take_one("w").await;
    assert_eq!((second.job, second.attempt), (id, 1), "it did not count");
    let stale = queue
        .finish(first.token, Outcome::Completed(json!(1)))
        .await
        .expect("answered");
    assert_eq!(stale, Finished::Stale(Revoked::Lost));
    queue
        .finish(second.token, Outcome::Completed(json!(2)))
        .await
        .expect("finished");
    assert_eq!(queue.record(id).await.result, Some(json!(2)));
}

pub(crate) async fn fails_a_job_whose_last_attempt_was_lost(mut bed: Bed) {
    let queue = bed
        .with(|options| (options.lease, options.max_attempts) = (LEASE, 1))
        .open()
        .await;
    queue.join("w").await;
    let id = queue.submit(job(1)).await.id;
    queue.take_one("w").await;
    assert!(queue.rescue().await.failed);
    let record = queue.record(id).await;
    assert_eq!(record.status, JobState::Failed);
    assert!(record.error.expect("a reason").contains("vanished"));
    assert_eq!(queue.stats().await.expect("stats").dlq, 1);
}

pub(crate) async fn hands_out_no_more_than_asked(bed: Bed) {
    let queue = bed.open().await;
    queue.join("w").await;
    let accepted = queue
        .enqueue((0..10).map(job).collect())
        .await
        .expect("accepted");
    let leases = queue.take("w", 4).await;
    let oldest: Vec<_> = accepted.iter().take(4).map(|job| job.id).collect();
    assert_eq!(
        leases.iter().map(|lease| lease.job).collect::<Vec<_>>(),
        oldest,
        "the oldest first"
    );
    assert_eq!(queue.take("w", 0).await, []);
    let stats = queue.stats().await.expect("stats");
    assert_eq!((stats.jobs.processing, stats.jobs.submitted), (4, 6));
}
