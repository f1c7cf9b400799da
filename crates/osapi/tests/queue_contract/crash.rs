//! Processes that end without saying goodbye.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use osapi::queue::{JobId, JobState, Outcome, QueueOptions};
use serde_json::json;

use crate::bed::{Bed, Place, Words, job, keyed, open};

/// Set in the process that is to be killed: the place it works on.
pub(crate) const VICTIM: &str = "QUEUE_CONTRACT_VICTIM";

/// Acknowledgements to wait for before each kill.
const ACKNOWLEDGED: usize = 300;

pub(crate) async fn keeps_everything_over_a_restart(bed: Bed) {
    let (done, running, waiting) = {
        let queue = bed.open().await;
        queue.join("w").await;
        let done = queue.submit(keyed(1, "k")).await.id;
        let lease = queue.take_one("w").await;
        queue
            .finish(lease.token, Outcome::Completed(json!(1)))
            .await
            .expect("finished");
        let running = queue.submit(job(2)).await.id;
        queue.take_one("w").await;
        (done, running, queue.submit(job(3)).await.id)
        // Dropped without being closed.
    };
    let queue = bed.open().await;
    assert_eq!(queue.record(done).await.result, Some(json!(1)));
    assert_eq!(queue.record(running).await.status, JobState::Processing);
    assert_eq!(queue.record(waiting).await.status, JobState::Submitted);
    assert!(queue.submit(keyed(1, "k")).await.replayed);
    let stats = queue.stats().await.expect("stats");
    assert_eq!(
        (
            stats.jobs.completed,
            stats.jobs.processing,
            stats.jobs.submitted
        ),
        (1, 1, 1)
    );
    assert_eq!(
        queue.take_one("w").await.job,
        waiting,
        "a lease outlives the process that gave it"
    );
}

/// Kills, three times, a process that submits, runs and finishes jobs as fast as it can and says
/// which of them were acknowledged. Then each one must be there, in a state it can be in.
pub(crate) async fn loses_nothing_acknowledged_when_killed(bed: Bed) {
    if let Ok(place) = std::env::var(VICTIM) {
        return work_until_killed(&Place::of(&place)).await;
    }
    let mut submitted = HashSet::new();
    let mut finished = HashSet::new();
    for _ in 0..3 {
        let mut victim = spawn_victim(bed.place());
        let mut lines = BufReader::new(victim.stdout.take().expect("piped"))
            .lines()
            .map_while(Result::ok);
        let mut note = |line: String| {
            // The last line may have been cut off by the kill: then it names no job.
            let Some((what, id)) = line.split_once(' ') else {
                return false;
            };
            let Ok(id) = id.parse::<JobId>() else {
                return false;
            };
            if what == "submitted" {
                submitted.insert(id)
            } else {
                what == "finished" && finished.insert(id)
            }
        };
        let seen = lines
            .by_ref()
            .filter(|line| note(line.clone()))
            .take(ACKNOWLEDGED)
            .count();
        assert_eq!(seen, ACKNOWLEDGED, "the victim worked until it was killed");
        victim.kill().expect("killed");
        victim.wait().expect("reaped");
        lines.for_each(|line| {
            note(line);
        });
    }

    let queue = bed.open().await;
    for id in &submitted {
        let record = queue.record(*id).await;
        let ended = record.status == JobState::Completed;
        assert!(
            ended || !finished.contains(id),
            "{id} was acknowledged as finished, it is {}",
            record.status
        );
    }
    let stats = queue.stats().await.expect("stats");
    assert!(stats.jobs.total() >= submitted.len() as u64);
    assert!(stats.jobs.completed >= finished.len() as u64);
    assert!(!finished.is_empty() && submitted.len() > finished.len() / 2);
}

/// This test again, in a process of its own.
fn spawn_victim(place: &Place) -> Child {
    let case = format!("{}::loses_nothing_acknowledged_when_killed", place.module());
    Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", &case, "--nocapture", "--test-threads", "1"])
        .env(VICTIM, place.text())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started")
}

async fn work_until_killed(place: &Place) {
    let queue = open(place, QueueOptions::default()).await;
    queue.join("victim").await;
    let say = |what: &str, id: JobId| {
        // One write for a line, so that a kill leaves whole lines.
        let line = format!("{what} {id}\n");
        std::io::stdout()
            .write_all(line.as_bytes())
            .expect("somebody reads");
    };
    let callers = (0..8).map(|_| async {
        loop {
            let id = queue.submit(job(1)).await.id;
            say("submitted", id);
            for lease in queue.take("victim", 1).await {
                queue
                    .finish(lease.token, Outcome::Completed(json!(1)))
                    .await
                    .expect("finished");
                say("finished", lease.job);
            }
        }
    });
    let work = futures_util::future::join_all(callers);
    let ended: Result<Vec<()>, _> = tokio::time::timeout(Duration::from_secs(60), work).await;
    assert!(ended.is_ok(), "nobody killed the victim");
}
