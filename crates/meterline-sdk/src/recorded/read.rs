//! All series of an instrument, in order, with their values.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::lifetime::{Ended, Occasion};
use super::{Entry, Recorded};
use crate::cell::{Cell, ExponentialCell, Lines, Order, Taken, TakenHistogram, fingerprint};
use crate::instrument::Aggregation;
use crate::number::{Measure, NumberKind};
use crate::series::{Series, SeriesList};
use crate::snapshot::{Data, Exemplars, ExponentialHistograms, Histograms};
use crate::{Attributes, Number};

/// A list with room for this many series is never made smaller.
const SMALL: usize = 64;

/// How many removed series are remembered for readers that do not collect.
const MOST_ENDED: usize = 10_000;

/// The series of an instrument with their values, and those that were removed.
pub(crate) struct Reading {
    pub(crate) series: SeriesList,
    pub(crate) data: Data,
    pub(crate) exemplars: Exemplars,
    pub(crate) ended: Vec<Ended>,
}

/// The series as of the last collection. Held while reading, and while one is removed.
#[derive(Default)]
pub(super) struct Listing {
    /// In the order of their attributes.
    pub(super) listed: Vec<Listed>,
    /// Which of them the totals in the instrument's lines are of, if they are sums.
    order: Order,
    /// Whether all of them record in exponential buckets too, because a reader wants those.
    pub(super) second: bool,
    /// The same series for snapshots.
    series: SeriesList,
    /// Those removed that not all readers have heard of, the latest last.
    ended: VecDeque<Ended>,
    removals: u64,
}

/// An entry that is awake, and the series it is.
pub(super) struct Listed {
    pub(super) entry: Arc<Entry>,
    series: Arc<Series>,
    /// When it was last seen that something had been recorded, and what the cell held then. Kept
    /// only where series expire.
    pub(super) active: Duration,
    pub(super) fingerprint: u64,
}

impl Listed {
    fn new(entry: Arc<Entry>) -> Self {
        let series = Series::of(entry.attributes.clone(), entry.start());
        Self {
            entry,
            series: Arc::new(series),
            active: Duration::MAX,
            fingerprint: 0,
        }
    }

    /// When the series began, in nanoseconds since the Unix epoch.
    pub(super) fn start(&self) -> u64 {
        self.series.start_nanos()
    }

    /// Whether the entry is still this series.
    fn is_current(&self) -> bool {
        !self.entry.is_dormant() && self.entry.start() == self.series.start_nanos()
    }
}

impl Listing {
    /// Keeps what a series held when it was removed, for readers of deltas.
    pub(super) fn remember_end(
        &mut self,
        attributes: &Attributes,
        start: u64,
        at: Duration,
        data: Data,
    ) {
        let of = |listed: &Listed| listed.entry.attributes.cmp(attributes);
        let listed = self.listed.binary_search_by(of).ok();
        let listed = listed.map(|at| &self.listed[at].series);
        let series = match listed.filter(|series| series.start_nanos() == start) {
            Some(series) => Arc::clone(series),
            None => Arc::new(Series::of(attributes.clone(), start)),
        };
        self.removals += 1;
        if self.ended.len() == MOST_ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back(Ended {
            number: self.removals,
            at,
            series,
            data,
        });
    }

    /// Puts in what woke, and takes out what ended.
    fn update(&mut self, woken: Vec<Arc<Entry>>) {
        self.listed.retain(Listed::is_current);
        let len = self.listed.len();
        if self.listed.capacity() > SMALL.max(4 * len) {
            self.listed.shrink_to(2 * len);
        }
        // One that woke while the last update looked at it was listed then.
        let is_listed = |entry: &Arc<Entry>| {
            let of = |listed: &Listed| listed.entry.attributes.cmp(&entry.attributes);
            self.listed.binary_search_by(of).is_ok()
        };
        let mut new: Vec<_> = woken
            .into_iter()
            .filter(|entry| !entry.is_dormant() && !is_listed(entry))
            .collect();
        new.sort_by(|a, b| a.attributes.cmp(&b.attributes));
        // One may have woken twice.
        new.dedup_by(|a, b| Arc::ptr_eq(a, b));
        self.listed.extend(new.into_iter().map(Listed::new));
        // Stable sorts take runs that are in order as they are: this costs what is new.
        self.listed
            .sort_by(|a, b| a.entry.attributes.cmp(&b.entry.attributes));
        let series = self.listed.iter().map(|listed| Arc::clone(&listed.series));
        self.series = series.collect();
        let place = |listed: &Listed| match &listed.entry.cell {
            Cell::Sum(sum) => Some(sum.place()),
            _ => None,
        };
        self.order = Order::of(self.listed.iter().filter_map(place));
    }
}

