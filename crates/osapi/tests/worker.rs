//! The worker engine on a real queue: what it runs, what it counts, how it stops.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use osapi::operations::{Context, Failure, Operation, Registry};
use osapi::queue::sqlite::SqliteQueue;
use osapi::queue::{
    JobId, JobRecord, JobState, NewJob, QueueError, QueueOptions, RetryPolicy, SharedQueue, Target,
};
use osapi::worker::{Active, AttemptStatus, JobObserver, Worker, WorkerOptions, maintain};
use serde_json::{Value, json};
use std::sync::Mutex;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_secs(20);

/// Panics before or after its first await.
struct Panics;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct When {
    late: bool,
}

impl Operation for Panics {
    const NAME: &'static str = "test.panic";
    type Input = When;

    async fn run(&self, when: When, _: Context) -> Result<Value, Failure> {
        if when.late {
            tokio::task::yield_now().await;
        }
        panic!("on purpose");
    }
}

/// Writes down what it is told.
#[derive(Default)]
struct Notes {
    lines: Mutex<Vec<String>>,
    active: Arc<AtomicI64>,
    most_used: AtomicI64,
}

struct Running(Arc<AtomicI64>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Notes {
    fn add(&self, line: String) {
        self.lines.lock().expect("no panic").push(line);
    }

    fn count(&self, line: &str) -> usize {
        self.lines
            .lock()
            .expect("no panic")
            .iter()
            .filter(|seen| *seen == line)
            .count()
    }
}

impl JobObserver for Notes {
    fn started(&self, operation: &str, _: Duration) -> Active {
        self.active.fetch_add(1, Ordering::SeqCst);
        self.add(format!("started {operation}"));
        Box::new(Running(Arc::clone(&self.active)))
    }
    fn attempt(&self, worker: &str, operation: &str, status: AttemptStatus, _: Duration) {
        self.add(format!("attempt {worker} {operation} {}", status.as_str()));
    }
    fn completed(&self, operation: &str, state: JobState) {
        self.add(format!("completed {operation} {state}"));
    }
    fn retried(&self, operation: &str) {
        self.add(format!("retried {operation}"));
    }
    fn rescued(&self, operation: &str) {
        self.add(format!("rescued {operation}"));
    }
    fn slots(&self, _: &str, used: u32, free: u32) {
        assert_eq!(used + free, 2);
        self.most_used.fetch_max(used.into(), Ordering::SeqCst);
    }
}

struct Bench {
    dir: TempDir,
    queue: SharedQueue,
    notes: Arc<Notes>,
    stop: CancellationToken,
    drain_timeout: Duration,
}

impl Bench {
    fn new() -> Self {
        let dir = TempDir::new().expect("a directory");
        let options = QueueOptions {
            lease: Duration::from_secs(1),
            max_attempts: 2,
            retry: RetryPolicy {
                base: Duration::from_millis(10),
                max: Duration::from_millis(50),
            },
            ..QueueOptions::default()
        };
        let queue = SqliteQueue::open(&dir.path().join("queue.db"), options, None).expect("opens");
        Self {
            dir,
            queue: Arc::new(queue),
            notes: Arc::default(),
            stop: CancellationToken::new(),
            drain_timeout: DEADLINE,
        }
    }

    /// Starts a worker with two slots.
    fn start(&self, name: &str) -> JoinHandle<Result<(), QueueError>> {
        let mut registry = Registry::builtin(Vec::new());
        registry.register(Panics);
        let options = WorkerOptions {
            name: name.to_owned(),
            hostname: "host".to_owned(),
            labels: BTreeMap::new(),
            slots: 2,
            drain_timeout: self.drain_timeout,
            lease: Duration::from_secs(1),
        };
        let worker = Worker::new(
            self.queue.clone(),
            Arc::new(registry),
            self.notes.clone(),
            options,
        );
        tokio::spawn(worker.run(self.stop.clone()))
    }

    async fn submit(&self, kind: &str, data: Value) -> JobId {
        let operation = osapi::queue::Operation {
            kind: kind.to_owned(),
            data,
        };
        let job = NewJob {
            operation,
            target: Target::Any,
            idempotency_key: None,
        };
        self.queue.enqueue(vec![job]).await.expect("accepted")[0].id
    }

    /// Waits until a job is in a state.
    async fn until(&self, id: JobId, state: JobState) -> JobRecord {
        let begun = Instant::now();
        loop {
            let record = self.queue.get(id).await.expect("known");
            if record.status == state {
                return record;
            }
            assert!(
                begun.elapsed() < DEADLINE,
                "{id} is {}, not {state}",
                record.status
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until something was noted so often.
    async fn noted(&self, line: &str, times: usize) {
        let begun = Instant::now();
        while self.notes.count(line) < times {
            assert!(
                begun.elapsed() < DEADLINE,
                "not noted {times} times: {line}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(self.notes.count(line), times, "{line}");
    }

    async fn end(&self, worker: JoinHandle<Result<(), QueueError>>) {
        self.stop.cancel();
        let ended = tokio::time::timeout(DEADLINE, worker)
            .await
            .expect("it stops");
        ended.expect("no panic").expect("in order");
        assert_eq!(self.notes.active.load(Ordering::SeqCst), 0);
        assert!(
            self.queue.workers().await.expect("fleet").is_empty(),
            "it deregistered"
        );
    }
}

#[tokio::test]
async fn runs_jobs_in_its_slots_and_counts_each_once() {
    let bench = Bench::new();
    let worker = bench.start("w");
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(bench.submit("sleep", json!({"seconds": 0.01})).await);
    }
    for id in ids {
        let record = bench.until(id, JobState::Completed).await;
        assert_eq!(record.result, Some(json!({"slept_seconds": 0.01})));
        assert_eq!(record.worker.as_deref(), Some("w"));
    }
    bench.noted("completed sleep completed", 10).await;
    bench.noted("attempt w sleep completed", 10).await;
    bench.noted("started sleep", 10).await;
    assert_eq!(
        bench.notes.most_used.load(Ordering::SeqCst),
        2,
        "both slots, and no more"
    );
    bench.end(worker).await;
    drop(bench.dir);
}

#[tokio::test]
async fn retries_a_failed_attempt() {
    let bench = Bench::new();
    let worker = bench.start("w");
    let id = bench
        .submit("sleep", json!({"seconds": 0, "fail_attempts": 1}))
        .await;
    assert_eq!(bench.until(id, JobState::Completed).await.attempts, 2);
    bench.noted("completed sleep completed", 1).await;
    bench.noted("retried sleep", 1).await;
    bench.noted("attempt w sleep retried", 1).await;
    bench.noted("attempt w sleep completed", 1).await;
    bench.end(worker).await;
}

#[tokio::test]
async fn survives_handlers_that_panic() {
    let bench = Bench::new();
    let worker = bench.start("w");
    for late in [true, false] {
        let id = bench.submit("test.panic", json!({"late": late})).await;
        let record = bench.until(id, JobState::Failed).await;
        assert_eq!(record.attempts, 2, "a panic is a failed attempt");
        assert_eq!(
            record.error.as_deref(),
            Some("the handler panicked: on purpose")
        );
    }
    let unknown = bench.submit("no.such.operation", json!({})).await;
    assert_eq!(bench.until(unknown, JobState::Failed).await.attempts, 1);
    bench.noted("completed test.panic failed", 2).await;
    bench.end(worker).await;
}

#[tokio::test]
async fn stops_the_work_of_a_cancelled_job() {
    let bench = Bench::new();
    let worker = bench.start("w");
    let id = bench.submit("sleep", json!({"seconds": 3600})).await;
    bench.until(id, JobState::Processing).await;
    bench.queue.delete(id).await.expect("cancelled");
    bench.noted("attempt w sleep cancelled", 1).await;
    assert_eq!(
        bench.notes.count("completed sleep cancelled"),
        0,
        "counted by whoever cancelled it"
    );
    assert_eq!(
        bench.queue.get(id).await.expect("kept").status,
        JobState::Cancelled
    );
    bench.end(worker).await;
}

#[tokio::test]
async fn finishes_what_it_runs_before_it_stops() {
    let bench = Bench::new();
    let worker = bench.start("w");
    let running = bench.submit("sleep", json!({"seconds": 0.3})).await;
    bench.until(running, JobState::Processing).await;
    bench.stop.cancel();
    let late = bench.submit("sleep", json!({"seconds": 0})).await;
    bench.end(worker).await;
    assert_eq!(
        bench.queue.get(running).await.expect("kept").status,
        JobState::Completed
    );
    assert_eq!(
        bench.queue.get(late).await.expect("kept").status,
        JobState::Submitted
    );
}

#[tokio::test]
async fn gives_back_what_takes_longer_than_the_drain_timeout() {
    let mut bench = Bench::new();
    bench.drain_timeout = Duration::from_millis(50);
    let worker = bench.start("w");
    let id = bench.submit("sleep", json!({"seconds": 3600})).await;
    bench.until(id, JobState::Processing).await;
    bench.end(worker).await;
    let record = bench.queue.get(id).await.expect("kept");
    assert_eq!((record.status, record.attempts), (JobState::Submitted, 0));
    assert_eq!(bench.notes.count("completed sleep completed"), 0);
}

#[tokio::test]
async fn drains_when_told_and_works_again_when_told() {
    let bench = Bench::new();
    let worker = bench.start("w");
    let first = bench.submit("sleep", json!({"seconds": 0})).await;
    bench.until(first, JobState::Completed).await;
    bench
        .queue
        .set_draining("w".to_owned(), true)
        .await
        .expect("told");
    let id = bench.submit("sleep", json!({"seconds": 0})).await;
    // Two signs of life later it still has not been started.
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(
        bench.queue.get(id).await.expect("kept").status,
        JobState::Submitted
    );
    bench
        .queue
        .set_draining("w".to_owned(), false)
        .await
        .expect("told");
    bench.until(id, JobState::Completed).await;
    bench.end(worker).await;
}

#[tokio::test]
async fn rescues_the_job_of_a_worker_that_vanished() {
    let bench = Bench::new();
    let keeper = tokio::spawn(maintain(
        bench.queue.clone(),
        bench.notes.clone(),
        bench.stop.clone(),
    ));
    let lost = bench.start("lost");
    let id = bench.submit("sleep", json!({"seconds": 0.5})).await;
    bench.until(id, JobState::Processing).await;
    // Aborting the engine leaves no time for a farewell, as a kill would; its attempts die with it.
    lost.abort();
    assert!(lost.await.expect_err("aborted").is_cancelled());
    let worker = bench.start("w");
    bench.noted("rescued sleep", 1).await;
    let record = bench.until(id, JobState::Completed).await;
    assert_eq!((record.attempts, record.worker.as_deref()), (2, Some("w")));
    bench.stop.cancel();
    worker.await.expect("no panic").expect("in order");
    keeper.await.expect("no panic");
}

#[tokio::test]
async fn yields_its_name_to_a_newer_process() {
    let bench = Bench::new();
    let old = bench.start("w");
    let first = bench.submit("sleep", json!({"seconds": 0})).await;
    bench.until(first, JobState::Completed).await;
    let new = bench.start("w");
    let ended = tokio::time::timeout(DEADLINE, old)
        .await
        .expect("it stops")
        .expect("no panic");
    assert!(matches!(ended, Err(QueueError::Conflict(_))), "{ended:?}");
    let id = bench.submit("sleep", json!({"seconds": 0})).await;
    bench.until(id, JobState::Completed).await;
    bench.end(new).await;
}
