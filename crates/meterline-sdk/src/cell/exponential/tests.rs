use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use proptest::prelude::*;

use super::*;
use crate::Number;
use crate::snapshot::ExponentialPoint;

fn options(max_size: usize) -> ExponentialOptions {
    ExponentialOptions {
        max_size,
        ..ExponentialOptions::default()
    }
}

/// What a cell holds, printed.
fn read(cell: &ExponentialCell) -> String {
    let mut points = ExponentialHistograms::default();
    cell.read::<f64>(&mut points);
    format!("{:?}", points.iter().next().unwrap())
}

/// What it should hold, by the definition: the finest scale at which everything fits.
fn expected(values: &[f64], options: &ExponentialOptions) -> String {
    let is_zero = |value: &&f64| value.abs() <= options.zero_threshold;
    let side = |negative: bool, scale: i8| {
        let ours = values
            .iter()
            .filter(|v| !is_zero(v) && (**v < 0.0) == negative);
        let indexes: Vec<i32> = ours.map(|value| index::of(value.abs(), scale)).collect();
        let first = indexes.iter().copied().min().unwrap_or(0);
        let last = indexes.iter().copied().max().unwrap_or(-1);
        let count = |bucket| indexes.iter().filter(|index| **index == bucket).count() as u64;
        let fits = (i64::from(last) - i64::from(first)) < options.max_size.try_into().unwrap();
        fits.then(|| (first, (first..=last).map(count).collect::<Vec<_>>()))
    };
    let scale = (-11..=options.max_scale)
        .rev()
        .find(|scale| side(true, *scale).is_some() && side(false, *scale).is_some())
        .unwrap();
    let (positive, negative) = (side(false, scale).unwrap(), side(true, scale).unwrap());
    let buckets = |(offset, counts)| crate::ExponentialBuckets { offset, counts };
    let fold = |pick: fn(f64, f64) -> f64| values.iter().copied().reduce(pick);
    let point = ExponentialPoint {
        scale,
        zero_count: values.iter().filter(is_zero).count() as u64,
        zero_threshold: options.zero_threshold,
        positive: buckets((positive.0, &positive.1)),
        negative: buckets((negative.0, &negative.1)),
        sum: Number::F64(values.iter().fold(0.0, |sum, value| sum + value)),
        min_max: fold(f64::min)
            .zip(fold(f64::max))
            .map(|(min, max)| (Number::F64(min), Number::F64(max))),
    };
    format!("{point:?}")
}

/// Values whose sum is exact in any order, and some at the ends of the range.
fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => (-1000..1000i32).prop_map(f64::from),
        2 => (0..1000i32).prop_map(|n| f64::from(n) / 1024.0),
        2 => (100..110i32).prop_map(f64::from),
        1 => Just(0.0),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_scale_is_the_finest_at_which_all_values_fit(
        values in prop::collection::vec(value(), 0..60),
        max_size in prop_oneof![2..20usize, Just(160)],
        max_scale in prop_oneof![-10..20i8, Just(20)],
        zero_threshold in prop_oneof![Just(0.0), Just(0.25)],
        stripes in any::<bool>(),
    ) {
        let options = ExponentialOptions { max_size, max_scale, zero_threshold };
        let cell = ExponentialCell::new::<f64>(options);
        for (at, value) in values.iter().enumerate() {
            if stripes && at == values.len() / 3 {
                cell.grow::<f64>();
            }
            if stripes {
                // As if another thread recorded it.
                stripe::leave();
            }
            cell.record(*value);
        }
        prop_assert_eq!(read(&cell), expected(&values, &options));
    }

    #[test]
    fn the_whole_range_of_floats_fits_two_buckets(
        bits in prop::collection::vec(1..f64::INFINITY.to_bits(), 1..20),
        max_size in 2..6usize,
    ) {
        let values: Vec<f64> = bits.into_iter().map(f64::from_bits).collect();
        let cell = ExponentialCell::new::<f64>(options(max_size));
        values.iter().for_each(|value| cell.record(*value));
        let mut points = ExponentialHistograms::default();
        cell.read::<f64>(&mut points);
        let point = points.iter().next().unwrap();
        prop_assert_eq!(point.count(), values.len() as u64);
        prop_assert!(point.positive.counts.len() <= max_size);
    }
}

#[test]
fn what_is_taken_can_be_put_back() {
    let cell = ExponentialCell::new::<f64>(options(10));
    cell.record(100.0);
    cell.grow::<f64>();
    cell.record(1.0);
    let taken = cell.take::<f64>();
    assert_eq!((taken.count(), taken.sum()), (2, 101.0f64.to_bits()));
    assert_eq!(read(&cell), expected(&[], &options(10)));
    cell.record(0.0);
    cell.record(-3.0);
    cell.put_back::<f64>(&taken);
    assert_eq!(
        read(&cell),
        expected(&[100.0, 1.0, 0.0, -3.0], &options(10))
    );
    let mut points = ExponentialHistograms::default();
    cell.push_taken::<f64>(&taken, &mut points);
    let point = format!("{:?}", points.iter().next().unwrap());
    assert_eq!(point, expected(&[100.0, 1.0], &options(10)));
}

#[test]
fn nothing_recorded_is_a_point_without_buckets() {
    assert_eq!(
        read(&ExponentialCell::new::<f64>(options(160))),
        expected(&[], &options(160))
    );
}

#[test]
fn a_recording_does_not_wait_for_a_stripe_that_is_held() {
    let cell = ExponentialCell::new::<f64>(options(160));
    cell.record(1.0);
    let held = cell.first.lock();
    cell.record(2.0);
    let stripes = cell.more.get().expect("it grew instead of waiting");
    let preferred = stripes[stripe::current(stripes.len())].lock();
    cell.record(3.0);
    drop((held, preferred));
    assert_eq!(read(&cell), expected(&[1.0, 2.0, 3.0], &options(160)));
}

#[test]
fn rescaling_loses_nothing_while_others_record_and_read() {
    const ROUNDS: i32 = 200;
    const THREADS: i32 = 4;
    let cell = ExponentialCell::new::<f64>(options(20));
    // From the middle outwards, so that every thread rescales all the way down.
    let values = |thread: i32| {
        (0..ROUNDS).map(move |round| {
            let exponent = round / 4 * if (round + thread) % 2 == 0 { 1 } else { -1 };
            let value = f64::from(exponent).exp2() * f64::from(1 + (round + thread) % 3);
            if thread == 3 { -value } else { value }
        })
    };
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let recorders: Vec<_> = (0..THREADS)
            .map(|thread| {
                let cell = &cell;
                scope.spawn(move || {
                    for value in values(thread) {
                        cell.record(value);
                        std::thread::yield_now();
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            let mut before = 0;
            while !done.load(Relaxed) {
                let mut points = ExponentialHistograms::default();
                cell.read::<f64>(&mut points);
                let count = points.iter().next().unwrap().count();
                assert!(count >= before, "{count} after {before}");
                before = count;
            }
        });
        recorders
            .into_iter()
            .for_each(|recorder| recorder.join().unwrap());
        done.store(true, Relaxed);
    });
    let all: Vec<f64> = (0..THREADS).flat_map(values).collect();
    let without_sum = |printed: String| {
        let (before, rest) = printed.split_once("sum: ").unwrap();
        format!("{before}{}", rest.split_once(')').unwrap().1)
    };
    assert_eq!(
        without_sum(read(&cell)),
        without_sum(expected(&all, &options(20)))
    );
}
