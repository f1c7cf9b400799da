//! The ways a job ends.

use std::time::Duration;

use futures_util::StreamExt;
use osapi::queue::{
    Deleted, Finished, JobFilter, JobState, Outcome, QueueError, Revoked, Target, TimelineKind,
};
use serde_json::json;

use crate::bed::{Bed, DEADLINE, Words, failure, job, job_for, keyed};

pub(crate) async fn completes_with_a_result(bed: Bed) {
    let queue = bed.open().await;
    queue.join("w").await;
    let id = queue.submit(job(1)).await.id;
    let lease = queue.take_one("w").await;
    let running = queue.record(id).await;
    assert_eq!(
        (running.status, running.attempts),
        (JobState::Processing, 1)
    );
    assert_eq!(running.worker.as_deref(), Some("w"));
    assert!(running.started_at >= Some(running.created_at));

    let done = queue
        .finish(lease.token, Outcome::Completed(json!({"slept": 1.5})))
        .await
        .expect("finished");
    assert_eq!(done, Finished::Completed);
    let record = queue.record(id).await;
    assert_eq!(
        (record.status, record.result),
        (JobState::Completed, Some(json!({"slept": 1.5})))
    );
    assert!(record.finished_at >= record.started_at);
    let events: Vec<_> = record.timeline.iter().map(|event| event.event).collect();
    assert_eq!(
        events,
        [
            TimelineKind::Submitted,
            TimelineKind::Started,
            TimelineKind::Completed
        ]
    );
    let stats = queue.stats().await.expect("stats");
    assert_eq!(
        (stats.jobs.completed, stats.jobs.total(), stats.dlq),
        (1, 1, 0)
    );
}

pub(crate) async fn retries_with_growing_delay_then_fails(mut bed: Bed) {
    let queue = bed.with(|options| options.max_attempts = 3).open().await;
    queue.join("w").await;
    let id = queue.submit(job(1)).await.id;
    for attempt in 1..=3 {
        let lease = queue.take_one("w").await;
        assert_eq!(lease.attempt, attempt);
        let done = queue
            .finish(lease.token, failure(&format!("broke {attempt}")))
            .await
            .expect("finished");
        if attempt == 3 {
            assert_eq!(done, Finished::Failed);
            break;
        }
        let Finished::Retrying(delay) = done else {
            panic!("{done:?}")
        };
        let longest = Duration::from_millis(40) * attempt;
        assert!(
            delay >= longest / 2 && delay <= longest,
            "{delay:?} after attempt {attempt}"
        );
        let record = queue.record(id).await;
        assert_eq!(record.status, JobState::Retrying);
        assert_eq!(record.error, Some(format!("broke {attempt}")));
    }
    let record = queue.record(id).await;
    assert_eq!((record.status, record.attempts), (JobState::Failed, 3));
    assert_eq!(record.error.as_deref(), Some("broke 3"));
    assert_eq!(queue.take("w", 1).await, []);
    let stats = queue.stats().await.expect("stats");
    assert_eq!(
        (stats.jobs.failed, stats.dlq, stats.jobs.retrying),
        (1, 1, 0)
    );
}

pub(crate) async fn gives_up_at_once_when_told_so(bed: Bed) {
    let queue = bed.open().await;
    queue.join("w").await;
    let id = queue.submit(job(1)).await.id;
    let lease = queue.take_one("w").await;
    let outcome = Outcome::Failed {
        error: "no".to_owned(),
        result: Some(json!({"code": 3})),
        permanent: true,
    };
    assert_eq!(
        queue.finish(lease.token, outcome).await.expect("finished"),
        Finished::Failed
    );
    let record = queue.record(id).await;
    assert_eq!((record.status, record.attempts), (JobState::Failed, 1));
    assert_eq!(record.result, Some(json!({"code": 3})));
}

