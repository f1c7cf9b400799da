//! The worker engine on a real queue: what it runs, what it counts, how it stops.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use meterline_jobs::{Instruments, JobMetrics, WorkerMetrics};
use meterline_sdk::{Data, MeterProvider};
use osapi::operations::{Context, Failure, Operation, Registry};
use osapi::queue::sqlite::SqliteQueue;
use osapi::queue::{
    JobId, JobRecord, JobState, NewJob, QueueError, QueueOptions, RetryPolicy, SharedQueue, Target,
};
use osapi::worker::{Worker, WorkerOptions, maintain};
use serde_json::{Value, json};
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

/// What is recorded, read out of a pipeline of its own.
struct Recorded {
    provider: MeterProvider,
    instruments: Instruments,
    jobs: JobMetrics,
}

impl Recorded {
    fn new() -> Self {
        let provider = MeterProvider::builder().build();
        let builder = Instruments::builder().meter_provider(&provider);
        let instruments = builder.namespace("t").build().expect("a good namespace");
        Self {
            jobs: JobMetrics::new(&instruments),
            provider,
            instruments,
        }
    }

    /// The sum of all series with these attribute values of a metric: a sum's value, a histogram's count.
    fn total(&self, name: &str, values: &[&str]) -> f64 {
        let mut total = 0.0;
        for metric in self.provider.collect().metrics {
            if metric.descriptor.name != name {
                continue;
            }
            let of: Vec<f64> = match &metric.data {
                Data::Sum { values, .. } => values.iter().map(|value| value.as_f64()).collect(),
                Data::Histogram(points) => {
                    points.iter().map(|point| point.count() as f64).collect()
                }
                other => panic!("{name}: {other:?}"),
            };
            for (series, value) in metric.series.iter().zip(of) {
                let has = |wanted: &&str| {
                    let mut attributes = series.attributes().iter();
                    attributes.any(|attribute| attribute.value.as_str() == *wanted)
                };
                if values.iter().all(has) {
                    total += value;
                }
            }
        }
        total
    }
}

struct Bench {
    dir: TempDir,
    queue: SharedQueue,
    recorded: Recorded,
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
            recorded: Recorded::new(),
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
            self.recorded.jobs.clone(),
            WorkerMetrics::new(&self.recorded.instruments, name, options.slots),
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
            trace_context: None,
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

    /// Waits until a metric has come to a total, and checks that it went no further.
    async fn counted(&self, name: &str, values: &[&str], times: f64) {
        let begun = Instant::now();
        while self.recorded.total(name, values) < times {
            assert!(
                begun.elapsed() < DEADLINE,
                "never {times}: {name} {values:?}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let total = self.recorded.total(name, values);
        assert_eq!(total, times, "{name} {values:?}");
    }

    async fn end(&self, worker: JoinHandle<Result<(), QueueError>>) {
        self.stop.cancel();
        let ended = tokio::time::timeout(DEADLINE, worker)
            .await
            .expect("it stops");
        ended.expect("no panic").expect("in order");
        assert_eq!(self.recorded.total("t.jobs.active", &[]), 0.0);
        assert_eq!(
            self.recorded.total("t.worker.slots", &[]),
            0.0,
            "its slots went with it"
        );
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
        ids.push(bench.submit("sleep", json!({"seconds": 0.1})).await);
    }
    // Both slots, and no more.
    bench.counted("t.worker.slots", &["used"], 2.0).await;
    bench.counted("t.jobs.active", &["sleep"], 2.0).await;
    for id in ids {
        let record = bench.until(id, JobState::Completed).await;
        assert_eq!(record.result, Some(json!({"slept_seconds": 0.1})));
        assert_eq!(record.worker.as_deref(), Some("w"));
    }
    bench
        .counted("t.jobs.completed", &["sleep", "completed"], 10.0)
        .await;
    bench
        .counted("t.job.duration", &["sleep", "completed"], 10.0)
        .await;
    bench
        .counted("t.worker.jobs.processed", &["w", "completed"], 10.0)
        .await;
    bench.counted("t.job.wait", &["sleep"], 10.0).await;
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
    bench
        .counted("t.jobs.completed", &["sleep", "completed"], 1.0)
        .await;
    bench.counted("t.job.retries", &["sleep"], 1.0).await;
    bench
        .counted("t.job.duration", &["sleep", "retried"], 1.0)
        .await;
    bench
        .counted("t.worker.jobs.processed", &["w", "retried"], 1.0)
        .await;
    bench
        .counted("t.job.duration", &["sleep", "completed"], 1.0)
        .await;
    bench
        .counted("t.worker.jobs.processed", &["w", "completed"], 1.0)
        .await;
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
    bench
        .counted("t.jobs.completed", &["test.panic", "failed"], 2.0)
        .await;
    bench.end(worker).await;
}

#[tokio::test]
async fn stops_the_work_of_a_cancelled_job() {
    let bench = Bench::new();
    let worker = bench.start("w");
    let id = bench.submit("sleep", json!({"seconds": 3600})).await;
    bench.until(id, JobState::Processing).await;
    bench.queue.delete(id).await.expect("cancelled");
    bench
        .counted("t.job.duration", &["sleep", "cancelled"], 1.0)
        .await;
    bench
        .counted("t.worker.jobs.processed", &["w", "cancelled"], 1.0)
        .await;
    assert_eq!(
        bench
            .recorded
            .total("t.jobs.completed", &["sleep", "cancelled"]),
        0.0,
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
    assert_eq!(
        bench
            .recorded
            .total("t.jobs.completed", &["sleep", "completed"]),
        0.0
    );
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
        bench.recorded.jobs.clone(),
        bench.stop.clone(),
    ));
    let lost = bench.start("lost");
    let id = bench.submit("sleep", json!({"seconds": 0.5})).await;
    bench.until(id, JobState::Processing).await;
    // Aborting the engine leaves no time for a farewell, as a kill would; its attempts die with it.
    lost.abort();
    assert!(lost.await.expect_err("aborted").is_cancelled());
    let worker = bench.start("w");
    bench.counted("t.jobs.rescued", &["sleep"], 1.0).await;
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
