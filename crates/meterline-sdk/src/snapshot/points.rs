//! Taking data apart into points, and putting it together.

use std::sync::Arc;

use super::{Data, ExponentialHistograms, Histograms};

impl Data {
    /// Data of the same kind without points.
    pub(crate) fn empty(&self) -> Self {
        let empty = |histograms: &Histograms| Histograms::new(Arc::clone(histograms.bounds()));
        match self {
            Self::Sum { monotonic, .. } => Self::Sum {
                monotonic: *monotonic,
                values: Vec::new(),
            },
            Self::Gauge(_) => Self::Gauge(Vec::new()),
            Self::Histogram(histograms) => Self::Histogram(empty(histograms)),
            Self::ExponentialHistogram(_) => {
                Self::ExponentialHistogram(ExponentialHistograms::default())
            }
            Self::Both(histograms, _) => {
                Self::Both(empty(histograms), ExponentialHistograms::default())
            }
        }
    }

    /// The one point at this position.
    pub(crate) fn point(&self, at: usize) -> Self {
        let mut data = self.empty();
        data.push_from(self, at);
        data
    }

    /// Adds the point at this position of data of the same kind.
    pub(crate) fn push_from(&mut self, from: &Self, at: usize) {
        match (self, from) {
            (Self::Sum { values: to, .. }, Self::Sum { values, .. })
            | (Self::Gauge(to), Self::Gauge(values)) => to.push(values[at]),
            (Self::Histogram(to), Self::Histogram(from)) => to.extend(from, at..at + 1),
            (Self::ExponentialHistogram(to), Self::ExponentialHistogram(from)) => {
                to.push(from.point(at));
            }
            (Self::Both(to, more_to), Self::Both(from, more_from)) => {
                to.extend(from, at..at + 1);
                more_to.push(more_from.point(at));
            }
            _ => {}
        }
    }

    /// Adds the points of data of the same kind.
    pub(crate) fn extend(&mut self, other: &Self) {
        match (self, other) {
            (Self::Sum { values: to, .. }, Self::Sum { values, .. })
            | (Self::Gauge(to), Self::Gauge(values)) => to.extend_from_slice(values),
            (Self::Histogram(to), Self::Histogram(from)) => to.extend(from, 0..from.len()),
            (Self::ExponentialHistogram(to), Self::ExponentialHistogram(from)) => {
                from.iter().for_each(|point| to.push(point));
            }
            (Self::Both(to, more_to), Self::Both(from, more_from)) => {
                to.extend(from, 0..from.len());
                more_from.iter().for_each(|point| more_to.push(point));
            }
            _ => {}
        }
    }
}

impl Histograms {
    fn extend(&mut self, from: &Self, points: std::ops::Range<usize>) {
        let buckets = self.bounds.len() + 1;
        let counts = points.start * buckets..points.end * buckets;
        self.counts.extend_from_slice(&from.counts[counts]);
        self.totals.extend_from_slice(&from.totals[points]);
    }
}
