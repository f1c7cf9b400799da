//! What the SQLite queue takes, in process and durable: each job is submitted, claimed and finished
//! by one of 64 callers, each step on disk before the next.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use osapi::queue::sqlite::SqliteQueue;
use osapi::queue::{
    Claim, NewJob, Operation, Outcome, Queue, QueueError, QueueOptions, Registration, Target,
};
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::harness::{Contender, interleave};
use crate::report::{Limit, Report, Table, microseconds, per_second};

const CALLERS: usize = 64;
const JOBS: usize = 64_000;
const ROUNDS: usize = 5;

pub(crate) fn run(report: &mut Report) {
    report.section(
        "SQLite queue",
        "64 callers, each submits a job, claims one and finishes it, over and over; every step is \
         on disk (`synchronous=FULL`) before it is answered. Each round begins with an empty \
         database beside the program. The floor is what the disk takes to make four kilobytes \
         durable; a commit waits for that, and serves many callers.",
    );
    let runtime = Runtime::new().expect("threads can be started");
    let mut turns: [Contender<'_>; 2] = [
        Box::new(|| 1.0 / runtime.block_on(jobs_per_second())),
        Box::new(durable_write),
    ];
    let samples = interleave(ROUNDS, &mut turns);
    let rate = 1.0 / samples[0].median();
    let mut table = Table::new("64 callers");
    table.single("jobs/s, submitted, claimed and finished", per_second(rate));
    table.single(
        "floor: 4 KiB made durable",
        microseconds(samples[1].median()),
    );
    report.table(table);
    let what = "queue, durable, enqueue + claim + finish, 64 callers, SQLite";
    report.budget(what, rate, Limit::AtLeast(20_000.0), per_second);
}

/// A directory on the disk that the program is on, since the temporary one may be memory.
pub(crate) fn directory() -> tempfile::TempDir {
    let program = std::env::current_exe().expect("the program is a file");
    let beside = program.parent().expect("the program is in a directory");
    tempfile::tempdir_in(beside).expect("the directory can be written")
}

async fn jobs_per_second() -> f64 {
    let directory = directory();
    let path = directory.path().join("queue.db");
    let queue = SqliteQueue::open(&path, QueueOptions::default(), None);
    let queue = Arc::new(queue.expect("a new database opens"));
    register(&*queue).await.expect("the queue takes a worker");

    let begun = Instant::now();
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| tokio::spawn(work(Arc::clone(&queue), JOBS / CALLERS)))
        .collect();
    for caller in callers {
        let worked = caller.await.expect("a caller does not panic");
        worked.expect("the queue works");
    }
    let elapsed = begun.elapsed();

    let stats = queue.stats().await.expect("the queue can be read");
    assert_eq!(
        stats.jobs.completed, JOBS as u64,
        "each job is finished once"
    );
    assert_eq!(stats.jobs.total(), JOBS as u64);
    queue.close().await;
    JOBS as f64 / elapsed.as_secs_f64()
}

pub(crate) async fn register(queue: &dyn Queue) -> Result<(), QueueError> {
    let registration = Registration {
        worker: "bench".to_owned(),
        instance: Uuid::now_v7(),
        hostname: "bench".to_owned(),
        labels: BTreeMap::new(),
        slots: CALLERS as u32,
    };
    queue.register(registration).await
}

/// What everybody submits.
pub(crate) fn new_job() -> NewJob {
    let operation = Operation {
        kind: "node.hostname.get".to_owned(),
        data: serde_json::json!({}),
    };
    NewJob {
        operation,
        target: Target::Any,
        idempotency_key: None,
        trace_context: None,
    }
}

async fn work(queue: Arc<SqliteQueue>, jobs: usize) -> Result<(), QueueError> {
    let mut finished = 0;
    for _ in 0..jobs {
        queue.enqueue(vec![new_job()]).await?;
        let claim = Claim {
            worker: "bench".to_owned(),
            hostname: "bench".to_owned(),
            slots: 1,
            wait: Duration::from_secs(5),
        };
        for lease in queue.claim(claim).await? {
            let result = serde_json::json!({"hostname": "bench"});
            let outcome = Outcome::Completed(result);
            queue.finish(lease.token, outcome).await?;
            finished += 1;
        }
    }
    assert_eq!(finished, jobs, "there was a job for everyone");
    Ok(())
}

/// Microseconds to append four kilobytes to a file and make them durable; the median of many.
fn durable_write() -> f64 {
    let directory = directory();
    let mut file = new_file(&directory.path().join("floor"));
    let mut append = || {
        let begun = Instant::now();
        let written = file.write_all(&[7; 4096]).and_then(|()| file.sync_data());
        written.expect("the disk takes four kilobytes");
        begun.elapsed().as_secs_f64() * 1e6
    };
    let mut taken: Vec<_> = (0..200).map(|_| append()).collect();
    taken.sort_by(f64::total_cmp);
    taken[100]
}

fn new_file(path: &Path) -> File {
    File::create_new(path).expect("the directory can be written")
}
