//! Many workers: who gets what, and who is there.

use std::time::{Duration, Instant};

use osapi::queue::{
    Beat, Deleted, JobFilter, JobState, Outcome, QueueError, Revoked, Target, WorkerState,
};
use serde_json::json;

use crate::bed::{Bed, DEADLINE, Words, job, job_for};

pub(crate) async fn sends_a_job_to_its_host_only(bed: Bed) {
    let queue = bed.open().await;
    queue.join("a").await;
    let by_name = queue
        .submit(job_for(Target::Host("b".to_owned()), 1))
        .await
        .id;
    let by_host = queue
        .submit(job_for(Target::Host("b.host".to_owned()), 2))
        .await
        .id;
    assert_eq!(queue.take("a", 5).await, [], "neither is for a");
    queue.join("b").await;
    let taken: Vec<_> = queue
        .take("b", 5)
        .await
        .into_iter()
        .map(|lease| lease.job)
        .collect();
    assert_eq!(taken, [by_name, by_host]);
}

pub(crate) async fn runs_a_job_for_all_on_each_ready_worker(bed: Bed) {
    let queue = bed.open().await;
    for worker in ["a", "b", "c"] {
        queue.join(worker).await;
    }
    queue
        .set_draining("c".to_owned(), true)
        .await
        .expect("told");
    let accepted = queue.submit(job_for(Target::All, 1)).await;
    assert_eq!(accepted.units, 2, "a draining worker is not ready");

    let first = queue.take("a", 5).await;
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].job, accepted.id);
    queue
        .finish(first[0].token, Outcome::Completed(json!("from a")))
        .await
        .expect("finished");
    let record = queue.record(accepted.id).await;
    assert_eq!(
        record.status,
        JobState::Processing,
        "b has yet to do its part"
    );
    let second = queue.take_one("b").await;
    queue
        .finish(second.token, Outcome::Completed(json!("from b")))
        .await
        .expect("finished");

    let record = queue.record(accepted.id).await;
    assert_eq!((record.status, record.attempts), (JobState::Completed, 2));
    let responses = record.responses.expect("one for each worker");
    let results: Vec<_> = responses
        .iter()
        .map(|(worker, unit)| (worker.as_str(), unit.result.clone()))
        .collect();
    assert_eq!(
        results,
        [("a", Some(json!("from a"))), ("b", Some(json!("from b")))]
    );
    let listed = queue
        .list(JobFilter {
            status: None,
            limit: 10,
            offset: 0,
        })
        .await
        .expect("page");
    assert_eq!(listed.items[0].attempts, 2, "the list says the same");
    let stats = queue.stats().await.expect("stats");
    assert_eq!(
        (stats.jobs.completed, stats.jobs.total()),
        (1, 1),
        "its units are not jobs"
    );
}

pub(crate) async fn fails_a_job_for_all_with_one_of_its_units(bed: Bed) {
    let queue = bed.open().await;
    queue.join("a").await;
    queue.join("b").await;
    let id = queue.submit(job_for(Target::All, 1)).await.id;
    let (good, bad) = (queue.take_one("a").await, queue.take_one("b").await);
    let outcome = Outcome::Failed {
        error: "broken disk".to_owned(),
        result: None,
        permanent: true,
    };
    queue.finish(bad.token, outcome).await.expect("finished");
    assert_eq!(queue.record(id).await.status, JobState::Processing);
    queue
        .finish(good.token, Outcome::Completed(json!(1)))
        .await
        .expect("finished");
    let record = queue.record(id).await;
    assert_eq!(record.status, JobState::Failed);
    assert!(record.error.expect("a reason").contains("1 of 2"));
    let responses = record.responses.expect("one for each worker");
    assert_eq!(responses["b"].error.as_deref(), Some("broken disk"));
    let stats = queue.stats().await.expect("stats");
    assert_eq!((stats.jobs.failed, stats.dlq), (1, 1));
    assert_eq!(queue.retry(id, None).await.expect("accepted").units, 2);
}

