//! What came since a reader's last collection: the cumulative points less those it saw before.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use super::{exponential, merge};
use crate::recorded::Ended;
use crate::series::{Series, SeriesList};
use crate::snapshot::{
    Data, Exemplars, ExponentialHistograms, Histograms, InstrumentKind, Metric, Temporality,
};
use crate::{Attributes, Number};

/// Where a point is among those of now, and where it was among those seen before, if it was.
type Pair = (usize, Option<usize>);

/// The points there are to report.
pub(super) struct Points {
    now: Metric,
    /// Positions of those whose series have ended, in order: nothing of them comes later.
    ended: Vec<usize>,
    /// Whether a series that came back waits for the next collection.
    pub(super) waits: bool,
}

/// The delta from `last` to these points, and what to remember for the next one.
pub(super) fn subtract(
    points: Points,
    last: Option<&Metric>,
    since: SystemTime,
) -> (Metric, Metric) {
    let Points { mut now, ended, .. } = points;
    let pairs = pair(&now.series, last.map_or(&[], |last| &last.series));
    // Who observes says what there is; otherwise only what was recorded into is of interest.
    let observed = now.descriptor.kind == InstrumentKind::ObservableCounter;
    let (data, kept) = match last.filter(|last| is_same_shape(&last.data, &now.data)) {
        Some(last) => difference(&mut now.data, &last.data, &pairs, &ended, observed),
        // Nothing was seen before: all of it came since.
        None => (now.data.clone(), (0..now.series.len()).collect()),
    };
    let series = if kept.len() == now.series.len() {
        Arc::clone(&now.series)
    } else {
        kept.iter().map(|at| Arc::clone(&now.series[*at])).collect()
    };
    let delta = Metric {
        scope: Arc::clone(&now.scope),
        descriptor: Arc::clone(&now.descriptor),
        exemplars: recent(&now.exemplars, &kept, since),
        series,
        data,
        temporality: Temporality::Delta { since },
    };
    now.exemplars = Exemplars::default();
    (delta, now)
}

/// Adds what series held at their end, where this is not what they held in `last` already. If such a
/// series has come back, its new self waits for the next collection: two points with the same
/// attributes would contradict each other.
pub(super) fn with_ended<'a>(
    mut now: Metric,
    ended: impl Iterator<Item = &'a Ended>,
    last: Option<&Metric>,
) -> Points {
    let was_reported = |ended: &Ended| {
        last.is_some_and(|last| {
            position(&last.series, &ended.series)
                .is_some_and(|at| last.data.point(at) == ended.data)
        })
    };
    let ended = joined(ended.filter(|ended| !was_reported(ended)));
    if ended.is_empty() {
        return Points {
            now,
            ended: Vec::new(),
            waits: false,
        };
    }
    let attributes: BTreeSet<&Attributes> = ended
        .iter()
        .map(|(series, _)| series.attributes())
        .collect();
    let has_ended = |series: &Series| attributes.contains(series.attributes());
    let living = now.series.iter().enumerate();
    let living = living.filter(|(_, series)| !has_ended(series));
    let mut all: Vec<(&Arc<Series>, Data, bool)> = living
        .map(|(at, series)| (series, now.data.point(at), false))
        .chain(
            ended
                .iter()
                .map(|(series, data)| (series, data.clone(), true)),
        )
        .collect();
    all.sort_by(|a, b| a.0.attributes().cmp(b.0.attributes()));
    let waits = all.len() < now.series.len() + ended.len();
    let mut data = now.data.empty();
    all.iter().for_each(|(_, point, _)| data.extend(point));
    let positions = all.iter().enumerate();
    let ended = positions
        .filter(|(_, (.., ended))| *ended)
        .map(|(at, _)| at);
    let ended = ended.collect();
    now.series = all
        .into_iter()
        .map(|(series, ..)| Arc::clone(series))
        .collect();
    now.data = data;
    // They are of the points as they were.
    now.exemplars = Exemplars::default();
    Points { now, ended, waits }
}

/// What ended, as one point where a series ended, came back and ended again.
fn joined<'a>(ended: impl Iterator<Item = &'a Ended>) -> Vec<(Arc<Series>, Data)> {
    let mut joined: Vec<(Arc<Series>, Data)> = Vec::new();
    let mut known: BTreeMap<&Attributes, usize> = BTreeMap::new();
    for ended in ended {
        match known.entry(ended.series.attributes()) {
            Entry::Occupied(at) => merge::add(&mut joined[*at.get()].1, &ended.data, 0),
            Entry::Vacant(new) => {
                new.insert(joined.len());
                joined.push((Arc::clone(&ended.series), ended.data.clone()));
            }
        }
    }
    joined
}

/// Where a series is in a list that is in order of attributes.
fn position(list: &[Arc<Series>], wanted: &Arc<Series>) -> Option<usize> {
    let attributes = wanted.attributes();
    let from = list.partition_point(|series| series.attributes() < attributes);
    let mut same = list[from..].iter();
    let offset =
        same.position(|series| Arc::ptr_eq(series, wanted) || series.attributes() > attributes)?;
    let at = from + offset;
    Arc::ptr_eq(&list[at], wanted).then_some(at)
}

/// Finds each series of `now` among those of `last`. Both are sorted, and a series that ended and
/// came back is another one.
fn pair(now: &SeriesList, last: &[Arc<Series>]) -> Vec<Pair> {
    let mut before = last.iter().enumerate().peekable();
    let find = |(at, series): (usize, &Arc<Series>)| {
        let attributes = series.attributes();
        while before
            .next_if(|(_, b)| !Arc::ptr_eq(b, series) && b.attributes() < attributes)
            .is_some()
        {}
        let same = before.next_if(|(_, b)| Arc::ptr_eq(b, series));
        (at, same.map(|(then, _)| then))
    };
    now.iter().enumerate().map(find).collect()
}

