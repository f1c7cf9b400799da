//! How many jobs a second the SQLite queue takes, hands out and finishes, each step on disk before
//! it is answered: `cargo run --release --example queue_throughput -- [DIR] [CALLERS] [JOBS]`.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use osapi::queue::sqlite::SqliteQueue;
use osapi::queue::{
    Claim, NewJob, Operation, Outcome, Queue, QueueError, QueueOptions, Registration, Target,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let callers: usize = args.next().map_or(Ok(64), |n| n.parse())?;
    let jobs: usize = args.next().map_or(Ok(200_000), |n| n.parse())?;
    let path = dir.join(format!("queue-throughput-{}.db", std::process::id()));
    let queue = Arc::new(SqliteQueue::open(&path, QueueOptions::default(), None)?);
    register(&*queue).await?;

    let begun = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|_| tokio::spawn(work(Arc::clone(&queue), jobs / callers)))
        .collect();
    let mut finished = 0;
    for task in tasks {
        finished += task.await??;
    }
    let elapsed = begun.elapsed();

    let stats = queue.stats().await?;
    assert_eq!(
        stats.jobs.completed, finished as u64,
        "every job is finished once: {stats:?}"
    );
    assert_eq!(stats.jobs.total(), finished as u64);
    let database = queue.database().await?;
    println!(
        "{finished} jobs by {callers} callers in {elapsed:.2?}: {:.0} jobs/s, {} transactions, {} MiB",
        finished as f64 / elapsed.as_secs_f64(),
        database.transactions_total,
        database.size_bytes >> 20,
    );
    queue.close().await;
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
    }
    Ok(())
}

async fn register(queue: &dyn Queue) -> Result<(), QueueError> {
    let registration = Registration {
        worker: "bench".to_owned(),
        instance: uuid::Uuid::now_v7(),
        hostname: "bench".to_owned(),
        labels: std::collections::BTreeMap::new(),
        slots: 64,
    };
    queue.register(registration).await
}

/// Submits, takes and finishes jobs, one after the other; returns how many.
async fn work(queue: Arc<SqliteQueue>, jobs: usize) -> Result<usize, QueueError> {
    for _ in 0..jobs {
        let operation = Operation {
            kind: "node.hostname.get".to_owned(),
            data: serde_json::json!({"n": 1}),
        };
        queue
            .enqueue(vec![NewJob {
                operation,
                target: Target::Any,
                idempotency_key: None,
            }])
            .await?;
        let claim = Claim {
            worker: "bench".to_owned(),
            hostname: "bench".to_owned(),
            slots: 1,
            wait: Duration::from_secs(5),
        };
        for lease in queue.claim(claim).await? {
            let result = serde_json::json!({"hostname": "bench"});
            queue
                .finish(lease.token, Outcome::Completed(result))
                .await?;
        }
    }
    Ok(jobs)
}
