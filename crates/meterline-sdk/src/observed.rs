//! The series of an observable instrument: what its callbacks said in the latest collection.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::KeyValue;
use parking_lot::Mutex;

use crate::diagnostics::Diagnostics;
use crate::instrument::{Aggregation, Instrument};
use crate::number::Measure;
use crate::recorded::Reading;
use crate::series::{Series, SeriesList, unix_nanos};
use crate::snapshot::{Data, Exemplars};
use crate::view::Plan;
use crate::{Attributes, Number};

/// What the callbacks of one observable instrument say.
///
/// A collection reports the series that were observed in it and no others (OpenTelemetry metrics
/// SDK, "Asynchronous instruments"). One that stays away is forgotten; if it comes back, it counts
/// from the collection before.
pub(crate) struct Observed {
    plan: Plan,
    limit: usize,
    diagnostics: Arc<Diagnostics>,
    state: Mutex<State>,
}

struct State {
    series: BTreeMap<ByAttributes, Observation>,
    /// Whether a series came since `said` was made.
    grown: bool,
    /// How many series have taken a place under the limit in this collection. The one without
    /// attributes and the overflow series take none.
    placed: usize,
    /// When the collection before this one was; at first, when the instrument was created.
    since: SystemTime,
    /// The collection for which callbacks run, and whether one of them is late.
    number: u64,
    late: bool,
    /// What was said in the last collection that asked.
    said: (SeriesList, Data),
}

/// What was said of a series in this collection, if anything yet.
struct Observation(Option<Number>);

impl Observed {
    pub(crate) fn new(plan: Plan, limit: usize, diagnostics: Arc<Diagnostics>) -> Self {
        let state = State {
            series: BTreeMap::new(),
            grown: false,
            placed: 0,
            since: SystemTime::now(),
            number: 0,
            late: false,
            said: (Arc::new([]), data(&plan.instrument, Vec::new())),
        };
        Self {
            limit: plan.cardinality_limit.unwrap_or(limit),
            plan,
            diagnostics,
            state: Mutex::new(state),
        }
    }

    pub(crate) fn instrument(&self) -> &Instrument {
        &self.plan.instrument
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// From now on, what callbacks started for the collection of this number say counts.
    pub(crate) fn begin(&self, number: u64) {
        let mut state = self.state.lock();
        if state.number != number {
            state.number = number;
            state.late = false;
            state.forget();
        }
    }

    /// Has that collection show no series, because a callback is late: part of them would be as
    /// wrong as old ones.
    pub(crate) fn leave_out(&self, number: u64) {
        let mut state = self.state.lock();
        if state.number == number {
            state.late = true;
            state.forget();
        }
    }

    /// Takes one observation of a callback started for the collection of this number. The last one of a series counts; sums beyond the cardinality limit
    /// are added up, so that totals stay right.
    pub(crate) fn observe<M: Measure>(&self, number: u64, value: M, attributes: &[KeyValue]) {
        if !self.diagnostics.accepts(value, self.instrument()) {
            return;
        }
        let given = attributes.len();
        let kept = self.plan.filter.as_ref().map(|f| f.kept(attributes));
        let kept = kept.as_deref().unwrap_or(attributes);
        let attributes = Attributes::new(kept);
        let sums = matches!(self.instrument().aggregation, Aggregation::Sum { .. });
        let mut state = self.state.lock();
        if state.number != number || state.late {
            return;
        }
        let exempt = attributes.is_empty();
        let overflows = attributes == *Attributes::overflow()
            || !(exempt || state.is_placed(&attributes) || state.placed < self.limit);
        if !overflows {
            if !exempt && !state.is_placed(&attributes) {
                state.placed += 1;
            }
            // What a view makes one series of adds up as well.
            state.say(attributes, value, sums && kept.len() < given);
            return;
        }
        state.say(Attributes::overflow().clone(), value, sums);
        drop(state);
        self.diagnostics.overflowed(self.instrument());
    }

    /// Closes the collection that began then and had this number.
    pub(crate) fn finish(&self, number: u64, began: SystemTime) {
        let mut state = self.state.lock();
        if state.number != number {
            return;
        }
        // Nothing more is taken.
        state.number = 0;
        if state.late {
            state.said = (Arc::new([]), data(self.instrument(), Vec::new()));
            return;
        }
        let known = state.said.0.len();
        state
            .series
            .retain(|_, observation| observation.0.is_some());
        if state.grown || state.series.len() != known {
            let series = state.series.keys();
            let listed = series.map(|ByAttributes(series)| Arc::clone(series));
            state.said.0 = listed.collect();
            state.grown = false;
        }
        state.since = began;
        state.placed = 0;
        let values = state.series.values_mut();
        let values = values.filter_map(|observation| observation.0.take());
        state.said.1 = data(self.instrument(), values.collect());
    }

    /// What was observed in the last collection that asked.
    pub(crate) fn collect(&self) -> Reading {
        let state = self.state.lock();
        let (series, data) = &state.said;
        Reading {
            series: Arc::clone(series),
            data: data.clone(),
            exemplars: Exemplars::default(),
            ended: Vec::new(),
        }
    }

    /// How many series there are.
    pub(crate) fn series_count(&self) -> usize {
        self.state.lock().series.len()
    }
}

fn data(instrument: &Instrument, values: Vec<Number>) -> Data {
    match instrument.aggregation {
        Aggregation::Sum { monotonic } => Data::Sum { monotonic, values },
        _ => Data::Gauge(values),
    }
}

impl State {
    /// Forgets what was said, but not the series.
    fn forget(&mut self) {
        self.placed = 0;
        for observation in self.series.values_mut() {
            observation.0 = None;
        }
    }

    /// Whether a series was observed in this collection already.
    fn is_placed(&self, attributes: &Attributes) -> bool {
        self.series
            .get(attributes)
            .is_some_and(|observation| observation.0.is_some())
    }

    /// Takes a value, of a series that may be new: instead of the one said before in this
    /// collection, or added to it.
    fn say<M: Measure>(&mut self, attributes: Attributes, value: M, adds: bool) {
        let before = self.series.get(&attributes);
        let before = before.and_then(|said| said.0).filter(|_| adds);
        let value = before.map_or(value, |before| M::from_number(before).plus(value));
        let said = Observation(Some(M::KIND.number(value.bits())));
        if let Some(observation) = self.series.get_mut(&attributes) {
            *observation = said;
            return;
        }
        let series = Arc::new(Series::of(attributes, unix_nanos(self.since)));
        self.series.insert(ByAttributes(series), said);
        self.grown = true;
    }
}

/// A series as a map's key: it is its attributes.
struct ByAttributes(Arc<Series>);

impl Borrow<Attributes> for ByAttributes {
    fn borrow(&self) -> &Attributes {
        self.0.attributes()
    }
}

impl PartialEq for ByAttributes {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for ByAttributes {}

impl PartialOrd for ByAttributes {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByAttributes {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.attributes().cmp(other.0.attributes())
    }
}
