//! Random work, seen by readers with limits and by readers without.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use meterline_sdk::{
    ExponentialOptions, MeterProvider, Reader, ReaderOptions, Snapshot, TemporalityPreference,
    View, ViewAggregation,
};
use opentelemetry::metrics::MeterProvider as _;
use proptest::prelude::*;

use super::limited;
use super::model::{Amount, Key, Points, points};
use super::work::{Instruments, LEAST_REMEMBERED, Step, attributes, step};

/// What becomes of a total when one of its parts is no more.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ends {
    /// It stays in it: what was recorded, and only grows.
    Kept,
    /// It is taken out: what may go down, or is observed.
    Lost,
    /// There is no total.
    Last,
}

/// Every instrument, and whether it only grows.
const INSTRUMENTS: [(&str, Ends, bool); 8] = [
    ("counter", Ends::Kept, true),
    ("histogram", Ends::Kept, true),
    ("exponential", Ends::Kept, true),
    ("level", Ends::Lost, false),
    ("gauge", Ends::Last, false),
    ("observed.counter", Ends::Lost, true),
    ("observed.level", Ends::Lost, false),
    ("observed.gauge", Ends::Last, false),
];

/// A reader of cumulative values with a limit, and what it showed.
struct Limited {
    reader: Reader,
    limit: usize,
    seen: BTreeMap<&'static str, Shown>,
}

/// What was there of an instrument, and what of it was shown.
#[derive(Default)]
struct Shown {
    all: Points,
    own: BTreeSet<Key>,
    /// What ended of those added up, once any was.
    remainder: Option<Amount>,
    overflow: Option<(SystemTime, Amount)>,
    is_there: bool,
}

