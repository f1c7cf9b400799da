use std::sync::atomic::Ordering::Relaxed;

use crate::cell::histogram::{FEW_BOUNDS, HistogramCell, bucket_of, new_stripes};
use crate::cell::stripe;

fn read(histogram: &HistogramCell) -> (Vec<u64>, f64, f64, f64) {
    let mut counts = vec![0; histogram.bounds.len() + 1];
    let (sum, min, max) = histogram.read::<f64>(&mut counts);
    (counts, sum, min, max)
}

#[test]
fn all_stripes_together_are_the_distribution() {
    let histogram = HistogramCell::new::<f64>([1.0, 2.0].into());
    histogram.record(1.0);
    histogram.more.get_or_init(|| new_stripes::<f64>(2));
    for value in [-3.0, 2.0, 8.0, 1.5] {
        histogram.record(value);
        // As if this thread had met another one.
        stripe::leave();
    }
    assert_eq!(read(&histogram), (vec![2, 2, 1], 9.5, -3.0, 8.0));
}

#[test]
fn few_and_many_bounds_are_searched_alike() {
    let many: Vec<f64> = (0..100).map(f64::from).collect();
    let few = &many[..FEW_BOUNDS];
    for value in [-1.0, 0.0, 0.5, 1.0, 30.9, 31.0, 31.5, 1000.0] {
        assert_eq!(
            bucket_of(few, value),
            few.partition_point(|bound| *bound < value)
        );
        assert_eq!(
            bucket_of(&many, value),
            many.iter().filter(|b| **b < value).count()
        );
    }
}

#[test]
fn threads_that_meet_make_a_cell_grow() {
    let histogram = HistogramCell::new::<u64>([].into());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let recorded = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while histogram.more.get().is_none() && std::time::Instant::now() < deadline {
                    (0..1000).for_each(|_| histogram.record(0u64));
                    recorded.fetch_add(1000, Relaxed);
                }
            });
        }
    });
    assert!(histogram.more.get().is_some(), "four threads never met");
    let mut counts = [0];
    histogram.read::<u64>(&mut counts);
    assert_eq!(counts[0], recorded.load(Relaxed));
}
