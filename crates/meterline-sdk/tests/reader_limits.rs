//! Readers that see fewer series than there are: the others are added up for them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use meterline_sdk::{
    Attributes, Data, HistogramPreference, InstrumentKind, MeterProvider, Metric, Number, Reader,
    ReaderOptions, Snapshot, TemporalityPreference, View,
};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, MeterProvider as _, UpDownCounter};
use proptest::prelude::*;

const OVERFLOW: &str = "overflow";

fn limited(provider: &MeterProvider, limit: usize, temporality: TemporalityPreference) -> Reader {
    let mut options = ReaderOptions::default();
    options.cardinality_limit = Some(limit);
    options.temporality = temporality;
    provider.reader(options)
}

fn id(id: u8) -> [KeyValue; 1] {
    [KeyValue::new("id", i64::from(id))]
}

fn metric<'a>(snapshot: &'a Snapshot, name: &str) -> Option<&'a Metric> {
    snapshot
        .metrics
        .iter()
        .find(|metric| metric.descriptor.name == name)
}

/// A series by its id; the overflow series and that without attributes by their names.
fn named(attributes: &Attributes) -> String {
    match attributes.first() {
        None => "bare".to_owned(),
        Some(first) if first.key.as_str() == "otel.metric.overflow" => OVERFLOW.to_owned(),
        Some(first) => first.value.to_string(),
    }
}

/// What a point counts: of a histogram its values.
fn amounts(data: &Data) -> Vec<i64> {
    let whole = |number: &Number| number.as_f64() as i64;
    match data {
        Data::Sum { values, .. } | Data::Gauge(values) => values.iter().map(whole).collect(),
        Data::Histogram(histograms) => histograms
            .iter()
            .map(|point| point.count().cast_signed())
            .collect(),
        Data::ExponentialHistogram(histograms) => histograms
            .iter()
            .map(|point| point.count().cast_signed())
            .collect(),
        other => panic!("{other:?}"),
    }
}

fn shown(snapshot: &Snapshot, name: &str) -> BTreeMap<String, i64> {
    let Some(metric) = metric(snapshot, name) else {
        return BTreeMap::new();
    };
    assert_eq!(metric.series.len(), metric.data.len());
    assert!(
        metric
            .series
            .is_sorted_by(|a, b| a.attributes() < b.attributes())
    );
    let names = metric
        .series
        .iter()
        .map(|series| named(series.attributes()));
    names.zip(amounts(&metric.data)).collect()
}

fn expected(pairs: &[(&str, i64)]) -> BTreeMap<String, i64> {
    pairs
        .iter()
        .map(|(name, amount)| ((*name).to_owned(), *amount))
        .collect()
}

#[test]
fn a_reader_without_a_limit_sees_all_and_another_as_many_as_it_asked_for() {
    let provider = MeterProvider::default();
    let all = provider.reader(ReaderOptions::default());
    let two = limited(&provider, 2, TemporalityPreference::Cumulative);
    let counter = provider.meter("test").u64_counter("c").build();
    counter.add(100, &[]);
    (1..=2).for_each(|n| counter.add(n.into(), &id(n)));
    assert_eq!(
        shown(&two.collect(), "c"),
        expected(&[("bare", 100), ("1", 1), ("2", 2)])
    );
    (1..=5).for_each(|n| counter.add(n.into(), &id(n)));
    assert_eq!(
        shown(&two.collect(), "c"),
        expected(&[("bare", 100), ("1", 2), ("2", 4), (OVERFLOW, 12)])
    );
    assert_eq!(shown(&all.collect(), "c").len(), 6);
}

#[test]
fn a_place_is_kept_and_given_away_only_after_its_series_ended() {
    let provider = MeterProvider::default();
    let reader = limited(&provider, 1, TemporalityPreference::Cumulative);
    let counter = provider.meter("test").u64_counter("c").build();
    counter.add(5, &id(5));
    let _ = reader.collect();
    // In front of it, in order.
    counter.add(1, &id(1));
    assert_eq!(
        shown(&reader.collect(), "c"),
        expected(&[("5", 5), (OVERFLOW, 1)])
    );
    assert!(provider.remove("test", "c", &id(5)));
    counter.add(2, &id(2));
    assert_eq!(
        shown(&reader.collect(), "c"),
        expected(&[(OVERFLOW, 3)]),
        "it might come back"
    );
    counter.add(3, &id(3));
    assert_eq!(
        shown(&reader.collect(), "c"),
        expected(&[("3", 3), (OVERFLOW, 3)])
    );
}