/// What series held just before they were removed.
type Finals = BTreeMap<(&'static str, Key, SystemTime), Amount>;

impl Limited {
    fn check(&mut self, all: &Snapshot, finals: &Finals) {
        let snapshot = self.reader.collect();
        for (name, ends, only_grows) in INSTRUMENTS {
            let shown = self.seen.entry(name).or_default();
            let (all, some) = (points(all, name), points(&snapshot, name));
            let own: BTreeSet<Key> = some
                .keys()
                .copied()
                .filter(|k| *k != Key::Overflow)
                .collect();
            for key in &own {
                assert_eq!(some[key], all[key], "{name} {key:?} is as it is");
            }
            shown.check_places(name, &all, &own, self.limit);
            shown.keep(name, ends, &all, finals);
            let parts: Vec<&Amount> = all
                .iter()
                .filter(|(key, _)| !own.contains(key))
                .map(|(_, (_, amount))| amount)
                .chain(&shown.remainder)
                .collect();
            let overflow = some.get(&Key::Overflow);
            assert_eq!(overflow.is_some(), !parts.is_empty(), "{name}: {parts:?}");
            if let Some((_, overflow)) = overflow {
                match ends {
                    Ends::Last => assert_eq!(Some(&overflow), parts.last(), "{name}"),
                    _ => overflow.assert_holds(&Amount::total(parts), name),
                }
            }
            shown.check_start(name, overflow, only_grows);
            let is_folded = |key: &Key| *key != Key::Overflow && !own.contains(key);
            if ends == Ends::Kept && all.keys().any(is_folded) {
                shown.remainder.get_or_insert_default();
            }
            (shown.all, shown.own) = (all, own);
        }
    }
}

impl Shown {
    /// Who had a place has it, who had none has none, and new ones have as many as are free.
    fn check_places(&self, name: &str, all: &Points, own: &BTreeSet<Key>, limit: usize) {
        let placed = |keys: &BTreeSet<Key>| -> BTreeSet<Key> {
            keys.iter()
                .copied()
                .filter(|key| *key != Key::Bare)
                .collect()
        };
        assert!(placed(own).len() <= limit, "{name}: {own:?}");
        let held = placed(&self.own.union(own).copied().collect());
        assert!(held.len() <= limit, "{name}: {held:?}");
        let mut is_full = false;
        for key in all.keys().filter(|key| **key != Key::Overflow) {
            let has_place = own.contains(key);
            if *key == Key::Bare {
                assert!(has_place, "{name}");
            } else if self.all.contains_key(key) {
                assert_eq!(has_place, self.own.contains(key), "{name} {key:?}");
            } else {
                assert!(!(has_place && is_full), "{name}: {key:?} is not the first");
                is_full |= !has_place;
            }
        }
        assert!(
            !is_full || held.len() == limit,
            "{name}: {held:?} of {limit}"
        );
    }

    /// Adds what ended of those that were added up, if that stays in the total.
    fn keep(&mut self, name: &'static str, ends: Ends, all: &Points, finals: &Finals) {
        let Some(remainder) = self.remainder.as_mut().filter(|_| ends == Ends::Kept) else {
            return;
        };
        for (key, (start, amount)) in &self.all {
            let is_there = all.get(key).is_some_and(|(now, _)| now == start);
            if !is_there && !self.own.contains(key) {
                let held = finals.get(&(name, *key, *start)).unwrap_or(amount);
                *remainder = std::mem::take(remainder).plus(held);
            }
        }
    }

    fn check_start(&mut self, name: &str, now: Option<&(SystemTime, Amount)>, only_grows: bool) {
        let was_there = std::mem::replace(&mut self.is_there, now.is_some());
        let Some(now) = now else { return };
        let Some(before) = self.overflow.replace(now.clone()) else {
            return;
        };
        let what = format!("{name}: {now:?} after {before:?}");
        assert!(now.0 >= before.0, "{what}");
        let may_follow = !only_grows || now.1.is_no_less_than(&before.1);
        let goes_on = was_there && may_follow;
        assert!(goes_on || now.0 > before.0, "{what}");
    }
}

/// Deltas with a limit and without come to the same, and only those without a place differ.
fn check_deltas(all: &Snapshot, some: &Snapshot, limit: usize) {
    for (name, ends, _) in INSTRUMENTS {
        let (all, some) = (points(all, name), points(some, name));
        let amounts = |points: &Points| -> Vec<Amount> {
            points.values().map(|(_, amount)| amount.clone()).collect()
        };
        if ends != Ends::Last {
            let (all, some) = (
                Amount::total(&amounts(&all)),
                Amount::total(&amounts(&some)),
            );
            some.assert_holds(&all, name);
        }
        let own = some.keys().filter(|key| **key != Key::Overflow);
        let placed = own.clone().filter(|key| **key != Key::Bare);
        assert!(placed.count() <= limit, "{name}: {some:?}");
        own.for_each(|key| assert_eq!(some[key], all[key], "{name}"));
    }
}

fn provider(limit: usize, expire: bool) -> MeterProvider {
    let options = ExponentialOptions {
        max_size: 12,
        ..ExponentialOptions::default()
    };
    let view = View::builder("exponential").aggregation(ViewAggregation::Exponential(options));
    MeterProvider::builder()
        .with_cardinality_limit(limit)
        .with_series_ttl(expire.then_some(Duration::ZERO))
        .with_view(view.build().expect("a view"))
        .build()
}

fn run(work: Vec<Step>, provider: &MeterProvider, limit: usize, delta_limit: usize) {
    let mut options = ReaderOptions::default();
    let all = provider.reader(options);
    options.temporality = TemporalityPreference::Delta;
    let all_deltas = provider.reader(options);
    let mut cumulative = Limited {
        reader: limited(provider, limit, TemporalityPreference::Cumulative),
        limit,
        seen: BTreeMap::new(),
    };
    let deltas = limited(provider, delta_limit, TemporalityPreference::Delta);
    let mut instruments = Instruments::new(&provider.meter("test"));
    let mut finals = Finals::new();
    for step in work.into_iter().chain([Step::Collect, Step::Collect]) {
        match step {
            Step::Record { id, amount } => instruments.record(id, amount),
            Step::Observe { ids, amount } => instruments.observe(&ids, amount),
            Step::Remove { id } => {
                let now = provider.collect();
                for (name, ..) in INSTRUMENTS {
                    for (key, (start, amount)) in points(&now, name) {
                        finals.insert((name, key, start), amount);
                    }
                    provider.remove("test", name, &attributes(id));
                }
            }
            Step::Collect => {
                cumulative.check(&all.collect(), &finals);
                check_deltas(&all_deltas.collect(), &deltas.collect(), delta_limit);
                finals.clear();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_limited_reader_sees_is_what_others_see_added_up(
        work in prop::collection::vec(step(), 1..150),
        limit in 0..6usize,
        delta_limit in 0..6usize,
        remembered in prop_oneof![LEAST_REMEMBERED..10, Just(2000)],
        expire in any::<bool>(),
    ) {
        run(work, &provider(remembered, expire), limit, delta_limit);
    }
}