fn is_same_shape(a: &Data, b: &Data) -> bool {
    match (a, b) {
        (Data::Histogram(a), Data::Histogram(b)) => a.bounds() == b.bounds(),
        (Data::Both(a, _), Data::Both(b, _)) => a.bounds() == b.bounds(),
        (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
    }
}

/// The difference, and the positions of the points it has.
fn difference(
    now: &mut Data,
    last: &Data,
    pairs: &[Pair],
    ended: &[usize],
    observed: bool,
) -> (Data, Vec<usize>) {
    match (now, last) {
        (Data::Sum { monotonic, values }, Data::Sum { values: last, .. }) => {
            let (values, kept) = sums(values, last, pairs, observed);
            let monotonic = *monotonic;
            (Data::Sum { monotonic, values }, kept)
        }
        (Data::Histogram(now), Data::Histogram(last)) => {
            let (histograms, kept) = histograms(now, last, pairs, ended);
            (Data::Histogram(histograms), kept)
        }
        (Data::ExponentialHistogram(now), Data::ExponentialHistogram(last)) => {
            let kept = changed(now, last, pairs);
            let difference = exponentials(now, last, &kept);
            let kept = kept.into_iter().map(|(at, _)| at).collect();
            (Data::ExponentialHistogram(difference), kept)
        }
        (Data::Both(now, exponential), Data::Both(last, last_exponential)) => {
            let (histograms, kept) = histograms(now, last, pairs, ended);
            let kept_pairs: Vec<Pair> = kept.iter().map(|at| pairs[*at]).collect();
            let difference = exponentials(exponential, last_exponential, &kept_pairs);
            (Data::Both(histograms, difference), kept)
        }
        (now, _) => (now.clone(), pairs.iter().map(|(at, _)| *at).collect()),
    }
}

fn sums(
    now: &[Number],
    last: &[Number],
    pairs: &[Pair],
    observed: bool,
) -> (Vec<Number>, Vec<usize>) {
    // What is told as less than before has begun anew, as when it is of another process now, or no
    // longer of all there was beyond a limit.
    let began_anew = |at: usize, then: usize| observed && now[at].is_below(last[then]);
    let difference = |&(at, then): &Pair| {
        let Some(then) = then.filter(|then| !began_anew(at, *then)) else {
            return Some((now[at], at));
        };
        let changed = observed || now[at] != last[then];
        changed.then(|| (now[at].minus(last[then]), at))
    };
    pairs.iter().filter_map(difference).unzip()
}

/// Changes `now` where a recording is half seen, so that the rest of it is not missed next time.
fn histograms(
    now: &mut Histograms,
    last: &Histograms,
    pairs: &[Pair],
    ended: &[usize],
) -> (Histograms, Vec<usize>) {
    let before: Vec<_> = last.iter().collect();
    let mut difference = Histograms::new(Arc::clone(now.bounds()));
    let (mut kept, mut under_way) = (Vec::new(), Vec::new());
    for (point, &(at, then)) in now.iter().zip(pairs) {
        let Some(then) = then.map(|then| before[then]) else {
            difference.push(point.counts.iter().copied(), point.sum, point.min_max);
            kept.push(at);
            continue;
        };
        let is_last = ended.binary_search(&at).is_ok();
        if point.counts == then.counts && !is_last {
            // The sum may be ahead of the counts: it is reported when they are. Of a series that has
            // ended it is reported now; the count it belongs to begins the next series.
            under_way.push((at, then.sum));
            continue;
        }
        let counts = point.counts.iter().zip(then.counts);
        let counts = counts.map(|(now, then)| now.saturating_sub(*then));
        // Extremes are of all time. Only those of a first delta are its own.
        let min_max = point.min_max.filter(|_| then.count() == 0);
        difference.push(counts, point.sum.minus(then.sum), min_max);
        kept.push(at);
    }
    for (at, sum) in under_way {
        now.set_sum(at, sum);
    }
    (difference, kept)
}

fn changed(now: &ExponentialHistograms, last: &ExponentialHistograms, pairs: &[Pair]) -> Vec<Pair> {
    let before: Vec<u64> = last.iter().map(|point| point.count()).collect();
    let points = now.iter().zip(pairs);
    points
        .filter(|(point, (_, then))| then.is_none_or(|then| point.count() != before[then]))
        .map(|(_, pair)| *pair)
        .collect()
}

fn exponentials(
    now: &ExponentialHistograms,
    last: &ExponentialHistograms,
    pairs: &[Pair],
) -> ExponentialHistograms {
    let (after, before): (Vec<_>, Vec<_>) = (now.iter().collect(), last.iter().collect());
    let mut difference = ExponentialHistograms::default();
    for &(at, then) in pairs {
        match then {
            None => difference.push(after[at]),
            Some(then) => exponential::push_difference(&mut difference, after[at], before[then]),
        }
    }
    difference
}

/// The exemplars of the kept points that are newer than the last collection.
fn recent(exemplars: &Exemplars, kept: &[usize], since: SystemTime) -> Exemplars {
    let mut recent = Exemplars::default();
    if exemplars.is_empty() {
        return recent;
    }
    for (point, at) in kept.iter().enumerate() {
        for exemplar in exemplars.of(*at).filter(|exemplar| exemplar.time > since) {
            recent.push(point, exemplar.clone());
        }
    }
    recent
}