#[test]
fn what_ended_beyond_the_limit_stays_in_the_total() {
    let provider = MeterProvider::builder()
        .with_series_ttl(Some(Duration::ZERO))
        .build();
    let reader = limited(&provider, 1, TemporalityPreference::Cumulative);
    let meter = provider.meter("test");
    let (counter, gauge) = (meter.u64_counter("c").build(), meter.u64_gauge("g").build());
    for n in 1..=3 {
        counter.add(n.into(), &id(n));
        gauge.record(n.into(), &id(n));
    }
    let first = reader.collect();
    assert_eq!(shown(&first, "c"), expected(&[("1", 1), (OVERFLOW, 5)]));
    assert_eq!(
        shown(&first, "g"),
        expected(&[("1", 1), (OVERFLOW, 3)]),
        "the last in order"
    );
    // What was recorded before a removal counts, whatever was seen of it.
    counter.add(10, &id(2));
    assert!(provider.remove("test", "c", &id(2)));
    let mut last = BTreeMap::new();
    for _ in 0..4 {
        last = shown(&reader.collect(), "c");
        assert_eq!(last[OVERFLOW], 15);
    }
    assert_eq!(last.len(), 1, "all expired: {last:?}");
    counter.add(4, &id(3));
    assert_eq!(
        shown(&reader.collect(), "c"),
        expected(&[("3", 4), (OVERFLOW, 15)])
    );
    assert_eq!(shown(&reader.collect(), "g"), expected(&[]));
}

#[test]
fn the_list_of_series_is_shared_until_one_comes_and_its_overflow_began_first() {
    let provider = MeterProvider::default();
    let reader = limited(&provider, 1, TemporalityPreference::Cumulative);
    let counter = provider.meter("test").u64_counter("c").build();
    (1..=3).for_each(|n| counter.add(1, &id(n)));
    let all = provider.collect();
    let second = metric(&all, "c").map(|metric| metric.series[1].start());
    let (one, two) = (reader.collect(), reader.collect());
    let [one, two] = [&one, &two].map(|snapshot| metric(snapshot, "c").expect("it has series"));
    assert!(std::sync::Arc::ptr_eq(&one.series, &two.series));
    let overflow = one
        .series
        .iter()
        .find(|series| named(series.attributes()) == OVERFLOW);
    assert_eq!(overflow.map(|series| series.start()), second);
}

#[test]
fn histograms_of_any_kind_and_observations_are_added_up() {
    for histograms in [
        HistogramPreference::Explicit,
        HistogramPreference::Exponential,
    ] {
        let provider = MeterProvider::default();
        let mut options = ReaderOptions::default();
        options.cardinality_limit = Some(1);
        options.histograms = histograms;
        let reader = provider.reader(options);
        let meter = provider.meter("test");
        let histogram = meter.f64_histogram("h").build();
        for (n, value) in [(1, 7.0), (2, 0.001), (3, 90_000.0), (3, -5.0)] {
            histogram.record(value, &id(n));
        }
        let _observed = meter
            .u64_observable_counter("o")
            .with_callback(|observer| (1..=4).for_each(|n| observer.observe(n.into(), &id(n))))
            .build();
        let snapshot = reader.collect();
        assert_eq!(shown(&snapshot, "h"), expected(&[("1", 1), (OVERFLOW, 3)]));
        assert_eq!(shown(&snapshot, "o"), expected(&[("1", 1), (OVERFLOW, 9)]));
        let found = metric(&snapshot, "h").expect("it has series");
        let at = found
            .series
            .iter()
            .position(|s| named(s.attributes()) == OVERFLOW);
        let (sum, min_max) = match (&found.data, at) {
            (Data::Histogram(points), Some(at)) => {
                points.iter().nth(at).map(|p| (p.sum, p.min_max))
            }
            (Data::ExponentialHistogram(points), Some(at)) => {
                points.iter().nth(at).map(|p| (p.sum, p.min_max))
            }
            other => panic!("{other:?}"),
        }
        .expect("it is there");
        assert_eq!(sum, Number::F64(0.001 + 90_000.0 - 5.0));
        assert_eq!(min_max, Some((Number::F64(-5.0), Number::F64(90_000.0))));
    }
}

#[test]
fn a_limit_that_a_view_sets_counts_for_all_readers() {
    let view = View::builder("c")
        .cardinality_limit(3)
        .build()
        .expect("a view");
    let provider = MeterProvider::builder().with_view(view).build();
    let reader = limited(&provider, 1, TemporalityPreference::Cumulative);
    let counter = provider.meter("test").u64_counter("c").build();
    (1..=5).for_each(|n| counter.add(1, &id(n)));
    assert_eq!(shown(&reader.collect(), "c").len(), 4);
}

#[test]
fn the_overflow_of_the_provider_is_in_that_of_the_reader_also_when_it_ends() {
    let provider = MeterProvider::builder().with_cardinality_limit(2).build();
    let reader = limited(&provider, 1, TemporalityPreference::Cumulative);
    let counter = provider.meter("test").u64_counter("c").build();
    (1..=4).for_each(|n| counter.add(n.into(), &id(n)));
    assert_eq!(
        shown(&reader.collect(), "c"),
        expected(&[("1", 1), (OVERFLOW, 9)])
    );
    let overflow = [KeyValue::new("otel.metric.overflow", true)];
    assert!(provider.remove("test", "c", &overflow));
    for _ in 0..2 {
        assert_eq!(
            shown(&reader.collect(), "c"),
            expected(&[("1", 1), (OVERFLOW, 9)])
        );
    }
}

