//! Random work on instruments of every kind.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter, UpDownCounter};
use proptest::prelude::*;

use super::id;

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Record {
        id: u8,
        amount: u8,
    },
    /// From now on these are observed, and their totals have grown by this.
    Observe {
        ids: BTreeSet<u8>,
        amount: u8,
    },
    Remove {
        id: u8,
    },
    Collect,
}

/// What stands for no attributes, and for those of the overflow series.
const BARE: u8 = 0;
const OVERFLOW: u8 = 12;

pub(crate) const LEAST_REMEMBERED: usize = 6;

pub(crate) fn step() -> impl Strategy<Value = Step> {
    // No more than any provider remembers: what overflows there may go down.
    let observed = prop::collection::btree_set(0..OVERFLOW, 0..=LEAST_REMEMBERED);
    prop_oneof![
        8 => (0..OVERFLOW, 1..9u8).prop_map(|(id, amount)| Step::Record { id, amount }),
        1 => (observed, 0..9u8).prop_map(|(ids, amount)| Step::Observe { ids, amount }),
        1 => (0..=OVERFLOW).prop_map(|id| Step::Remove { id }),
        3 => Just(Step::Collect),
    ]
}

pub(crate) fn attributes(of: u8) -> Vec<KeyValue> {
    match of {
        BARE => Vec::new(),
        OVERFLOW => vec![KeyValue::new("otel.metric.overflow", true)],
        other => id(other).to_vec(),
    }
}

pub(crate) struct Instruments {
    counter: Counter<f64>,
    histogram: Histogram<u64>,
    exponential: Histogram<f64>,
    level: UpDownCounter<i64>,
    gauge: Gauge<u64>,
    said: Arc<Mutex<BTreeMap<u8, u64>>>,
    /// Of each that may be observed.
    totals: [u64; OVERFLOW as usize],
}

impl Instruments {
    pub(crate) fn new(meter: &Meter) -> Self {
        let said = Arc::<Mutex<BTreeMap<u8, u64>>>::default();
        let said_now = {
            let said = Arc::clone(&said);
            move || said.lock().expect("nobody panics").clone()
        };
        let (counter, level, gauge) = (said_now.clone(), said_now.clone(), said_now);
        let of = attributes;
        meter
            .u64_observable_counter("observed.counter")
            .with_callback(move |to| {
                for (id, total) in counter() {
                    to.observe(total, &of(id));
                }
            })
            .build();
        meter
            .i64_observable_up_down_counter("observed.level")
            .with_callback(move |to| {
                for (id, total) in level() {
                    to.observe(total.cast_signed(), &of(id));
                }
            })
            .build();
        meter
            .u64_observable_gauge("observed.gauge")
            .with_callback(move |to| {
                for (id, total) in gauge() {
                    to.observe(total, &of(id));
                }
            })
            .build();
        Self {
            counter: meter.f64_counter("counter").build(),
            histogram: meter.u64_histogram("histogram").build(),
            exponential: meter.f64_histogram("exponential").build(),
            level: meter.i64_up_down_counter("level").build(),
            gauge: meter.u64_gauge("gauge").build(),
            said,
            totals: [0; OVERFLOW as usize],
        }
    }

    pub(crate) fn record(&self, key: u8, amount: u8) {
        let of = &attributes(key)[..];
        // Quarters, and powers of two, so that sums are exact in any order.
        self.counter.add(f64::from(amount) * 0.25, of);
        self.histogram.record(amount.into(), of);
        let near = f64::from(amount) * f64::from(1 << (key % 5 * 2));
        self.exponential.record(near, of);
        self.level.add(i64::from(amount) - 4, of);
        self.gauge.record(amount.into(), of);
    }

    pub(crate) fn observe(&mut self, ids: &BTreeSet<u8>, amount: u8) {
        let mut said = self.said.lock().expect("nobody panics");
        said.clear();
        for id in ids {
            let total = &mut self.totals[usize::from(*id)];
            *total += u64::from(amount + id);
            said.insert(*id, *total);
        }
    }
}
