use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use crate::snapshot::Exemplar;

/// How many exemplars a series may have (OpenTelemetry metrics SDK, "ExemplarReservoir").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capacity {
    /// One for each bucket: `AlignedHistogramBucketExemplarReservoir`.
    PerBucket,
    /// So many of all: `SimpleFixedSizeExemplarReservoir`.
    Fixed(usize),
}

/// The exemplars of one series.
///
/// Of the measurements offered between two collections each has the same chance to be kept. What
/// was kept stays until a later one takes its place, so that readers of cumulative values find it
/// scrape after scrape; those of deltas leave out what is older than their last collection.
#[derive(Debug)]
pub(crate) struct Sampled {
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    /// Which of the series that had these attributes the rest is of: when it began.
    series: u64,
    /// By place: the bucket, or just a number.
    exemplars: Vec<Place>,
    /// How many were offered since the last collection, where places are not told apart.
    seen: u64,
    random: u64,
}

#[derive(Debug)]
struct Place {
    at: usize,
    /// How many were offered for it since the last collection.
    seen: u64,
    exemplar: Exemplar,
}

impl Sampled {
    pub(crate) fn new() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let nanos = since_epoch.map_or(0, |time| u64::from(time.subsec_nanos()));
        Self {
            kept: Mutex::new(Kept {
                series: 0,
                exemplars: Vec::new(),
                seen: 0,
                // Never zero, from where it would not move.
                random: (nanos << 1 | 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            }),
        }
    }

    /// Offers a measurement of the series that began then; it is made an exemplar only if it is
    /// kept. Nobody waits: while another thread offers or a reader reads, it is passed over.
    pub(crate) fn offer(
        &self,
        series: u64,
        capacity: Capacity,
        bucket: impl FnOnce() -> usize,
        exemplar: impl FnOnce() -> Exemplar,
    ) {
        let Some(mut kept) = self.kept.try_lock() else {
            return;
        };
        if kept.series != series {
            kept.series = series;
            kept.exemplars.clear();
            kept.seen = 0;
        }
        match capacity {
            Capacity::PerBucket => kept.offer_for(bucket(), exemplar),
            Capacity::Fixed(most) => kept.offer_any(most, exemplar),
        }
    }

    /// Those of the series that began then, by their place. Chances begin anew.
    pub(crate) fn collect(&self, series: u64, mut each: impl FnMut(Exemplar)) {
        let mut kept = self.kept.lock();
        if kept.series != series {
            return;
        }
        kept.seen = 0;
        for place in &mut kept.exemplars {
            place.seen = 0;
            each(place.exemplar.clone());
        }
    }
}

impl Kept {
    fn offer_for(&mut self, bucket: usize, exemplar: impl FnOnce() -> Exemplar) {
        let random = self.random();
        match self
            .exemplars
            .binary_search_by_key(&bucket, |place| place.at)
        {
            Ok(at) => {
                let place = &mut self.exemplars[at];
                place.seen += 1;
                if random.is_multiple_of(place.seen) {
                    place.exemplar = exemplar();
                }
            }
            Err(at) => {
                let exemplar = exemplar();
                let place = Place {
                    at: bucket,
                    seen: 1,
                    exemplar,
                };
                self.exemplars.insert(at, place);
            }
        }
    }

    /// Vitter's algorithm R: the first fill the places, each later one takes one by chance.
    fn offer_any(&mut self, most: usize, exemplar: impl FnOnce() -> Exemplar) {
        let at = match usize::try_from(self.seen) {
            Ok(seen) if seen < most => seen,
            _ => usize::try_from(self.random() % (self.seen + 1)).unwrap_or(usize::MAX),
        };
        self.seen += 1;
        if let Some(place) = self.exemplars.get_mut(at) {
            place.exemplar = exemplar();
        } else if at < most {
            let (at, exemplar) = (self.exemplars.len(), exemplar());
            self.exemplars.push(Place {
                at,
                seen: 0,
                exemplar,
            });
        }
    }

    /// Xorshift, which is random enough to choose examples.
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Number;

    fn offer(reservoir: &Sampled, capacity: Capacity, bucket: usize, value: u64) {
        reservoir.offer(
            7,
            capacity,
            || bucket,
            || Exemplar {
                value: Number::U64(value),
                time: UNIX_EPOCH,
                span: None,
                filtered_attributes: Box::default(),
            },
        );
    }

    fn collect(reservoir: &Sampled, series: u64) -> Vec<u64> {
        let mut values = Vec::new();
        reservoir.collect(series, |exemplar| match exemplar.value {
            Number::U64(value) => values.push(value),
            other => panic!("{other:?}"),
        });
        values
    }

    #[test]
    fn each_bucket_has_one_and_they_come_in_order() {
        let reservoir = Sampled::new();
        for (bucket, value) in [(2, 20), (0, 1), (5, 50)] {
            offer(&reservoir, Capacity::PerBucket, bucket, value);
        }
        assert_eq!(collect(&reservoir, 7), [1, 20, 50]);
        assert_eq!(collect(&reservoir, 7), [1, 20, 50], "they stay");
        offer(&reservoir, Capacity::PerBucket, 2, 21);
        assert_eq!(
            collect(&reservoir, 7),
            [1, 21, 50],
            "the first after a collection is kept"
        );
    }

    #[test]
    fn a_fixed_number_fills_up_and_is_replaced_after_a_collection() {
        let reservoir = Sampled::new();
        let capacity = Capacity::Fixed(3);
        (0..3).for_each(|value| offer(&reservoir, capacity, 0, value));
        assert_eq!(collect(&reservoir, 7), [0, 1, 2]);
        offer(&reservoir, capacity, 0, 10);
        assert_eq!(collect(&reservoir, 7), [10, 1, 2]);
        (0..1000).for_each(|value| offer(&reservoir, capacity, 0, value));
        assert_eq!(collect(&reservoir, 7).len(), 3);
    }

    #[test]
    fn a_series_that_began_anew_has_none_of_those_before() {
        let reservoir = Sampled::new();
        offer(&reservoir, Capacity::Fixed(2), 0, 1);
        assert_eq!(collect(&reservoir, 8), []);
        let exemplar = || Exemplar {
            value: Number::U64(2),
            time: UNIX_EPOCH,
            span: None,
            filtered_attributes: Box::default(),
        };
        reservoir.offer(8, Capacity::Fixed(2), || 0, exemplar);
        assert_eq!(collect(&reservoir, 8), [2]);
    }

    #[test]
    fn each_of_those_offered_has_the_same_chance() {
        const OFFERED: u64 = 10;
        const ROUNDS: u64 = 20_000;
        for capacity in [Capacity::Fixed(2), Capacity::PerBucket] {
            let reservoir = Sampled::new();
            let mut kept = [0u64; OFFERED as usize];
            for _ in 0..ROUNDS {
                (0..OFFERED).for_each(|value| offer(&reservoir, capacity, 0, value));
                for value in collect(&reservoir, 7) {
                    kept[value as usize] += 1;
                }
            }
            let most = if capacity == Capacity::PerBucket {
                1
            } else {
                2
            };
            let fair = ROUNDS * most / OFFERED;
            // Ten standard deviations, and more.
            let near = fair - fair / 4..fair + fair / 4;
            assert!(
                kept.iter().all(|times| near.contains(times)),
                "{kept:?} of {fair}"
            );
        }
    }
}
