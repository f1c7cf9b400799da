//! The same random work in this SDK and in the official one gives the same points: exact for
//! integers, counts, buckets, smallest and largest, and within 1e-9 for float sums.

mod points;
mod views;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{
    BoundCounter, BoundHistogram, BoundUpDownCounter, Counter, Gauge, Histogram, Meter,
    MeterProvider as _, UpDownCounter,
};
use opentelemetry_sdk::metrics::{Instrument, ManualReader, SdkMeterProvider, Stream, Temporality};
use points::{Points, assert_same};
use proptest::prelude::*;

/// How many programs of a kind are run: as many as `PROPTEST_CASES` says, and never fewer than these.
fn cases() -> u32 {
    ProptestConfig::default().cases.max(512)
}

/// One measurement: which instrument, with which attributes, what.
#[derive(Clone, Debug)]
struct Measurement {
    instrument: usize,
    bound: bool,
    attributes: Vec<KeyValue>,
    integer: u32,
    float: f64,
}

const INSTRUMENTS: usize = 9;

/// Every synchronous instrument of every number type, with the handles bound so far.
struct Instruments {
    u64_counter: Counter<u64>,
    f64_counter: Counter<f64>,
    i64_up_down: UpDownCounter<i64>,
    f64_up_down: UpDownCounter<f64>,
    u64_gauge: Gauge<u64>,
    i64_gauge: Gauge<i64>,
    f64_gauge: Gauge<f64>,
    u64_histogram: Histogram<u64>,
    f64_histogram: Histogram<f64>,
}

impl Instruments {
    fn new(meter: &Meter, bounds: &[f64]) -> Self {
        Self {
            u64_counter: meter.u64_counter("u64.counter").build(),
            f64_counter: meter.f64_counter("f64.counter").build(),
            i64_up_down: meter.i64_up_down_counter("i64.up_down").build(),
            f64_up_down: meter.f64_up_down_counter("f64.up_down").build(),
            u64_gauge: meter.u64_gauge("u64.gauge").build(),
            i64_gauge: meter.i64_gauge("i64.gauge").build(),
            f64_gauge: meter.f64_gauge("f64.gauge").build(),
            u64_histogram: meter.u64_histogram("u64.histogram").build(),
            f64_histogram: meter
                .f64_histogram("f64.histogram")
                .with_boundaries(bounds.to_vec())
                .build(),
        }
    }

    fn apply(&self, measurement: &Measurement) {
        let Measurement {
            instrument,
            bound,
            attributes,
            integer,
            float,
        } = measurement;
        let (natural, signed) = (u64::from(*integer), i64::from(*integer) - 1_000_000);
        // What a bound handle that never recorded exports differs by design: see `tests/series.rs`.
        let bound = *bound && float.is_finite();
        match (instrument % INSTRUMENTS, bound) {
            (0, false) => self.u64_counter.add(natural, attributes),
            (0, true) => {
                let bound: BoundCounter<u64> = self.u64_counter.bind(attributes);
                bound.add(natural);
            }
            (1, false) => self.f64_counter.add(float.abs(), attributes),
            (1, true) => self.f64_counter.bind(attributes).add(float.abs()),
            (2, false) => self.i64_up_down.add(signed, attributes),
            (2, true) => {
                let bound: BoundUpDownCounter<i64> = self.i64_up_down.bind(attributes);
                bound.add(signed);
            }
            (3, false) => self.f64_up_down.add(*float, attributes),
            (3, true) => self.f64_up_down.bind(attributes).add(*float),
            (4, false) => self.u64_gauge.record(natural, attributes),
            (4, true) => self.u64_gauge.bind(attributes).record(natural),
            (5, false) => self.i64_gauge.record(signed, attributes),
            (5, true) => self.i64_gauge.bind(attributes).record(signed),
            (6, false) => self.f64_gauge.record(*float, attributes),
            (6, true) => self.f64_gauge.bind(attributes).record(*float),
            (7, false) => self.u64_histogram.record(natural, attributes),
            (7, true) => {
                let bound: BoundHistogram<u64> = self.u64_histogram.bind(attributes);
                bound.record(natural);
            }
            (_, false) => self.f64_histogram.record(*float, attributes),
            (_, true) => self.f64_histogram.bind(attributes).record(*float),
        }
    }
}

fn value() -> impl Strategy<Value = opentelemetry::Value> {
    prop_oneof![
        "[a-c]{0,2}".prop_map(opentelemetry::Value::from),
        (0..3i64).prop_map(opentelemetry::Value::from),
        any::<bool>().prop_map(opentelemetry::Value::from),
        prop_oneof![Just(0.5), Just(1.0), Just(-0.0)].prop_map(opentelemetry::Value::from),
        prop::collection::vec(0..2i64, 0..2)
            .prop_map(|array| opentelemetry::Value::Array(array.into())),
    ]
}

/// Attributes in any order. Keys are unique: of duplicates the official SDK keeps any one, ours the
/// last (see `tests/series.rs`).
fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let keys = Just(vec!["a", "b", "c.d", "e"]).prop_shuffle();
    (keys, prop::collection::vec(value(), 0..5)).prop_map(|(keys, values)| {
        keys.into_iter()
            .zip(values)
            .map(|(key, value)| KeyValue::new(key, value))
            .collect()
    })
}

fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => -1e6..1e6f64,
        2 => prop_oneof![Just(0.0), Just(5.0), Just(10.0), Just(1e-300), Just(10_000.0)],
        1 => prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY)],
    ]
}

