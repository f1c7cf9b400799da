//! The same work under the official SDK and under Meterline's gives the same series and counts, bound or not.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use common::{Official, Series, builder, meterline, series};
use meterline_jobs::{
    Attempt, AttemptStatus, FleetReading, Instruments, JobMetrics, QueueReading, UnitStatus,
    WorkerMetrics, observe_fleet, observe_queue,
};

const WAITED: Duration = Duration::from_millis(3);

/// Everything that can happen, from several threads; what is returned still runs.
fn work(instruments: &Instruments) -> (WorkerMetrics, Vec<Attempt>) {
    let jobs = JobMetrics::new(instruments);
    let worker = WorkerMetrics::new(instruments, "w", 8);
    jobs.expect_created(["mail"]);
    jobs.expect_ends(["mail"]);
    jobs.expect_attempts(["mail"]);
    thread::scope(|scope| {
        for operation in ["mail", "print", "mail", "fax"] {
            let (jobs, worker) = (&jobs, &worker);
            scope.spawn(move || {
                for round in 0..100 {
                    one(jobs, worker, operation, round);
                }
            });
        }
    });
    let running = |operation| jobs.start(operation, WAITED);
    (worker, vec![running("mail"), running("print")])
}

fn one(jobs: &JobMetrics, worker: &WorkerMetrics, operation: &str, round: usize) {
    jobs.created(operation, 1);
    let _slot = worker.slot();
    let mut attempt = jobs.start(operation, WAITED).by(worker);
    match round % 8 {
        status @ 0..4 => attempt.finish(AttemptStatus::ALL[status]),
        4 => attempt.abandon(),
        5 => drop(attempt),
        6 => {
            attempt.stop();
            drop(attempt.on_drop(None));
        }
        _ => {
            let panicked = catch_unwind(AssertUnwindSafe(move || {
                let _attempt = attempt;
                std::panic::resume_unwind(Box::new("on purpose"));
            }));
            panicked.unwrap_err();
        }
    }
    jobs.completed(operation, UnitStatus::Cancelled, 2);
    jobs.rescued(operation);
}

fn observe(instruments: &Instruments) {
    observe_queue(instruments, || {
        Some(QueueReading {
            states: vec![("submitted", 7), ("dlq", 0)],
            oldest_waiting: Duration::from_millis(1500),
        })
    });
    observe_fleet(instruments, || {
        Some(FleetReading {
            states: vec![("ready", 2), ("lost", 0)],
            heartbeat_ages: vec![("w".to_owned(), Duration::from_millis(250))],
        })
    });
}

#[test]
fn both_sdks_hold_the_same_series_and_counts() {
    let official = Official::new();
    let theirs = builder()
        .meter_provider(&official.provider)
        .build()
        .unwrap();
    let (provider, ours) = meterline();
    for instruments in [&theirs, &ours] {
        observe(instruments);
    }
    let running = [work(&theirs), work(&ours)];
    let expected = official.series();
    assert_eq!(series(&provider), expected);
    check(&expected);
    drop(running);
    let ended = official.series();
    assert_eq!(series(&provider), ended);
    for gone in [
        "shop.jobs.active{operation=mail}",
        "shop.jobs.active{operation=print}",
        "shop.worker.slots{state=free,worker=w}",
    ] {
        assert_eq!(ended[gone], 0.0, "{gone}");
    }
}

/// The numbers follow from the work: 100 rounds per thread, two threads for mail; 13 rounds of each of the first four
/// kinds and 12 of the others.
fn check(series: &Series) {
    for (name, value) in [
        ("jobs.created{operation=mail}", 200.0),
        ("jobs.created{operation=fax}", 100.0),
        ("jobs.completed{operation=fax,status=completed}", 13.0),
        ("jobs.completed{operation=fax,status=failed}", 13.0),
        ("jobs.completed{operation=fax,status=cancelled}", 200.0),
        ("job.duration{operation=fax,status=completed}", 13.0),
        ("job.duration{operation=fax,status=failed}", 13.0 + 12.0),
        ("job.duration{operation=fax,status=cancelled}", 13.0 + 12.0),
        ("job.duration{operation=mail,status=retried}", 26.0),
        ("job.retries{operation=mail}", 26.0),
        ("job.wait{operation=mail}", 201.0),
        ("jobs.rescued{operation=print}", 100.0),
        ("job.late_results{operation=fax}", 12.0),
        ("jobs.active{operation=mail}", 1.0),
        ("jobs.active{operation=fax}", 0.0),
        ("worker.jobs.processed{status=failed,worker=w}", 100.0),
        ("worker.jobs.processed{status=completed,worker=w}", 52.0),
        ("worker.slots{state=used,worker=w}", 0.0),
        ("worker.slots{state=free,worker=w}", 8.0),
        ("jobs.queued{state=submitted}", 7.0),
        ("jobs.queued{state=dlq}", 0.0),
        ("jobs.oldest_waiting{}", 1.5),
        ("workers.connected{state=ready}", 2.0),
        ("worker.heartbeat_age{worker=w}", 0.25),
    ] {
        let name = format!("shop.{name}");
        assert_eq!(series.get(&name), Some(&value), "{name} in {series:#?}");
    }
}
