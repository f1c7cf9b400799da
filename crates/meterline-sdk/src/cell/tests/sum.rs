use std::sync::atomic::Ordering::Relaxed;

use crate::cell::lines::Places;
use crate::cell::stripe;
use crate::cell::sum::SumCell;
use crate::number::Measure as _;

#[test]
fn a_total_is_that_of_all_stripes() {
    let mut places = Places::default();
    let sum = SumCell::new(places.take());
    sum.add(-7i64);
    sum.grow();
    for _ in 0..3 {
        sum.add(10i64);
        // As if this thread had met another one.
        stripe::leave();
    }
    assert_eq!(sum.total::<i64>(), 23i64.bits());
    assert_eq!(
        sum.owned.word().load(Relaxed),
        (-7i64).bits(),
        "what is grown is used"
    );
}

#[test]
fn threads_that_share_a_line_leave_it() {
    let mut places = Places::default();
    let [one, other] = [(); 2].map(|()| SumCell::new(places.take()));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let one_left = &|| [&one, &other].iter().any(|sum| sum.more.get().is_some());
    let recorded = std::thread::scope(|scope| {
        let both = [&one, &other].map(|sum| {
            scope.spawn(move || {
                let mut added = 0u64;
                while !one_left() && std::time::Instant::now() < deadline {
                    (0..1000).for_each(|_| sum.add(1u64));
                    added += 1000;
                }
                added
            })
        });
        both.map(|thread| thread.join().expect("it only adds"))
    });
    assert!(one_left(), "they never met");
    assert_eq!([&one, &other].map(SumCell::total::<u64>), recorded);
}