fn measurement() -> impl Strategy<Value = Measurement> {
    (
        0..INSTRUMENTS,
        any::<bool>(),
        attributes(),
        0..2_000_000u32,
        float(),
    )
        .prop_map(
            |(instrument, bound, attributes, integer, float)| Measurement {
                instrument,
                bound,
                attributes,
                integer,
                float,
            },
        )
}

fn official(limit: usize) -> (SdkMeterProvider, points::SharedReader) {
    let reader = points::SharedReader::new(ManualReader::builder().build());
    let view = move |_: &Instrument| Stream::builder().with_cardinality_limit(limit).build().ok();
    let provider = SdkMeterProvider::builder()
        .with_reader(reader.clone())
        .with_view(view)
        .build();
    (provider, reader)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_work_gives_the_same_points(
        work in prop::collection::vec(measurement(), 1..200),
        limit in prop_oneof![1..6usize, Just(2000)],
        bounds in prop::collection::btree_set(-1000..1000i32, 0..40),
        collections in 1..4usize,
    ) {
        let bounds: Vec<f64> = bounds.into_iter().map(f64::from).collect();
        let ours = meterline_sdk::MeterProvider::builder().with_cardinality_limit(limit).build();
        let (official, reader) = official(limit);
        let our_instruments = Instruments::new(&ours.meter("test"), &bounds);
        let official_instruments = Instruments::new(&official.meter("test"), &bounds);
        for part in work.chunks(work.len().div_ceil(collections)) {
            for measurement in part {
                our_instruments.apply(measurement);
                official_instruments.apply(measurement);
            }
            assert_same(&Points::of(&ours.collect()), &Points::collected(&reader));
        }
    }

    /// Ours subtract, theirs begin anew: so that sums are exact either way, floats are whole numbers.
    #[test]
    fn random_work_gives_the_same_deltas(
        work in prop::collection::vec(measurement(), 1..200),
        bounds in prop::collection::btree_set(-1000..1000i32, 0..40),
        collections in 2..6usize,
    ) {
        let bounds: Vec<f64> = bounds.into_iter().map(f64::from).collect();
        let ours = meterline_sdk::MeterProvider::default();
        let mut options = meterline_sdk::ReaderOptions::default();
        options.temporality = meterline_sdk::TemporalityPreference::Delta;
        let our_reader = ours.reader(options);
        let reader = ManualReader::builder().with_temporality(Temporality::Delta).build();
        let reader = points::SharedReader::new(reader);
        let official = SdkMeterProvider::builder().with_reader(reader.clone()).build();
        let our_instruments = Instruments::new(&ours.meter("test"), &bounds);
        let official_instruments = Instruments::new(&official.meter("test"), &bounds);
        // Every reader of ours sees every gauge; theirs forgets those that were not set.
        let comparable = |name: &str, _: &str| !name.ends_with("gauge");
        for part in work.chunks(work.len().div_ceil(collections)) {
            for measurement in part {
                let measurement = Measurement { float: measurement.float.round(), ..measurement.clone() };
                our_instruments.apply(&measurement);
                official_instruments.apply(&measurement);
            }
            let ours = Points::of(&our_reader.collect()).only(comparable).recorded();
            assert_same(&ours, &Points::collected(&reader).only(comparable).recorded());
        }
    }

    /// A limit of ours is the reader's, and of theirs the view's. A reader gives places away when it
    /// collects, the official SDK when something is recorded: ours collects after each measurement.
    #[test]
    fn random_work_beyond_the_limit_of_a_reader_gives_the_same_points(
        work in prop::collection::vec(measurement(), 1..80),
        limit in 1..6usize,
    ) {
        let ours = meterline_sdk::MeterProvider::default();
        let mut options = meterline_sdk::ReaderOptions::default();
        options.cardinality_limit = Some(limit);
        let our_reader = ours.reader(options);
        let (official, reader) = official(limit);
        let our_instruments = Instruments::new(&ours.meter("test"), &[1.0, 10.0]);
        let official_instruments = Instruments::new(&official.meter("test"), &[1.0, 10.0]);
        // Of gauges ours shows the last one in order, theirs the one that was recorded last.
        let comparable = |name: &str, attributes: &str| {
            !(name.ends_with("gauge") && attributes.contains("otel.metric.overflow"))
        };
        for measurement in work {
            // Sums of whole numbers are exact in any order.
            let measurement = Measurement { float: measurement.float.round(), ..measurement };
            our_instruments.apply(&measurement);
            official_instruments.apply(&measurement);
            let ours = Points::of(&our_reader.collect()).only(comparable);
            assert_same(&ours, &Points::collected(&reader).only(comparable));
        }
    }

    #[test]
    fn random_observations_give_the_same_points(
        rounds in prop::collection::vec(
            prop::collection::vec((attributes(), 0..1000u32, float()), 0..12),
            1..4,
        ),
        limit in prop_oneof![1..6usize, Just(2000)],
    ) {
        let ours = meterline_sdk::MeterProvider::builder().with_cardinality_limit(limit).build();
        let (official, reader) = official(limit);
        let said = points::Said::default();
        said.observed_by(&ours.meter("test"));
        said.observed_by(&official.meter("test"));
        for round in rounds {
            said.set(round);
            // What overflows we add up, and a place lasts for one collection; the official SDK keeps
            // the last, and for gauges the places.
            let comparable = |name: &str, attributes: &str| {
                !attributes.contains("otel.metric.overflow")
                    && (limit > 5 || !name.ends_with("gauge"))
            };
            let ours = Points::of(&ours.collect()).only(comparable);
            assert_same(&ours, &Points::collected(&reader).only(comparable));
        }
    }
}
