//! Fewer series for one reader than there are: those beyond its limit are added up for it.
//!
//! Which series are shown does not change while they last. One that has a place keeps it, and one that
//! has none gets none later on, as its past is in the overflow series already. Of those that come in one
//! collection the first in order get the places that are free.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::merge;
use crate::Attributes;
use crate::recorded::Ended;
use crate::series::{Series, SeriesList};
use crate::snapshot::{Data, InstrumentKind, Metric};
use overflow::Overflow;

mod overflow;

/// Where the series of an instrument are for a reader.
pub(super) struct Places {
    /// All there were at its last collection.
    series: SeriesList,
    /// Which of them, by position, are added up.
    folded: Vec<bool>,
    /// Their values then, if some are added up and may end.
    data: Option<Data>,
    /// One point at most: what those held that have ended.
    remainder: Data,
    overflow: Option<Overflow>,
}

/// A list of series, and which of them are added up.
pub(super) type Known = (SeriesList, Vec<bool>);

/// Whether a series with these attributes is added up, if there is one.
fn place_of(series: &Series, list: &[Arc<Series>], folded: &[bool]) -> Option<bool> {
    let of = |known: &Arc<Series>| known.attributes().cmp(series.attributes());
    list.binary_search_by(of).ok().map(|at| folded[at])
}

/// Whether a series takes none of the places: the one without attributes, and the store's overflow.
fn is_exempt(series: &Series) -> bool {
    series.attributes().is_empty() || is_overflow(series)
}

fn is_overflow(series: &Series) -> bool {
    series.attributes() == Attributes::overflow()
}

impl Places {
    /// As of this collection, of which there are so many.
    pub(super) fn now(metric: &Metric, before: Option<Self>, most: usize) -> Self {
        let Some(mut places) = before else {
            return Self {
                folded: assign(&metric.series, &[], &[], most),
                series: Arc::clone(&metric.series),
                data: None,
                remainder: metric.data.empty(),
                overflow: None,
            };
        };
        if !Arc::ptr_eq(&places.series, &metric.series) {
            places.folded = assign(&metric.series, &places.series, &places.folded, most);
            places.series = Arc::clone(&metric.series);
        }
        places
    }

    /// What the reader sees of cumulative points, if it collected before at `since`.
    pub(super) fn cumulative(
        metric: Metric,
        ended: &[Ended],
        before: Option<Self>,
        most: usize,
        since: SystemTime,
    ) -> (Metric, Self) {
        let gone = before
            .as_ref()
            .and_then(|before| before.gone(&metric, ended));
        let mut places = Self::now(&metric, before, most);
        if let Some(gone) = gone {
            merge::add(&mut places.remainder, &gone, 0);
        }
        let folds = places.folded.contains(&true) || !places.remainder.is_empty();
        if !folds && places.overflow.is_none() {
            places.data = None;
            return (metric, places);
        }
        let keeps = keeps_what_ended(&metric);
        places.data = keeps.then(|| metric.data.clone());
        let folded = places.folded.clone();
        let (mut sum, start) = add_up(&metric, &folded, places.remainder.clone());
        if sum.is_empty() {
            // If there is one again, it is another one.
            places.overflow = None;
            return (metric, places);
        }
        let overflow = places.overflow.get_or_insert_with(|| Overflow::new(start));
        overflow.follow(&mut sum, keeps, since);
        let metric = overflow.show(metric, &folded, &sum);
        (metric, places)
    }

    /// What the reader sees of deltas, some of which are of series that are no more, but were there
    /// before.
    pub(super) fn delta(&mut self, before: Option<&Known>, delta: Metric) -> Metric {
        let folded = |series: &Arc<Series>| {
            let place = place_of(series, &self.series, &self.folded);
            let before = || before.and_then(|(list, folded)| place_of(series, list, folded));
            place.or_else(before).unwrap_or(!is_exempt(series))
        };
        let folded: Vec<bool> = delta.series.iter().map(folded).collect();
        if !folded.contains(&true) {
            return delta;
        }
        let none = delta.data.empty();
        let (sum, start) = add_up(&delta, &folded, none);
        let overflow = self.overflow.get_or_insert_with(|| Overflow::new(start));
        overflow.show(delta, &folded, &sum)
    }

    /// All series, and which of them are added up.
    pub(super) fn known(&self) -> Known {
        (Arc::clone(&self.series), self.folded.clone())
    }

    /// What those held at their end that were added up and are no more, if that stays in the total.
    fn gone(&self, now: &Metric, ended: &[Ended]) -> Option<Data> {
        let data = self.data.as_ref()?;
        if Arc::ptr_eq(&self.series, &now.series) {
            return None;
        }
        let by_address = ended
            .iter()
            .map(|one| (Arc::as_ptr(&one.series), &one.data));
        let at_end: HashMap<*const Series, &Data> = by_address.collect();
        let mut gone = data.empty();
        for (at, series) in self.series.iter().enumerate() {
            let of = |known: &Arc<Series>| known.attributes().cmp(series.attributes());
            let found = now.series.binary_search_by(of);
            let is_there = found.is_ok_and(|at| Arc::ptr_eq(&now.series[at], series));
            if is_there || !(self.folded[at] || is_overflow(series)) {
                continue;
            }
            match at_end.get(&Arc::as_ptr(series)) {
                Some(ended) => merge::add(&mut gone, ended, 0),
                // It expired, which it does with what all readers have seen.
                None => merge::add(&mut gone, data, at),
            }
        }
        (!gone.is_empty()).then_some(gone)
    }
}

/// What those hold that are added up, beside what is there already, and when the first of them began.
fn add_up(metric: &Metric, folded: &[bool], mut sum: Data) -> (Data, Option<u64>) {
    let mut start = None;
    for (at, series) in metric.series.iter().enumerate() {
        if folded[at] || is_overflow(series) {
            merge::add(&mut sum, &metric.data, at);
            start = start.into_iter().chain([series.start_nanos()]).min();
        }
    }
    (sum, start)
}

/// Whether what was recorded stays in a total when its series ends. What callbacks say is a total
/// already, and what may go down counts what is there.
fn keeps_what_ended(metric: &Metric) -> bool {
    let observed = matches!(
        metric.descriptor.kind,
        InstrumentKind::ObservableCounter
            | InstrumentKind::ObservableUpDownCounter
            | InstrumentKind::ObservableGauge
    );
    let counts = match &metric.data {
        Data::Sum { monotonic, .. } => *monotonic,
        Data::Gauge(_) => false,
        _ => true,
    };
    counts && !observed
}

/// Which of `now` are added up. Both lists are in order of attributes; those that are no more hold
/// their places until the next collection, in case they come back.
fn assign(now: &[Arc<Series>], before: &[Arc<Series>], folded: &[bool], most: usize) -> Vec<bool> {
    let placed = before.iter().zip(folded);
    let placed = placed.filter(|(series, folded)| !**folded && !is_exempt(series));
    let mut free = most.saturating_sub(placed.count());
    let mut before = before.iter().zip(folded).peekable();
    let mut is_folded = |series: &Arc<Series>| {
        let of = |known: &Series| known.attributes().cmp(series.attributes());
        while before
            .next_if(|(known, _)| of(known) == Ordering::Less)
            .is_some()
        {}
        if let Some((_, folded)) = before.next_if(|(known, _)| of(known) == Ordering::Equal) {
            return *folded;
        }
        if is_exempt(series) {
            return false;
        }
        let has_place = free > 0;
        free = free.saturating_sub(1);
        !has_place
    };
    now.iter().map(&mut is_folded).collect()
}
