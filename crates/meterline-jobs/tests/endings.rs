//! Attempts are recorded exactly once, and leave the gauges, however they end.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod common;

use std::time::Duration;

use common::{Series, builder, meterline, series};
use meterline_jobs::{AttemptStatus, Instruments, JobMetrics, UnitStatus, WorkerMetrics};
use meterline_sdk::MeterProvider;

const MAIL: &str = "mail";

struct Bench {
    provider: MeterProvider,
    instruments: Instruments,
    jobs: JobMetrics,
    worker: WorkerMetrics,
}

impl Bench {
    fn new() -> Self {
        let (provider, instruments) = meterline();
        Self {
            jobs: JobMetrics::new(&instruments),
            worker: WorkerMetrics::new(&instruments, "w", 2),
            provider,
            instruments,
        }
    }

    fn value(&self, name: &str) -> f64 {
        let series = series(&self.provider);
        series.get(&format!("shop.{name}")).copied().unwrap_or(0.0)
    }

    /// The attempts recorded, by status; the gauges must be at rest.
    fn recorded(&self) -> Vec<(&'static str, f64)> {
        assert_eq!(self.value("jobs.active{operation=mail}"), 0.0);
        assert_eq!(self.value("worker.slots{state=used,worker=w}"), 0.0);
        assert_eq!(self.value("worker.slots{state=free,worker=w}"), 2.0);
        let statuses = AttemptStatus::ALL.map(AttemptStatus::as_str);
        let counts = statuses.map(|status| {
            let durations = self.value(&format!("job.duration{{operation=mail,status={status}}}"));
            let processed = self.value(&format!(
                "worker.jobs.processed{{status={status},worker=w}}"
            ));
            assert_eq!(durations, processed, "{status}");
            (status, durations)
        });
        counts
            .into_iter()
            .filter(|(_, count)| *count != 0.0)
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_panics_or_is_aborted_is_recorded_once() {
    let bench = Bench::new();
    let start = || {
        let slot = bench.worker.slot();
        (
            slot,
            bench.jobs.start(MAIL, Duration::ZERO).by(&bench.worker),
        )
    };
    let held = start();
    let panics = tokio::spawn(async move {
        let _held = held;
        tokio::task::yield_now().await;
        panic!("on purpose");
    });
    assert!(panics.await.unwrap_err().is_panic());
    assert_eq!(bench.recorded(), [("failed", 1.0)]);

    let held = start();
    let hangs = tokio::spawn(async move {
        let _held = held;
        std::future::pending::<()>().await;
    });
    assert_eq!(bench.value("jobs.active{operation=mail}"), 1.0);
    assert_eq!(bench.value("worker.slots{state=free,worker=w}"), 1.0);
    hangs.abort();
    assert!(hangs.await.unwrap_err().is_cancelled());
    assert_eq!(bench.recorded(), [("failed", 1.0), ("cancelled", 1.0)]);
    // Neither says what became of the unit.
    assert_eq!(
        bench.value("jobs.completed{operation=mail,status=failed}"),
        0.0
    );
}

#[test]
fn the_clock_stops_once_and_what_comes_after_does_not_count() {
    let bench = Bench::new();
    let mut attempt = bench.jobs.start(MAIL, Duration::ZERO).by(&bench.worker);
    let took = attempt.stop();
    assert_eq!(bench.value("jobs.active{operation=mail}"), 0.0);
    std::thread::sleep(Duration::from_millis(2));
    assert_eq!(attempt.stop(), took);
    attempt.finish(AttemptStatus::Completed);
    assert_eq!(bench.recorded(), [("completed", 1.0)]);
    assert_eq!(
        bench.value("jobs.completed{operation=mail,status=completed}"),
        1.0
    );
}

#[test]
fn an_abandoned_attempt_is_not_recorded() {
    let bench = Bench::new();
    bench
        .jobs
        .start(MAIL, Duration::ZERO)
        .by(&bench.worker)
        .abandon();
    let given_back = bench.jobs.start(MAIL, Duration::ZERO).by(&bench.worker);
    drop(given_back.on_drop(None));
    assert_eq!(bench.recorded(), []);
    assert_eq!(bench.value("job.wait{operation=mail}"), 2.0);
}

#[test]
fn no_series_exists_before_something_happened_or_is_expected() {
    let bench = Bench::new();
    let names = |all: Series| all.into_keys().collect::<Vec<_>>();
    let slots = [
        "shop.worker.slots{state=free,worker=w}",
        "shop.worker.slots{state=used,worker=w}",
    ];
    assert_eq!(names(series(&bench.provider)), slots);
    bench.jobs.created(MAIL, 1);
    assert_eq!(series(&bench.provider).len(), slots.len() + 1);
    bench.jobs.expect_ends([MAIL]);
    let all = series(&bench.provider);
    assert_eq!(
        all["shop.jobs.completed{operation=mail,status=failed}"],
        0.0
    );
    assert_eq!(all["shop.jobs.rescued{operation=mail}"], 0.0);
    assert!(!all.contains_key("shop.job.retries{operation=mail}"));
}

#[test]
fn operations_beyond_those_kept_ready_are_counted_all_the_same() {
    let provider = MeterProvider::builder().build();
    let builder = builder().meter_provider(&provider).max_cached_operations(1);
    let jobs = JobMetrics::new(&builder.build().unwrap());
    for round in 0..3 {
        for operation in ["a", "b", "c"] {
            jobs.created(operation, 1);
            jobs.completed(operation, UnitStatus::Failed, round);
        }
    }
    let all = series(&provider);
    for operation in ["a", "b", "c"] {
        assert_eq!(
            all[&format!("shop.jobs.created{{operation={operation}}}")],
            3.0
        );
        let failed = format!("shop.jobs.completed{{operation={operation},status=failed}}");
        assert_eq!(all[&failed], 3.0);
    }
}

#[test]
fn a_heartbeat_ages_until_the_next_one_and_ends_with_its_worker() {
    const AGE: &str = "shop.worker.heartbeat_age{worker=h}";
    let bench = Bench::new();
    let worker = WorkerMetrics::new(&bench.instruments, "h", 1);
    worker.observe_heartbeat(&bench.instruments);
    assert!(!series(&bench.provider).contains_key(AGE), "it never beat");
    worker.beat();
    let age = series(&bench.provider)[AGE];
    std::thread::sleep(Duration::from_millis(2));
    assert!(series(&bench.provider)[AGE] >= age + 0.002);
    drop(worker);
    let all = series(&bench.provider);
    assert!(!all.contains_key(AGE), "it is gone");
    assert_eq!(all["shop.worker.slots{state=free,worker=h}"], 0.0);
}

#[test]
fn disabled_instruments_record_nothing_anywhere() {
    let provider = MeterProvider::builder().build();
    opentelemetry::global::set_meter_provider(provider.clone());
    let instruments = Instruments::disabled();
    let jobs = JobMetrics::new(&instruments);
    let worker = WorkerMetrics::new(&instruments, "w", 1);
    let attempt = jobs.start(MAIL, Duration::ZERO).by(&worker);
    attempt.finish(AttemptStatus::Failed);
    assert!(provider.collect().metrics.is_empty());
}
