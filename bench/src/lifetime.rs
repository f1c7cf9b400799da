//! What a thread that records notices while others collect a hundred thousand series, or while these
//! expire.

use std::hint::black_box;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use meterline_sdk::{Data, MeterProvider};
use opentelemetry::metrics::{Meter, MeterProvider as _};

use crate::harness::{Samples, timed};
use crate::libraries::{REQUEST, meterline, official, otel};
use crate::report::{Report, Table, milliseconds, nanoseconds};

const SERIES: usize = 100_000;
/// How often each collects while the other records.
const COLLECTIONS: usize = 10;
/// How long the recorder runs where nothing disturbs it.
const QUIET: Duration = Duration::from_millis(500);

pub(crate) fn run(report: &mut Report) {
    report.section(
        "Lifetime",
        "A thread records into one counter with four attributes, with a little work between \
         recordings, and times each one (which costs about as much as reading the clock twice, \
         see above). Meanwhile another thread does nothing, or collects 100,000 further series of \
         that counter ten times, or has all of these expire. On two cores, the scheduler's pauses \
         are in the highest numbers of all rows. The official SDK has no expiry.",
    );
    let rows = [
        ("ours, quiet", ours_quiet()),
        ("opentelemetry_sdk, quiet", official_quiet()),
        ("ours, while collected", ours_collected()),
        ("opentelemetry_sdk, while collected", official_collected()),
        ("ours, while all expire", ours_expiring(report)),
    ];
    let names: Vec<String> = rows.iter().map(|(name, _)| (*name).to_owned()).collect();
    let mut table = Table::new("One recording, as its thread sees it");
    for (heading, part) in [
        ("median", 0.5),
        ("99 %", 0.99),
        ("99.9 %", 0.999),
        ("longest", 1.0),
    ] {
        let of = |(_, taken): &(_, Vec<f64>)| Samples::once(percentile(taken, part));
        let samples: Vec<Samples> = rows.iter().map(of).collect();
        table.plain_column(heading, &names, &samples, nanoseconds);
    }
    report.table(table);
}

fn ours_quiet() -> Vec<f64> {
    let provider = meterline::provider(SERIES + 1);
    while_busy(&provider.meter("bench"), || thread::sleep(QUIET)).0
}

fn official_quiet() -> Vec<f64> {
    let (provider, _registries) = official::provider(1, Some(SERIES + 1));
    while_busy(&provider.meter("bench"), || thread::sleep(QUIET)).0
}

fn ours_collected() -> Vec<f64> {
    let provider = meterline::provider(SERIES + 1);
    let meter = provider.meter("bench");
    otel::fill_counters(&meter, SERIES);
    let before = total(&provider);
    let (taken, recorded) = while_busy(&meter, || {
        for _ in 0..COLLECTIONS {
            black_box(provider.collect());
        }
    });
    assert_eq!(total(&provider), before + recorded);
    taken
}

fn official_collected() -> Vec<f64> {
    let (provider, registries) = official::provider(1, Some(SERIES + 1));
    let meter = provider.meter("bench");
    otel::fill_counters(&meter, SERIES);
    let (taken, _) = while_busy(&meter, || {
        for _ in 0..COLLECTIONS {
            black_box(registries[0].gather());
        }
    });
    taken
}

fn ours_expiring(report: &mut Report) -> Vec<f64> {
    let provider = MeterProvider::builder()
        .with_cardinality_limit(SERIES + 1)
        .with_series_ttl(Some(Duration::from_millis(1)))
        .build();
    let meter = provider.meter("bench");
    otel::fill_counters(&meter, SERIES);
    let mut took = [0.0; 3];
    let (taken, _) = while_busy(&meter, || {
        for took in &mut took {
            *took = timed(|| drop(black_box(provider.collect())));
            thread::sleep(Duration::from_millis(2));
        }
    });
    assert!(
        provider.stats().series <= 1,
        "all have expired but the one in use"
    );
    let mut table = Table::new("Collections that expire 100,000 series");
    for (what, took) in ["sees them for the first time", "ends them", "after that"]
        .into_iter()
        .zip(took)
    {
        table.single(what, milliseconds(took));
    }
    report.table(table);
    taken
}

/// Records and times every recording until `busy` is done: what each took in nanoseconds, in order
/// of size, and how many there were.
fn while_busy(meter: &Meter, busy: impl FnOnce() + Send) -> (Vec<f64>, u64) {
    let counter = meter.u64_counter("counter").build();
    let done = AtomicBool::new(false);
    let mut taken = Vec::with_capacity(1 << 22);
    thread::scope(|scope| {
        scope.spawn(|| {
            busy();
            done.store(true, Relaxed);
        });
        let mut work = 1u64;
        while !done.load(Relaxed) || taken.is_empty() {
            for _ in 0..50 {
                work = black_box(work.wrapping_mul(6_364_136_223_846_793_005).rotate_left(7));
            }
            let attributes = otel::attributes(black_box(REQUEST));
            let begun = Instant::now();
            counter.add(1, &attributes);
            taken.push(begun.elapsed().as_nanos() as f64);
        }
    });
    let recorded = taken.len() as u64;
    taken.sort_by(f64::total_cmp);
    (taken, recorded)
}

fn percentile(sorted: &[f64], part: f64) -> f64 {
    let last = sorted.len() - 1;
    sorted[((last as f64 * part) as usize).min(last)]
}

fn total(provider: &MeterProvider) -> u64 {
    let snapshot = provider.collect();
    let Some(Data::Sum { values, .. }) = snapshot.metrics.first().map(|metric| &metric.data) else {
        panic!("there is a counter and nothing else")
    };
    values.iter().map(|value| value.as_f64() as u64).sum()
}
