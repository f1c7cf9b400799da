//! The exemplars of an instrument's series.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

use opentelemetry::KeyValue;

use super::read::Listed;
use super::{Entry, Recorded};
use crate::cell::bucket_of;
use crate::exemplar::{self, Admitted, Capacity, Custom, Measurement, Reservoir, Sampled};
use crate::instrument::Aggregation;
use crate::number::Measure;
use crate::snapshot::{Exemplar, Exemplars};

/// An exponential histogram has no more exemplars than this, nor than buckets.
const MOST: usize = 20;

impl Recorded {
    /// Offers a measurement that was recorded into an entry with the attributes given, if the filter
    /// admits it.
    #[inline(never)]
    pub(super) fn offer<M: Measure>(&self, entry: &Arc<Entry>, value: M, given: &[KeyValue]) {
        let Some(Admitted(span)) = self.exemplar_filter.admits() else {
            return;
        };
        let reservoir = entry.exemplars.get_or_init(|| {
            self.has_exemplars.store(true, Relaxed);
            Box::new(match self.plan.reservoir {
                Some(_) => Reservoir::Custom(Custom::default()),
                None => Reservoir::Sampled(Sampled::new()),
            })
        });
        let sampled = match (&**reservoir, &self.plan.reservoir) {
            (Reservoir::Sampled(sampled), _) => sampled,
            (Reservoir::Custom(custom), make) => {
                let value = M::KIND.number(value.bits());
                let measurement = Measurement::new(value, given, &entry.attributes, span);
                if let Some(make) = make {
                    custom.offer(entry.start(), make, &measurement);
                }
                return;
            }
        };
        let (capacity, bounds) = match &self.instrument().aggregation {
            Aggregation::Histogram { bounds } | Aggregation::Both { bounds, .. } => {
                (Capacity::PerBucket, &**bounds)
            }
            Aggregation::Exponential(options) => {
                (Capacity::Fixed(options.max_size.min(MOST)), &[][..])
            }
            Aggregation::Sum { .. } | Aggregation::LastValue => (Capacity::Fixed(1), &[][..]),
        };
        let bucket = || bucket_of(bounds, value.as_f64());
        let exemplar = || Exemplar {
            value: M::KIND.number(value.bits()),
            time: SystemTime::now(),
            span,
            filtered_attributes: exemplar::left_out(given, &entry.attributes),
        };
        sampled.offer(entry.start(), capacity, bucket, exemplar);
    }

    /// Those of all series, which are in the order of their points.
    pub(super) fn exemplars(&self, listed: &[Listed]) -> Exemplars {
        let mut exemplars = Exemplars::default();
        if !self.has_exemplars.load(Relaxed) {
            return exemplars;
        }
        for (point, listed) in listed.iter().enumerate() {
            if let Some(reservoir) = listed.entry.exemplars.get() {
                let start = listed.start();
                reservoir.collect(start, |exemplar| exemplars.push(point, exemplar));
            }
        }
        exemplars
    }
}
