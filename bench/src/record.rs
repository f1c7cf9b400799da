//! What one recording takes: through a handle to the series or with four attributes given each
//! time, on one series, from one thread and from two.

use std::hint::black_box;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Contender, Samples, in_threads, interleave, operations_of};
use crate::libraries::{
    Operation, Operations, Recording, measured, meterline, metrics_rs, official, prometheus_client,
    tikv,
};
use crate::page::{assert_total, total};
use crate::report::{Limit, Report, Table, many, nanoseconds, times};

const ROUNDS: usize = 15;
/// Enough for several turns of the scheduler: two threads that are given the same core for a moment
/// would show no contention at all.
const BOUND_OPERATIONS: u64 = 1_000_000;
const GIVEN_OPERATIONS: u64 = 300_000;
/// Recordings with work between, in a round.
const WORKED: u64 = 100_000;
/// How often the thread of "while collected" collects.
const COLLECTING_EVERY: Duration = Duration::from_millis(10);
/// Where contenders stand in every list.
const OURS: usize = 0;
const OURS_TWICE: usize = 1;
const OFFICIAL: usize = 2;
const OFFICIAL_TWICE: usize = 3;

/// What is recorded and how.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// The sample of the page that tells how often it was.
    pub(crate) sample: &'static str,
    pub(crate) pick: fn(&Operations) -> &Operation,
    pub(crate) operations: u64,
}

pub(crate) const KINDS: [Kind; 4] = [
    Kind {
        name: "counter, bound",
        sample: "counter_total",
        pick: |of| &of.counter_bound,
        operations: BOUND_OPERATIONS,
    },
    Kind {
        name: "counter, 4 attributes",
        sample: "counter_total",
        pick: |of| &of.counter_given,
        operations: GIVEN_OPERATIONS,
    },
    Kind {
        name: "histogram, bound",
        sample: "histogram_count",
        pick: |of| &of.histogram_bound,
        operations: BOUND_OPERATIONS,
    },
    Kind {
        name: "histogram, 4 attributes",
        sample: "histogram_count",
        pick: |of| &of.histogram_given,
        operations: GIVEN_OPERATIONS,
    },
];

pub(crate) fn run(report: &mut Report) {
    report.section(
        "Record",
        "Nanoseconds per recording into one series, as each recording thread sees it. \"Bound\" \
         records through a handle to the series, otherwise four attributes (texts, one number) are \
         given each time. After every round each reader reads, untimed; `metrics` only puts a \
         histogram's values aside, and sorts them into buckets then. `measured` knows all its labels \
         beforehand (enums, and a set of routes). \"With work between\" reads eight \
         words here and there in 1 MiB before each recording, as a service would touch other \
         memory: tight loops flatter what has to be in the nearest cache.",
    );
    let names = names();
    for threads in [1, 2] {
        let mut table = Table::new(&many(threads));
        for kind in &KINDS {
            let samples = contest(threads, kind);
            budgets(report, kind.name, threads, &samples);
            table.column(kind.name, &names, &samples, OURS, nanoseconds);
        }
        report.table(table);
        let mut table = Table::new(&format!("Floors, {}", many(threads)));
        let names = FLOORS.map(str::to_owned);
        table.plain_column("each", &names, &floors(threads), nanoseconds);
        report.table(table);
    }
    with_work(report);
    while_collected(report);
}

fn contenders() -> Vec<Recording> {
    vec![
        meterline::recording(1),
        meterline::recording(2),
        official::recording(1),
        official::recording(2),
        tikv::recording(),
        prometheus_client::recording(),
        metrics_rs::recording(),
        measured::recording(),
    ]
}

/// What the contenders are called; the second of each pair has a second reader.
fn names() -> Vec<String> {
    let mut names: Vec<_> = contenders().iter().map(|one| one.name.to_owned()).collect();
    for twice in [OURS_TWICE, OFFICIAL_TWICE] {
        names[twice] += ", 2 readers";
    }
    names
}

fn contest(threads: usize, kind: &Kind) -> Vec<Samples> {
    let contenders = contenders();
    let before: Vec<_> = contenders
        .iter()
        .map(|one| total(&(one.page)(), kind.sample).0 as u64)
        .collect();
    let mut turns: Vec<Contender<'_>> = Vec::new();
    for one in &contenders {
        turns.push(Box::new(|| {
            let taken = in_threads(threads, kind.operations, (kind.pick)(&one.operations));
            black_box((one.page)());
            taken
        }));
    }
    let samples = interleave(ROUNDS, &mut turns);
    drop(turns);
    for (one, before) in contenders.iter().zip(before) {
        let recorded = before + (ROUNDS as u64 + 1) * operations_of(threads, kind.operations);
        assert_total(one.name, &(one.page)(), kind.sample, recorded);
    }
    samples
}

