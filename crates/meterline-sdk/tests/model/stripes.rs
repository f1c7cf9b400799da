//! Cells that grow stripes while they are recorded into, read and emptied.
//!
//! In all interleavings with few interruptions. Of the orders that relaxed accesses allow, loom knows
//! most, but not all.

#[path = "../../src/cell/histogram.rs"]
#[allow(dead_code, unreachable_pub, reason = "not all of it takes part")]
mod histogram;
#[path = "../../src/cell/lines.rs"]
#[allow(dead_code, unreachable_pub, reason = "not all of it takes part")]
mod lines;
#[path = "../../src/cell/stripe.rs"]
#[allow(dead_code, unreachable_pub, reason = "not all of it takes part")]
mod stripe;
#[path = "../../src/cell/sum.rs"]
#[allow(dead_code, unreachable_pub, reason = "not all of it takes part")]
mod sum;

/// As `src/cell/limits.rs`, so small that cells grow within a model.
mod limits {
    pub(super) const HANDOVERS: u64 = 2;
    pub(super) const PATIENCE: u32 = 2;
    pub(super) const LOOKS: usize = 1;
    pub(super) const MOST_STRIPES: usize = 2;
}

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use histogram::HistogramCell;
use lines::{Order, Places};
use loom::thread;
use sum::SumCell;

/// Two threads that each do this, while the model goes on.
fn two_threads<T: Send + Sync + 'static>(
    cell: &Arc<T>,
    record: fn(&T),
) -> [thread::JoinHandle<()>; 2] {
    [(); 2].map(|()| {
        let cell = Arc::clone(cell);
        thread::spawn(move || record(&cell))
    })
}

/// All executions in which threads are interrupted up to so many times; more take long. `run` tells
/// whether the cell has grown, which it has to in some and not in others.
fn model(interruptions: usize, run: impl Fn() -> bool + Send + Sync + 'static) {
    let seen = Arc::new([const { AtomicUsize::new(0) }; 2]);
    let count = Arc::clone(&seen);
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(interruptions);
    model.check(move || {
        count[usize::from(run())].fetch_add(1, Relaxed);
    });
    println!("executions without and with stripes: {seen:?}");
    assert!(seen.iter().all(|executions| executions.load(Relaxed) > 0));
}

/// The count and the sum.
fn read(histogram: &HistogramCell) -> (u64, u64) {
    let mut counts = [0];
    let (sum, ..) = histogram.read::<u64>(&mut counts);
    (counts[0], sum)
}

#[test]
fn a_histogram_that_grows_loses_nothing_and_counts_nothing_without_its_sum() {
    model(3, || {
        let histogram = Arc::new(HistogramCell::new::<u64>([].into()));
        let threads = two_threads(&histogram, |histogram| {
            histogram.record(1u64);
            histogram.record(1u64);
        });
        let (count, sum) = read(&histogram);
        assert!(count <= sum && sum <= 4, "{count} of {sum}");
        for thread in threads {
            thread.join().expect("it records");
        }
        assert_eq!(read(&histogram), (4, 4));
        histogram.more.get().is_some()
    });
}

#[test]
fn what_is_taken_out_of_a_histogram_are_whole_recordings() {
    model(2, || {
        let histogram = Arc::new(HistogramCell::new::<u64>([].into()));
        let threads = two_threads(&histogram, |histogram| histogram.record(1u64));
        let taken = histogram.take::<u64>();
        assert_eq!(taken.count(), taken.sum);
        histogram.put_back::<u64>(&taken);
        for thread in threads {
            thread.join().expect("it records");
        }
        assert_eq!(read(&histogram), (2, 2));
        histogram.more.get().is_some()
    });
}

/// A total, and the lines that it is in, as a collection reads it.
struct Total {
    places: Places,
    sum: SumCell,
}

impl Total {
    fn new() -> Arc<Self> {
        let mut places = Places::default();
        let sum = SumCell::new(places.take());
        Arc::new(Self { places, sum })
    }

    fn read(&self) -> u64 {
        let mut total = None;
        let order = Order::of(std::iter::once(self.sum.place()));
        self.places.lines().read(&order, |series, whole| {
            if series == 0 {
                total = Some(whole.unwrap_or_else(|| self.sum.total::<u64>()));
            }
        });
        total.expect("it is in order")
    }
}

#[test]
fn a_total_that_grows_loses_nothing_and_never_goes_down() {
    model(2, || {
        let total = Total::new();
        let threads = two_threads(&total, |total| {
            total.sum.add(1u64);
            total.sum.add(1u64);
        });
        let (first, second) = (total.read(), total.read());
        assert!(first <= second && second <= 4, "{first}, then {second}");
        for thread in threads {
            thread.join().expect("it adds");
        }
        assert_eq!(total.read(), 4);
        total.sum.more.get().is_some()
    });
}

#[test]
fn who_added_to_a_total_that_grows_finds_it_there() {
    model(3, || {
        let total = Total::new();
        let other = {
            let total = Arc::clone(&total);
            thread::spawn(move || total.sum.add(0u64))
        };
        total.sum.add(1u64);
        total.sum.add(1u64);
        assert_eq!(total.read(), 2, "whoever has it grow, and whenever");
        other.join().expect("it adds");
        assert_eq!(total.read(), 2);
        total.sum.more.get().is_some()
    });
}
