use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::cell::lines::{Line, Order, Owned, Place, Places};
use crate::sync::atomic::Ordering::Relaxed;

/// What is read of so many series at these places.
fn read(places: &Places, of: &[&Owned]) -> Vec<Option<u64>> {
    let mut totals = vec![None; of.len()];
    let order = Order::of(of.iter().map(|owned| owned.place()));
    places.lines().read(&order, |series, total| {
        if let Some(place) = totals.get_mut(series) {
            *place = total;
        }
    });
    totals
}

#[test]
fn a_line_is_a_cache_line() {
    assert_eq!(size_of::<Line>(), 64);
}

#[test]
fn a_total_that_is_not_all_there_is_says_so() {
    let mut places = Places::default();
    let (one, other) = (places.take(), places.take());
    one.word().store(7, Relaxed);
    other.word().store(8, Relaxed);
    one.mark_striped();
    assert_eq!(read(&places, &[&one, &other]), [None, Some(8)]);
    places.give_back(&one);
    let again = places.take();
    assert_eq!(again.place(), one.place());
    assert_eq!(
        read(&places, &[&other, &again]),
        [Some(8), Some(7)],
        "as if new"
    );
}

proptest! {
    /// Whatever is taken and given back, nobody shares a place, all read what is theirs, and a
    /// chunk that nobody uses is freed.
    #[test]
    fn each_has_a_place_of_its_own(steps in proptest::collection::vec((any::<u16>(), 0..9u64), 1..400)) {
        let mut places = Places::default();
        let mut held: BTreeMap<Place, (Owned, u64)> = BTreeMap::new();
        for (at, (which, many)) in steps.into_iter().enumerate() {
            if many == 0 && !held.is_empty() {
                let place = *held.keys().nth(usize::from(which) % held.len()).expect("one");
                let (owned, _) = held.remove(&place).expect("it is held");
                owned.word().store(0, Relaxed);
                places.give_back(&owned);
            }
            for value in 0..many {
                let value = at as u64 * 10 + value;
                let owned = places.take();
                prop_assert_eq!(owned.word().swap(value, Relaxed), 0);
                prop_assert!(held.insert(owned.place(), (owned, value)).is_none());
            }
            let owned: Vec<&Owned> = held.values().rev().map(|(owned, _)| owned).collect();
            let values = held.values().rev().map(|(_, value)| Some(*value));
            prop_assert_eq!(read(&places, &owned), values.collect::<Vec<_>>());
        }
        for (owned, _) in held.values() {
            owned.word().store(0, Relaxed);
            places.give_back(owned);
        }
        prop_assert!(places.lines().0.iter().all(|chunk| chunk.is_empty()));
    }
}