const FLOORS: [&str; 2] = ["one atomic addition", "reading the clock twice"];

fn floors(threads: usize) -> Vec<Samples> {
    let count = AtomicU64::new(0);
    let add = |n| {
        (0..n).for_each(|_| {
            count.fetch_add(black_box(1), Relaxed);
        })
    };
    let clock = |n| {
        (0..n).for_each(|_| {
            black_box(Instant::now().elapsed());
        })
    };
    let samples = interleave(
        ROUNDS,
        &mut [
            Box::new(|| in_threads(threads, BOUND_OPERATIONS, &add)),
            Box::new(|| in_threads(threads, BOUND_OPERATIONS, &clock)),
        ],
    );
    let added = (ROUNDS as u64 + 1) * operations_of(threads, BOUND_OPERATIONS);
    assert_eq!(count.load(Relaxed), added);
    samples
}

/// The budgets of recording; everything is relative to the official SDK.
fn budgets(report: &mut Report, kind: &str, threads: usize, samples: &[Samples]) {
    let most = match (kind, threads) {
        ("histogram, bound", 1) => 1.1,
        ("histogram, bound", _) => 0.1,
        (_, 1) if kind.ends_with("attributes") => 0.5,
        (_, _) if kind.ends_with("attributes") => 0.15,
        _ => return,
    };
    let ratio = samples[OURS].ratio(&samples[OFFICIAL]);
    let what = format!("record {kind}, {}, against the official SDK", many(threads));
    report.budget(&what, ratio, Limit::AtMost(most), times);
    if threads == 1 {
        let ratio = samples[OURS_TWICE].ratio(&samples[OURS]);
        let what = format!("record {kind}, 2 readers against 1");
        // No difference, give or take what two equal contenders differ by on such a machine.
        report.budget(&what, ratio, Limit::AtMost(1.1), times);
    }
}

/// One thread records, and does something else in between; what that takes alone is subtracted.
fn with_work(report: &mut Report) {
    let mut table = Table::new("1 thread, with work between");
    let names = names();
    for kind in &KINDS {
        let contenders = contenders();
        let count = |one: &Recording| total(&(one.page)(), kind.sample).0 as u64;
        let before: Vec<u64> = contenders.iter().map(count).collect();
        let memory: Vec<u64> = (0..1 << 17).collect();
        let mut turns: Vec<Contender<'_>> = vec![Box::new(|| worked(&memory, &|| {}))];
        for one in &contenders {
            let operation = (kind.pick)(&one.operations);
            let memory = &memory;
            turns.push(Box::new(move || worked(memory, &|| operation(1))));
        }
        let mut samples = interleave(ROUNDS, &mut turns);
        drop(turns);
        for (one, before) in contenders.iter().zip(before) {
            let recorded = before + (ROUNDS as u64 + 1) * WORKED;
            assert_total(one.name, &(one.page)(), kind.sample, recorded);
        }
        let alone = samples.remove(0);
        let samples: Vec<Samples> = samples.iter().map(|one| one.over(&alone)).collect();
        table.column(kind.name, &names, &samples, OURS, nanoseconds);
    }
    report.table(table);
}

/// Nanoseconds of a piece of work and a recording after it.
fn worked(memory: &[u64], record: &dyn Fn()) -> f64 {
    let mut state = 1_u64;
    let begun = Instant::now();
    for _ in 0..WORKED {
        for _ in 0..8 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .rotate_left(17)
                + 1;
            state ^= memory[(state >> 40) as usize % memory.len()];
        }
        record();
    }
    black_box(state);
    begun.elapsed().as_nanos() as f64 / WORKED as f64
}

/// One thread records while another makes a page every ten milliseconds.
fn while_collected(report: &mut Report) {
    let mut table = Table::new("1 thread, while another makes a page every 10 ms");
    let names: Vec<String> = [meterline::NAME, official::NAME]
        .map(str::to_owned)
        .to_vec();
    for kind in &KINDS {
        let contenders = [meterline::recording(1), official::recording(1)];
        let mut turns: Vec<Contender<'_>> = Vec::new();
        for one in &contenders {
            turns.push(Box::new(|| collected(one, kind)));
        }
        let samples = interleave(ROUNDS, &mut turns);
        drop(turns);
        for one in &contenders {
            let recorded = (ROUNDS as u64 + 1) * operations_of(1, kind.operations);
            assert_total(one.name, &(one.page)(), kind.sample, recorded);
        }
        table.column(kind.name, &names, &samples, OURS, nanoseconds);
    }
    report.table(table);
}

fn collected(one: &Recording, kind: &Kind) -> f64 {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                black_box((one.page)());
                thread::sleep(COLLECTING_EVERY);
            }
        });
        let taken = in_threads(1, kind.operations, (kind.pick)(&one.operations));
        done.store(true, Relaxed);
        taken
    })
}
