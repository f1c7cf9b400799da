use crate::cell::limits::HANDOVERS;
use crate::cell::stripe::{CHANGE, Held, THREAD, changed_hands, number, was_read};
use crate::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[test]
fn only_many_changes_of_hands_between_readings_make_a_cell_grow() {
    let turns = AtomicU64::new(0);
    let hand_over = || {
        // As if another thread had been here.
        turns.store(turns.load(Relaxed) & !THREAD, Relaxed);
        changed_hands(&turns)
    };
    assert!((1..HANDOVERS).all(|_| !hand_over()));
    assert!(hand_over());

    was_read(&turns);
    assert!(
        (1..HANDOVERS).all(|_| !hand_over()),
        "a reading begins anew"
    );
    let same = turns.load(Relaxed);
    assert!(!changed_hands(&turns), "the same thread again is no change");
    assert_eq!(turns.load(Relaxed), same);
}

#[test]
fn a_stripe_has_one_holder_and_counts_turns_too() {
    let turns = AtomicU64::new(0);
    {
        let _held = Held::attempt(&turns).expect("it is free");
        assert!(Held::attempt(&turns).is_none());
        was_read(&turns);
        assert!(Held::attempt(&turns).is_none(), "a reading frees nothing");
    }
    assert!(Held::attempt(&turns).is_some_and(|held| !held.should_grow));
    drop(Held::wait(&turns));
    let seen = turns.load(Relaxed);
    assert_eq!(seen & THREAD, number(), "who only waits takes no turn");
    turns.store((HANDOVERS - 1) * CHANGE, Relaxed);
    assert!(Held::attempt(&turns).is_some_and(|held| held.should_grow));
}