impl Recorded {
    /// All series in order, with their values.
    pub(crate) fn collect(&self, occasion: Occasion) -> Reading {
        match self.instrument().number {
            NumberKind::U64 => self.collect_of::<u64>(occasion),
            NumberKind::I64 => self.collect_of::<i64>(occasion),
            NumberKind::F64 => self.collect_of::<f64>(occasion),
        }
    }

    fn collect_of<M: Measure>(&self, occasion: Occasion) -> Reading {
        let mut listing = self.listing.lock();
        self.expire::<M>(&listing, occasion);
        self.look_after_dormant::<M>();
        let (woken, ended) = {
            let mut changes = self.changes.lock();
            let woken = std::mem::take(&mut changes.woken);
            (woken, std::mem::take(&mut changes.ended))
        };
        if ended || !woken.is_empty() {
            listing.update(woken);
        }
        listing
            .ended
            .retain(|ended| ended.at > occasion.heard_by_all);
        let listing = &mut *listing;
        if occasion.ttl.is_some() {
            for listed in &mut listing.listed {
                if listed.entry.quieten() || listed.active == Duration::MAX {
                    listed.active = occasion.now;
                }
            }
        }
        let data = self.read::<M>(listing);
        if occasion.ttl.is_some() {
            for (listed, fingerprint) in listing.listed.iter_mut().zip(fingerprints(&data)) {
                if listed.active == occasion.now {
                    listed.fingerprint = fingerprint;
                }
            }
        }
        Reading {
            series: Arc::clone(&listing.series),
            data,
            exemplars: self.exemplars(&listing.listed),
            ended: listing.ended.iter().cloned().collect(),
        }
    }

    fn read<M: Measure>(&self, listing: &Listing) -> Data {
        let listed = &listing.listed;
        match &self.instrument().aggregation {
            Aggregation::Sum { monotonic } => Data::Sum {
                monotonic: *monotonic,
                values: totals::<M>(listing, &self.places.lock().lines()),
            },
            Aggregation::LastValue => Data::Gauge(listed.iter().map(last::<M>).collect()),
            Aggregation::Histogram { bounds } if !listing.second => {
                Data::Histogram(explicit::<M>(bounds, listed))
            }
            Aggregation::Exponential(_) => Data::ExponentialHistogram(exponential::<M>(listed)),
            Aggregation::Histogram { bounds } | Aggregation::Both { bounds, .. } => {
                Data::Both(explicit::<M>(bounds, listed), exponential::<M>(listed))
            }
        }
    }

