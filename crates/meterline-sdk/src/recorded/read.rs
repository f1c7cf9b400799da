//! All series of an instrument, in order, with their values.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::Recorded;
use crate::Number;
use crate::cell::Cell;
use crate::instrument::Aggregation;
use crate::number::{Measure, NumberKind};
use crate::series::{Series, SeriesList};
use crate::snapshot::{Data, ExponentialHistograms, Histograms};

/// The series in order, as of the last collection, and those that came since.
#[derive(Default)]
pub(super) struct Listing {
    sorted: SeriesList,
    pub(super) added: Vec<Arc<Series>>,
}

impl Recorded {
    /// All series in order, with their values.
    pub(crate) fn collect(&self) -> (SeriesList, Data) {
        let series = self.list();
        let data = match self.instrument().number {
            NumberKind::U64 => self.read::<u64>(&series),
            NumberKind::I64 => self.read::<i64>(&series),
            NumberKind::F64 => self.read::<f64>(&series),
        };
        (series, data)
    }

    /// The series in order: the same allocation as last time, unless some were added. Collections
    /// run one at a time, so nobody else lists meanwhile; but recording may add, and must not wait
    /// while this sorts.
    fn list(&self) -> SeriesList {
        let (sorted, mut added) = {
            let mut listing = self.listing.lock();
            (
                Arc::clone(&listing.sorted),
                std::mem::take(&mut listing.added),
            )
        };
        if added.is_empty() {
            return sorted;
        }
        let mut all: Vec<_> = sorted.iter().cloned().collect();
        all.append(&mut added);
        // Stable sorts take runs that are in order as they are: this costs what is new.
        all.sort_by(|a, b| a.attributes().cmp(b.attributes()));
        let sorted: SeriesList = all.into();
        self.listing.lock().sorted = Arc::clone(&sorted);
        sorted
    }

    fn read<M: Measure>(&self, series: &[Arc<Series>]) -> Data {
        match &self.instrument().aggregation {
            Aggregation::Sum { monotonic } => Data::Sum {
                monotonic: *monotonic,
                values: series.iter().map(single::<M>).collect(),
            },
            Aggregation::LastValue => Data::Gauge(series.iter().map(single::<M>).collect()),
            Aggregation::Histogram { bounds } => Data::Histogram(explicit::<M>(bounds, series)),
            Aggregation::Exponential(_) => Data::ExponentialHistogram(exponential::<M>(series)),
            Aggregation::Both { bounds, .. } => {
                Data::Both(explicit::<M>(bounds, series), exponential::<M>(series))
            }
        }
    }

    /// How many series there are, the overflow series included.
    pub(crate) fn series_count(&self) -> usize {
        let listing = self.listing.lock();
        listing.sorted.len() + listing.added.len()
    }
}

fn single<M: Measure>(series: &Arc<Series>) -> Number {
    M::KIND.number(match &series.cell {
        Cell::Sum(sum) => sum.total::<M>(),
        Cell::LastValue(last) => last.load(Relaxed),
        Cell::Histogram { .. } | Cell::Exponential(_) | Cell::Elsewhere => M::ZERO.bits(),
    })
}

fn explicit<M: Measure>(bounds: &Arc<[f64]>, series: &[Arc<Series>]) -> Histograms {
    let buckets = bounds.len() + 1;
    let mut counts = vec![0; series.len() * buckets];
    let cells = series.iter().map(|series| &series.cell);
    let totals = cells
        .zip(counts.chunks_exact_mut(buckets))
        .filter_map(|(cell, counts)| {
            let Cell::Histogram { explicit: cell, .. } = cell else {
                return None;
            };
            let (sum, min, max) = cell.read::<M>(counts);
            let recorded = counts.iter().any(|count| *count > 0);
            let number = |value: M| M::KIND.number(value.bits());
            Some((number(sum), recorded.then(|| (number(min), number(max)))))
        });
    let totals = totals.collect();
    Histograms::from_parts(Arc::clone(bounds), counts, totals)
}

fn exponential<M: Measure>(series: &[Arc<Series>]) -> ExponentialHistograms {
    let mut points = ExponentialHistograms::default();
    for series in series {
        match &series.cell {
            Cell::Exponential(cell) => cell.read::<M>(&mut points),
            Cell::Histogram { exponential, .. } => {
                if let Some(cell) = exponential.get() {
                    cell.read::<M>(&mut points);
                }
            }
            Cell::Sum(_) | Cell::LastValue(_) | Cell::Elsewhere => {}
        }
    }
    points
}
