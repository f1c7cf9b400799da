//! Readers with limits while others record and remove.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use meterline_sdk::{MeterProvider, TemporalityPreference};
use opentelemetry::metrics::MeterProvider as _;

use super::model::{Amount, Key, points};
use super::{id, limited};

const THREADS: usize = 4;
const EACH: u32 = 20_000;
const IDS: u32 = 12;

#[test]
fn nothing_is_lost_and_no_total_goes_down_while_series_come_and_go() {
    let provider = MeterProvider::default();
    let deltas = limited(&provider, 3, TemporalityPreference::Delta);
    let cumulative = limited(&provider, 3, TemporalityPreference::Cumulative);
    let meter = provider.meter("test");
    let (counter, histogram) = (
        meter.u64_counter("c").build(),
        meter.u64_histogram("h").build(),
    );
    let (mut counted, mut recorded) = (0.0, 0);
    let mut add_deltas = || {
        let snapshot = deltas.collect();
        let total =
            |name| Amount::total(points(&snapshot, name).values().map(|(_, amount)| amount));
        counted += total("c").sum;
        recorded += total("h").buckets.values().sum::<u64>();
    };
    let mut before: [BTreeMap<_, Amount>; 2] = Default::default();
    let mut check_totals = || {
        let snapshot = cumulative.collect();
        for (name, before) in ["c", "h"].into_iter().zip(&mut before) {
            for (key, (start, now)) in points(&snapshot, name) {
                let last = before.insert((key, start), now.clone()).unwrap_or_default();
                assert!(
                    now.is_no_less_than(&last),
                    "{name} {key:?}: {now:?} after {last:?}"
                );
            }
            let overflows = before.keys().filter(|(key, _)| *key == Key::Overflow);
            assert!(overflows.count() <= 1, "one that goes on");
        }
    };
    let running = AtomicUsize::new(THREADS);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (counter, histogram, provider, running) =
                (&counter, &histogram, &provider, &running);
            scope.spawn(move || {
                for n in 0..EACH {
                    let of = |n: u32| id(u8::try_from(n % IDS).expect("it is small"));
                    counter.add(1, &of(n));
                    histogram.record(1, &of(n));
                    if thread == 0 && n.is_multiple_of(50) {
                        provider.remove("test", "c", &of(n / 50));
                        provider.remove("test", "h", &of(n / 50 + 1));
                    }
                }
                running.fetch_sub(1, SeqCst);
            });
        }
        while running.load(SeqCst) > 0 {
            add_deltas();
            check_totals();
        }
    });
    // A series that came back may wait for one collection more.
    (0..3).for_each(|_| add_deltas());
    check_totals();
    let all = THREADS as u64 * u64::from(EACH);
    assert_eq!((counted, recorded), (all as f64, all));
}
