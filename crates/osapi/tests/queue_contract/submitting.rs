//! Handing in jobs and finding them again.

use std::collections::HashSet;
use std::time::Duration;

use osapi::queue::{
    Claim, JobFilter, JobId, JobState, MAX_PAGE_BYTES, NewJob, Outcome, QueueError, Target,
    TimelineKind, TraceContext,
};

use serde_json::json;

use crate::bed::{Bed, DEADLINE, Words, job, job_for, keyed};

const ALL: JobFilter = JobFilter {
    status: None,
    limit: 100,
    offset: 0,
};

pub(crate) async fn keeps_a_job_as_submitted(bed: Bed) {
    let queue = bed.open().await;
    let accepted = queue.submit(job(7)).await;
    assert!(!accepted.replayed);
    assert_eq!(accepted.units, 1);

    let record = bed.open().await.record(accepted.id).await;
    assert_eq!(record.status, JobState::Submitted);
    assert_eq!(record.operation, job(7).operation);
    assert_eq!(record.target_hostname, Target::Any);
    assert_eq!(record.created_at, accepted.created_at);
    assert_eq!(
        (record.attempts, record.started_at, record.finished_at),
        (0, None, None)
    );
    assert_eq!(
        (record.worker, record.result, record.error),
        (None, None, None)
    );
    let events: Vec<_> = record.timeline.iter().map(|event| event.event).collect();
    assert_eq!(events, [TimelineKind::Submitted]);

    let stats = queue.stats().await.expect("stats");
    assert_eq!(
        (stats.jobs.submitted, stats.jobs.total(), stats.dlq),
        (1, 1, 0)
    );
    assert_eq!(stats.operations["sleep"].submitted, 1);
    assert!(stats.oldest_waiting.is_some());
    queue.check().await.expect("readable and writable");
}

pub(crate) async fn carries_the_trace_context_to_every_worker(bed: Bed) {
    let context = |n: u64| TraceContext {
        traceparent: format!("00-{n:032x}-{n:016x}-01"),
        tracestate: (n == 2).then(|| format!("vendor=a{n},other=b")),
    };
    let traced = |target, n| NewJob {
        trace_context: Some(context(n)),
        ..job_for(target, n)
    };
    let queue = bed.open().await;
    for worker in ["a", "b"] {
        queue.join(worker).await;
    }
    queue.submit(traced(Target::All, 2)).await;
    for worker in ["a", "b"] {
        let lease = queue.take_one(worker).await;
        assert_eq!(lease.trace_context, Some(context(2)), "{worker}");
        let outcome = Outcome::Completed(json!({}));
        queue.finish(lease.token, outcome).await.expect("finished");
    }
    let id = queue.submit(traced(Target::Any, 1)).await.id;
    for attempt in 1..=2 {
        let lease = queue.take_one("a").await;
        assert_eq!(
            (lease.attempt, lease.trace_context),
            (attempt, Some(context(1)))
        );
        let outcome = Outcome::Failed {
            error: "broke".to_owned(),
            result: None,
            permanent: attempt == 2,
        };
        queue.finish(lease.token, outcome).await.expect("finished");
    }
    queue.retry(id, Some(context(4))).await.expect("accepted");
    let again = queue.take_one("b").await;
    assert_eq!(again.trace_context, Some(context(4)), "of who asked again");
    queue.submit(job(1)).await;
    assert_eq!(queue.take_one("b").await.trace_context, None);
}

pub(crate) async fn knows_no_job_it_was_not_given(bed: Bed) {
    let queue = bed.open().await;
    let id = JobId::new();
    assert!(matches!(queue.get(id).await, Err(QueueError::NotFound(_))));
    assert!(matches!(
        queue.delete(id).await,
        Err(QueueError::NotFound(_))
    ));
    assert!(matches!(
        queue.retry(id, None).await,
        Err(QueueError::NotFound(_))
    ));
    assert_eq!(queue.stats().await.expect("stats").oldest_waiting, None);
}

pub(crate) async fn gives_the_same_job_for_the_same_key(bed: Bed) {
    let queue = bed.open().await;
    let first = queue.submit(keyed(1, "a")).await;
    let again = bed.open().await.submit(keyed(1, "a")).await;
    assert_eq!((again.id, again.created_at), (first.id, first.created_at));
    assert!(again.replayed);
    assert_eq!(again.units, 0, "a replay makes no work");

    let batch = queue
        .enqueue(vec![keyed(1, "b"), keyed(1, "a"), keyed(1, "b")])
        .await
        .expect("accepted");
    assert_eq!(batch[1].id, first.id);
    assert_eq!(batch[0].id, batch[2].id);
    assert_eq!(
        batch.iter().map(|job| job.replayed).collect::<Vec<_>>(),
        [false, true, true]
    );
    assert_eq!(queue.stats().await.expect("stats").jobs.total(), 2);
}

pub(crate) async fn makes_one_job_of_concurrent_requests_with_one_key(bed: Bed) {
    let queues = [bed.open().await, bed.open().await];
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let queue = queues[n % 2].clone();
            tokio::spawn(async move { queue.submit(keyed(1, "once")).await })
        })
        .collect();
    let mut ids = HashSet::new();
    let mut fresh = 0;
    for task in tasks {
        let accepted = task.await.expect("no panic");
        ids.insert(accepted.id);
        fresh += u32::from(!accepted.replayed);
    }
    assert_eq!((ids.len(), fresh), (1, 1));
}