pub(crate) async fn makes_a_new_job_of_a_failed_one(mut bed: Bed) {
    let queue = bed.with(|options| options.max_attempts = 1).open().await;
    queue.join("w").await;
    let old = queue.submit(keyed(1, "k")).await.id;
    let refused = queue.retry(old, None).await;
    assert!(
        matches!(refused, Err(QueueError::Conflict(_))),
        "it has not ended: {refused:?}"
    );
    let lease = queue.take_one("w").await;
    queue
        .finish(lease.token, failure("broke"))
        .await
        .expect("finished");
    assert_eq!(queue.stats().await.expect("stats").dlq, 1);

    let new = queue.retry(old, None).await.expect("accepted");
    assert_ne!(new.id, old);
    let stats = queue.stats().await.expect("stats");
    assert_eq!(
        (stats.dlq, stats.jobs.failed, stats.jobs.submitted),
        (0, 1, 1)
    );
    let record = queue.record(new.id).await;
    assert_eq!((record.status, record.attempts), (JobState::Submitted, 0));
    assert_eq!(record.operation, job(1).operation);
    assert_eq!(
        queue
            .record(old)
            .await
            .timeline
            .last()
            .map(|event| event.event),
        Some(TimelineKind::Retried)
    );
}

pub(crate) async fn cancels_a_waiting_job(bed: Bed) {
    let queue = bed.open().await;
    queue.join("w").await;
    let id = queue.submit(job(1)).await.id;
    let deleted = queue.delete(id).await.expect("deleted");
    assert_eq!(
        deleted,
        Deleted::Cancelled {
            operation: "sleep".to_owned(),
            units: 1
        }
    );
    assert_eq!(queue.take("w", 1).await, []);
    let record = queue.record(id).await;
    assert_eq!(record.status, JobState::Cancelled);
    assert!(record.finished_at.is_some());
    let stats = queue.stats().await.expect("stats");
    assert_eq!(
        (stats.jobs.cancelled, stats.jobs.submitted, stats.dlq),
        (1, 0, 0)
    );
}

pub(crate) async fn cancels_a_running_job(bed: Bed) {
    let queue = bed.open().await;
    let instance = queue.join("w").await;
    let id = queue.submit(job(1)).await.id;
    let lease = queue.take_one("w").await;
    let deleted = queue.delete(id).await.expect("deleted");
    assert_eq!(
        deleted,
        Deleted::Cancelled {
            operation: "sleep".to_owned(),
            units: 1
        }
    );
    assert_eq!(queue.record(id).await.status, JobState::Cancelled);

    let reply = queue
        .beat_of("w", instance, std::slice::from_ref(&lease))
        .await;
    assert_eq!(reply.revoked, [(lease.token, Revoked::Cancelled)]);
    let stale = queue
        .finish(lease.token, Outcome::Completed(json!(1)))
        .await
        .expect("answered");
    assert_eq!(stale, Finished::Stale(Revoked::Cancelled));
    let record = queue.record(id).await;
    assert_eq!((record.status, record.result), (JobState::Cancelled, None));
}

pub(crate) async fn removes_the_record_of_an_ended_job(bed: Bed) {
    let queue = bed.open().await;
    queue.join("w").await;
    let id = queue.submit(keyed(1, "k")).await.id;
    queue.delete(id).await.expect("cancelled");
    assert_eq!(queue.delete(id).await, Ok(Deleted::Removed));
    assert!(matches!(queue.get(id).await, Err(QueueError::NotFound(_))));
    assert!(matches!(
        queue.delete(id).await,
        Err(QueueError::NotFound(_))
    ));
    assert_eq!(queue.stats().await.expect("stats").jobs.total(), 0);
    assert!(
        !queue.submit(keyed(1, "k")).await.replayed,
        "the key went with the record"
    );

    queue.submit(job_for(Target::All, 2)).await;
    let page = queue
        .list(JobFilter {
            status: None,
            limit: 10,
            offset: 0,
        })
        .await
        .expect("page");
    let for_all = page.items[0].id;
    queue.delete(for_all).await.expect("cancelled");
    queue.delete(for_all).await.expect("removed");
    let stats = queue.stats().await.expect("stats");
    assert_eq!((stats.jobs.total(), stats.jobs.submitted), (1, 1));
}