pub(crate) async fn cancels_a_job_for_all_with_its_units(bed: Bed) {
    let queue = bed.open().await;
    let instance = queue.join("a").await;
    queue.join("b").await;
    let id = queue.submit(job_for(Target::All, 1)).await.id;
    let running = queue.take_one("a").await;
    let deleted = queue.delete(id).await.expect("deleted");
    assert_eq!(
        deleted,
        Deleted::Cancelled {
            operation: "sleep".to_owned(),
            units: 2
        }
    );
    assert_eq!(queue.take("b", 1).await, []);
    let reply = queue
        .beat_of("a", instance, std::slice::from_ref(&running))
        .await;
    assert_eq!(reply.revoked, [(running.token, Revoked::Cancelled)]);
    let record = queue.record(id).await;
    assert_eq!(record.status, JobState::Cancelled);
    assert!(
        record
            .responses
            .expect("units")
            .values()
            .all(|unit| unit.status == JobState::Cancelled)
    );
    assert_eq!(queue.stats().await.expect("stats").jobs.cancelled, 1);
}

pub(crate) async fn needs_a_ready_worker_for_a_job_for_all(bed: Bed) {
    let queue = bed.open().await;
    assert_eq!(
        queue.enqueue(vec![job_for(Target::All, 1)]).await,
        Err(QueueError::NoWorkers)
    );
    queue.submit(job(1)).await;
    assert_eq!(queue.stats().await.expect("stats").jobs.total(), 1);
}

pub(crate) async fn drains_and_undrains(bed: Bed) {
    let queue = bed.open().await;
    let instance = queue.join("a").await;
    queue.submit(job(1)).await;
    bed.open()
        .await
        .set_draining("a".to_owned(), true)
        .await
        .expect("told");
    assert!(queue.beat_of("a", instance, &[]).await.draining);
    assert_eq!(
        queue.take("a", 1).await,
        [],
        "a draining worker gets nothing"
    );
    assert_eq!(
        queue.workers().await.expect("fleet")[0].state,
        WorkerState::Draining
    );
    queue
        .set_draining("a".to_owned(), false)
        .await
        .expect("told");
    assert!(!queue.beat_of("a", instance, &[]).await.draining);
    assert_eq!(queue.take("a", 1).await.len(), 1);
    assert!(matches!(
        queue.set_draining("x".to_owned(), true).await,
        Err(QueueError::NotFound(_))
    ));
}

pub(crate) async fn tells_lost_workers_from_those_that_stopped(mut bed: Bed) {
    let queue = bed
        .with(|options| options.lease = Duration::from_millis(200))
        .open()
        .await;
    let stopped = queue.join("stopped").await;
    queue.join("vanished").await;
    let fleet = queue.workers().await.expect("fleet");
    assert!(
        fleet
            .iter()
            .all(|worker| worker.state == WorkerState::Ready)
    );
    assert_eq!(
        (
            fleet[0].hostname.as_str(),
            fleet[0].slots,
            fleet[0].labels["rack"].as_str()
        ),
        ("stopped.host", 4, "r1")
    );

    queue
        .deregister("stopped".to_owned(), stopped)
        .await
        .expect("gone");
    let begun = Instant::now();
    loop {
        queue.maintain().await.expect("maintained");
        let fleet = queue.workers().await.expect("fleet");
        assert_eq!(
            fleet.len(),
            1,
            "the one that stopped is forgotten, the lost one is not"
        );
        assert_eq!(fleet[0].worker, "vanished");
        if fleet[0].state == WorkerState::Lost {
            break;
        }
        assert!(begun.elapsed() < DEADLINE, "never lost");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let unknown = Beat {
        worker: "stopped".to_owned(),
        instance: stopped,
        processed: 0,
        leases: Vec::new(),
    };
    assert!(matches!(
        queue.beat(unknown).await,
        Err(QueueError::NotFound(_))
    ));
}

pub(crate) async fn lets_the_newest_instance_have_the_name(bed: Bed) {
    let queue = bed.open().await;
    let old = queue.join("w").await;
    let new = queue.join("w").await;
    assert!(queue.beat_of("w", old, &[]).await.replaced);
    assert!(!queue.beat_of("w", new, &[]).await.replaced);
    queue
        .deregister("w".to_owned(), old)
        .await
        .expect("ignored");
    assert_eq!(queue.workers().await.expect("fleet").len(), 1);
}