/// A step of random work on two instruments.
#[derive(Clone, Debug)]
enum Step {
    Record { id: u8, amount: u8 },
    Remove { id: u8 },
    Collect,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..9u8, 1..9u8).prop_map(|(id, amount)| Step::Record { id, amount }),
        1 => (0..9u8).prop_map(|id| Step::Remove { id }),
        2 => Just(Step::Collect),
    ]
}

struct Instruments {
    counter: Counter<f64>,
    level: UpDownCounter<i64>,
    histogram: Histogram<u64>,
}

impl Instruments {
    const NAMES: [&str; 3] = ["c", "l", "h"];

    fn new(provider: &MeterProvider) -> Self {
        let meter = provider.meter("test");
        Self {
            counter: meter.f64_counter("c").build(),
            level: meter.i64_up_down_counter("l").build(),
            histogram: meter.u64_histogram("h").build(),
        }
    }

    fn record(&self, key: u8, amount: u8) {
        self.counter.add(amount.into(), &id(key));
        self.level.add(amount.into(), &id(key));
        (0..amount).for_each(|value| self.histogram.record(value.into(), &id(key)));
    }
}

/// What a limited reader of cumulative values should make of random work.
#[derive(Default)]
struct Model {
    live: BTreeMap<u8, i64>,
    /// Those that were there at the last collection, and those that it showed.
    seen: BTreeSet<u8>,
    shown: BTreeSet<String>,
    /// What ended of those that were there and not shown.
    remainder: i64,
    overflow: BTreeMap<&'static str, (SystemTime, i64)>,
}

impl Model {
    fn remove(&mut self, id: u8) {
        let held = self.live.remove(&id);
        if self.seen.remove(&id) && !self.shown.remove(&id.to_string()) {
            self.remainder += held.unwrap_or(0);
        }
    }

    fn check(&mut self, snapshot: &Snapshot, limit: usize) {
        let total: i64 = self.live.values().sum();
        for name in Instruments::NAMES {
            let points = shown(snapshot, name);
            let own = points.keys().filter(|name| *name != OVERFLOW).cloned();
            let own: BTreeSet<String> = own.collect();
            assert!(own.len() <= limit, "{points:?}");
            assert!(
                own.is_superset(&self.shown),
                "{own:?} after {:?}",
                self.shown
            );
            let Some(metric) = metric(snapshot, name) else {
                assert_eq!(total, 0);
                continue;
            };
            let goes_down = metric.descriptor.kind == InstrumentKind::UpDownCounter;
            let remainder = if goes_down { 0 } else { self.remainder };
            assert_eq!(
                points.values().sum::<i64>(),
                total + remainder,
                "{name}: {points:?}"
            );
            for id in &own {
                assert_eq!(
                    points[id],
                    self.live[&id.parse::<u8>().expect("an id")],
                    "{name} {id}"
                );
            }
            let at = metric
                .series
                .iter()
                .position(|s| named(s.attributes()) == OVERFLOW);
            if let (Some(at), false) = (at, goes_down) {
                let now = (metric.series[at].start(), points[OVERFLOW]);
                let before = self.overflow.insert(name, now).unwrap_or(now);
                assert!(
                    before.0 == now.0 && before.1 <= now.1,
                    "{name}: {before:?}, then {now:?}"
                );
            }
            if name == "h" {
                self.shown = own;
            }
        }
        self.seen = self.live.keys().copied().collect();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_totals_are_right_and_nothing_shown_changes_its_place(
        work in prop::collection::vec(step(), 1..120),
        limit in 0..5usize,
    ) {
        let provider = MeterProvider::default();
        let cumulative = limited(&provider, limit, TemporalityPreference::Cumulative);
        let delta = limited(&provider, limit, TemporalityPreference::Delta);
        let instruments = Instruments::new(&provider);
        let (mut model, mut ever, mut deltas) = (Model::default(), 0, BTreeMap::new());
        let mut collect_deltas = || {
            let snapshot = delta.collect();
            for name in ["c", "h"] {
                let points = shown(&snapshot, name);
                let own = points.keys().filter(|name| *name != OVERFLOW).count();
                assert!(own <= limit, "{points:?}");
                *deltas.entry(name).or_insert(0) += points.values().sum::<i64>();
            }
        };
        for step in work.into_iter().chain([Step::Collect, Step::Collect]) {
            match step {
                Step::Record { id, amount } => {
                    instruments.record(id, amount);
                    *model.live.entry(id).or_insert(0) += i64::from(amount);
                    ever += i64::from(amount);
                }
                Step::Remove { id: key } => {
                    for name in Instruments::NAMES {
                        provider.remove("test", name, &id(key));
                    }
                    model.remove(key);
                }
                Step::Collect => {
                    model.check(&cumulative.collect(), limit);
                    collect_deltas();
                }
            }
        }
        prop_assert!(deltas.values().all(|sum| *sum == ever), "{:?} of {}", deltas, ever);
    }
}