    /// What was taken out of a cell, as a point.
    pub(super) fn point<M: Measure>(&self, cell: &Cell, taken: &Taken) -> Data {
        let number = |bits| M::KIND.number(bits);
        let explicit = |taken: &TakenHistogram| {
            let mut point = Histograms::new(self.instrument().aggregation.bounds());
            let recorded = taken.counts.iter().any(|count| *count > 0);
            let min_max = recorded.then(|| (number(taken.min), number(taken.max)));
            point.push(taken.counts.iter().copied(), number(taken.sum), min_max);
            point
        };
        let exponential = |cell: &ExponentialCell, taken| {
            let mut point = ExponentialHistograms::default();
            cell.push_taken::<M>(taken, &mut point);
            point
        };
        match (cell, taken) {
            (Cell::Exponential(cell), Taken::Exponential(taken)) => {
                Data::ExponentialHistogram(exponential(cell, taken))
            }
            (
                Cell::Histogram {
                    exponential: cell, ..
                },
                Taken::Histogram(taken, more),
            ) => match (cell.get(), more) {
                (Some(cell), Some(more)) => Data::Both(explicit(taken), exponential(cell, more)),
                _ => Data::Histogram(explicit(taken)),
            },
            (_, Taken::Sum(total)) => Data::Sum {
                monotonic: self.instrument().aggregation == (Aggregation::Sum { monotonic: true }),
                values: vec![number(*total)],
            },
            (_, Taken::LastValue(bits)) => Data::Gauge(vec![number(*bits)]),
            // A cell gives what it is.
            _ => Data::Gauge(Vec::new()),
        }
    }
}

/// Those of the cells that were read.
fn fingerprints(data: &Data) -> Vec<u64> {
    match data {
        Data::Sum { values, .. } | Data::Gauge(values) => {
            values.iter().map(|value| value.bits()).collect()
        }
        Data::Histogram(histograms) | Data::Both(histograms, _) => {
            let of = histograms.iter();
            of.map(|point| fingerprint(point.count(), point.sum.bits()))
                .collect()
        }
        Data::ExponentialHistogram(histograms) => {
            let of = histograms.iter();
            of.map(|point| fingerprint(point.count(), point.sum.bits()))
                .collect()
        }
    }
}

/// Touches only the lines, unless a total has grown stripes: a look at each entry would cost several
/// times as much.
fn totals<M: Measure>(listing: &Listing, lines: &Lines) -> Vec<Number> {
    let mut totals = vec![M::KIND.number(M::ZERO.bits()); listing.listed.len()];
    lines.read(&listing.order, |series, whole| {
        if let Some(total) = totals.get_mut(series) {
            *total = M::KIND.number(whole.unwrap_or_else(|| striped::<M>(listing, series)));
        }
    });
    totals
}

#[cold]
#[inline(never)]
fn striped<M: Measure>(listing: &Listing, series: usize) -> u64 {
    match &listing.listed[series].entry.cell {
        Cell::Sum(sum) => sum.total::<M>(),
        _ => M::ZERO.bits(),
    }
}

fn last<M: Measure>(listed: &Listed) -> Number {
    M::KIND.number(match &listed.entry.cell {
        Cell::LastValue(last) => last.load(Relaxed),
        _ => M::ZERO.bits(),
    })
}

fn explicit<M: Measure>(bounds: &Arc<[f64]>, listed: &[Listed]) -> Histograms {
    let buckets = bounds.len() + 1;
    let mut counts = vec![0; listed.len() * buckets];
    let cells = listed.iter().map(|listed| &listed.entry.cell);
    let totals = cells
        .zip(counts.chunks_exact_mut(buckets))
        .filter_map(|(cell, counts)| {
            let Cell::Histogram { explicit: cell, .. } = cell else {
                return None;
            };
            let (sum, min, max) = cell.read::<M>(counts);
            // Not known if nothing was recorded; nor if only a zero was, just when a series ended.
            let recorded = min <= max && counts.iter().any(|count| *count > 0);
            let number = |value: M| M::KIND.number(value.bits());
            Some((number(sum), recorded.then(|| (number(min), number(max)))))
        });
    let totals = totals.collect();
    Histograms::from_parts(Arc::clone(bounds), counts, totals)
}

fn exponential<M: Measure>(listed: &[Listed]) -> ExponentialHistograms {
    let mut points = ExponentialHistograms::default();
    for listed in listed {
        match &listed.entry.cell {
            Cell::Exponential(cell) => cell.read::<M>(&mut points),
            Cell::Histogram { exponential, .. } => {
                if let Some(cell) = exponential.get() {
                    cell.read::<M>(&mut points);
                }
            }
            Cell::Sum(_) | Cell::LastValue(_) => {}
        }
    }
    points
}