pub(crate) async fn refuses_a_key_used_for_another_job(bed: Bed) {
    let queue = bed.open().await;
    queue.submit(keyed(1, "a")).await;
    let refused = queue.enqueue(vec![job(5), keyed(2, "a")]).await;
    assert!(
        matches!(refused, Err(QueueError::Conflict(_))),
        "{refused:?}"
    );
    let refused = queue.enqueue(vec![keyed(3, "c"), keyed(4, "c")]).await;
    let Err(QueueError::Conflict(said)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(said, "this idempotency key was used for another job");
    assert_eq!(
        queue.stats().await.expect("stats").jobs.total(),
        1,
        "a refused batch leaves nothing"
    );
}

pub(crate) async fn takes_a_batch_whole_or_not_at_all(mut bed: Bed) {
    let queue = bed.with(|options| options.max_waiting = 10).open().await;
    let accepted = queue
        .enqueue((0..6).map(job).collect())
        .await
        .expect("room for six");
    let ids: Vec<_> = accepted.iter().map(|job| job.id).collect();
    assert!(ids.is_sorted(), "answers are in the order of the jobs");
    let refused = queue.enqueue((0..5).map(job).collect()).await;
    assert_eq!(
        refused,
        Err(QueueError::Full {
            waiting: 6,
            limit: 10
        })
    );
    let refused = queue.enqueue(vec![job(1), job_for(Target::All, 2)]).await;
    assert_eq!(refused, Err(QueueError::NoWorkers));
    assert_eq!(queue.list(ALL).await.expect("page").items.len(), 6);
    assert_eq!(queue.stats().await.expect("stats").jobs.total(), 6);
}

pub(crate) async fn refuses_more_than_may_wait(mut bed: Bed) {
    let queue = bed.with(|options| options.max_waiting = 2).open().await;
    queue.join("w").await;
    queue.submit(job(1)).await;
    queue.submit(keyed(2, "k")).await;
    let refused = queue.enqueue(vec![job(3)]).await;
    assert!(
        matches!(
            refused,
            Err(QueueError::Full {
                waiting: 2,
                limit: 2
            })
        ),
        "{refused:?}"
    );
    assert!(
        queue.submit(keyed(2, "k")).await.replayed,
        "a replay needs no room"
    );
    queue.take_one("w").await;
    queue.submit(job(3)).await;
}

pub(crate) async fn pages_newest_first(bed: Bed) {
    let queue = bed.open().await;
    queue.join("w").await;
    let accepted = queue
        .enqueue((0..25).map(job).collect())
        .await
        .expect("accepted");
    let mut ids: Vec<_> = accepted.iter().map(|job| job.id).collect();
    for lease in queue.take("w", 3).await {
        queue
            .finish(
                lease.token,
                osapi::queue::Outcome::Completed(serde_json::json!(1)),
            )
            .await
            .expect("finished");
    }
    ids.reverse();
    let page = |status, limit, offset| {
        queue.list(JobFilter {
            status,
            limit,
            offset,
        })
    };

    let first = page(None, 10, 0).await.expect("page");
    assert_eq!(first.total_items, 25);
    assert_eq!(first.status_counts.submitted, 22);
    assert_eq!(first.status_counts.completed, 3);
    assert_eq!(
        first.items.iter().map(|item| item.id).collect::<Vec<_>>(),
        ids[..10]
    );
    let last = page(None, 10, 20).await.expect("page");
    assert_eq!(
        last.items.iter().map(|item| item.id).collect::<Vec<_>>(),
        ids[20..]
    );
    assert!(
        page(None, 10, u64::MAX)
            .await
            .expect("page")
            .items
            .is_empty()
    );
    let done = page(Some(JobState::Completed), 2, 1).await.expect("page");
    assert_eq!((done.total_items, done.items.len()), (3, 2));
    assert_eq!(
        done.items.iter().map(|item| item.id).collect::<Vec<_>>(),
        ids[23..]
    );
}

pub(crate) async fn bounds_a_page_by_its_bytes(bed: Bed) {
    let queue = bed.open().await;
    let sized = |bytes: usize| {
        let mut job = job(1);
        job.operation.data = serde_json::json!({"pad": "x".repeat(bytes)});
        job
    };
    // One that is larger than a page is still shown, alone.
    for bytes in [
        MAX_PAGE_BYTES / 3,
        MAX_PAGE_BYTES / 3,
        MAX_PAGE_BYTES / 2,
        9,
        MAX_PAGE_BYTES,
    ] {
        queue.submit(sized(bytes)).await;
    }
    let mut pages = Vec::new();
    let mut offset = 0;
    while offset < 5 {
        let page = queue.list(JobFilter { offset, ..ALL }).await.expect("page");
        assert_eq!(page.total_items, 5);
        assert!(!page.items.is_empty(), "no page is empty before the end");
        offset += page.items.len() as u64;
        pages.push(page.items.len());
    }
    assert_eq!(pages, [1, 3, 1]);
}

pub(crate) async fn wakes_a_waiting_claim_from_another_process(bed: Bed) {
    let (here, there) = (bed.open().await, bed.open().await);
    here.join("w").await;
    let waiting = tokio::spawn({
        let here = here.clone();
        let claim = Claim {
            worker: "w".to_owned(),
            hostname: "h".to_owned(),
            slots: 1,
            wait: 10 * DEADLINE,
        };
        async move { here.claim(claim).await.expect("claimed") }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let id = there.submit(job(1)).await.id;
    let leases = tokio::time::timeout(DEADLINE, waiting)
        .await
        .expect("woken")
        .expect("no panic");
    assert_eq!(leases[0].job, id);
}

pub(crate) async fn closes_for_good(bed: Bed) {
    let queue = bed.open().await;
    let id = queue.submit(job(1)).await.id;
    queue.close().await;
    assert_eq!(queue.enqueue(vec![job(2)]).await, Err(QueueError::Closed));
    assert_eq!(queue.get(id).await, Err(QueueError::Closed));
    assert_eq!(bed.open().await.record(id).await.id, id);
}