pub(crate) async fn fails_what_does_not_start_in_time(mut bed: Bed) {
    let timeout = Duration::from_millis(300);
    let queue = bed
        .with(|options| options.start_timeout = Some(timeout))
        .open()
        .await;
    queue.join("w").await;
    let started = queue.submit(job(1)).await.id;
    queue.take_one("w").await;
    let for_all = queue.submit(job_for(Target::All, 2)).await.id;
    let late = queue
        .submit(job_for(Target::Host("nobody".to_owned()), 3))
        .await
        .id;
    let begun = std::time::Instant::now();
    let mut failed = Vec::new();
    while failed.len() < 2 {
        assert!(begun.elapsed() < DEADLINE, "only {failed:?} timed out");
        failed.extend(queue.maintain().await.expect("maintained").start_timeouts);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(failed, ["sleep", "sleep"]);
    assert!(begun.elapsed() >= timeout / 2);
    for id in [late, for_all] {
        assert_eq!(queue.record(id).await.status, JobState::Failed);
    }
    assert!(
        queue
            .record(late)
            .await
            .error
            .expect("a reason")
            .contains("did not start")
    );
    assert_eq!(queue.record(started).await.status, JobState::Processing);
}

pub(crate) async fn forgets_what_was_kept_long_enough(mut bed: Bed) {
    let queue = bed
        .with(|options| options.retention = Duration::from_millis(300))
        .open()
        .await;
    queue.join("w").await;
    let ended = queue.submit(job(1)).await.id;
    let lease = queue.take_one("w").await;
    let outcome = Outcome::Failed {
        error: "no".to_owned(),
        result: None,
        permanent: true,
    };
    queue.finish(lease.token, outcome).await.expect("finished");
    let waiting = queue.submit(job(2)).await.id;
    assert_eq!(
        queue.maintain().await.expect("maintained").removed,
        0,
        "not yet"
    );
    let begun = std::time::Instant::now();
    while queue.maintain().await.expect("maintained").removed == 0 {
        assert!(begun.elapsed() < DEADLINE, "it is kept for ever");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(matches!(
        queue.get(ended).await,
        Err(QueueError::NotFound(_))
    ));
    assert_eq!(queue.record(waiting).await.status, JobState::Submitted);
    let stats = queue.stats().await.expect("stats");
    assert_eq!(
        (stats.jobs.failed, stats.dlq, stats.jobs.total()),
        (0, 0, 1)
    );
}

pub(crate) async fn shows_each_change_until_the_end(bed: Bed) {
    let (queue, elsewhere) = (bed.open().await, bed.open().await);
    queue.join("w").await;
    let id = queue.submit(job(1)).await.id;
    let mut changes = queue.watch(id);
    let mut next = async || {
        tokio::time::timeout(DEADLINE, changes.next())
            .await
            .expect("a change in time")
    };
    assert_eq!(
        next().await.expect("open").expect("record").status,
        JobState::Submitted
    );
    let lease = elsewhere.take_one("w").await;
    assert_eq!(
        next().await.expect("open").expect("record").status,
        JobState::Processing
    );
    elsewhere
        .finish(lease.token, Outcome::Completed(json!(5)))
        .await
        .expect("finished");
    let last = next().await.expect("open").expect("record");
    assert_eq!(
        (last.status, last.result),
        (JobState::Completed, Some(json!(5)))
    );
    assert!(next().await.is_none(), "it ends with the job");

    let mut unknown = queue.watch(osapi::queue::JobId::new());
    assert!(matches!(
        unknown.next().await,
        Some(Err(QueueError::NotFound(_)))
    ));
    assert!(unknown.next().await.is_none());
}
