//! What one stripe of an exponential histogram holds.

use std::ops::RangeInclusive;

use super::buckets::Buckets;
use super::{ExponentialOptions, index};
use crate::number::Measure;
use crate::snapshot::{ExponentialBuckets, ExponentialHistograms, ExponentialPoint};

/// The scale is the finest at which all values fit, so it depends on the values alone, and neither
/// on their order nor on who recorded which.
#[derive(Clone, Debug)]
pub(super) struct Distribution {
    scale: i8,
    zeros: u64,
    /// As bits of the instrument's number type.
    sum: u64,
    min: u64,
    max: u64,
    positive: Buckets,
    negative: Buckets,
}

impl Distribution {
    pub(super) fn new<M: Measure>(scale: i8) -> Self {
        Self {
            scale,
            zeros: 0,
            sum: M::ZERO.bits(),
            min: M::HIGHEST.bits(),
            max: M::LOWEST.bits(),
            positive: Buckets::default(),
            negative: Buckets::default(),
        }
    }

    #[inline]
    pub(super) fn record<M: Measure>(&mut self, value: M, options: &ExponentialOptions) {
        self.total(value, value, value);
        let float = value.as_f64();
        let magnitude = float.abs();
        if magnitude <= options.zero_threshold {
            self.zeros += 1;
            return;
        }
        let index = index::of(magnitude, self.scale);
        if !self.side(float < 0.0).count(index) {
            self.count_elsewhere(index, float < 0.0, options.max_size);
        }
    }

    #[inline]
    fn total<M: Measure>(&mut self, sum: M, min: M, max: M) {
        self.sum = M::from_bits(self.sum).plus(sum).bits();
        if min < M::from_bits(self.min) {
            self.min = min.bits();
        }
        if max > M::from_bits(self.max) {
            self.max = max.bits();
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.zeros + self.positive.total() + self.negative.total()
    }

    pub(super) fn sum(&self) -> u64 {
        self.sum
    }

    fn side(&mut self, negative: bool) -> &mut Buckets {
        if negative {
            &mut self.negative
        } else {
            &mut self.positive
        }
    }

    /// Counts one in a bucket that there is no room for yet: makes some, and coarsens everything as
    /// far as it has to.
    #[cold]
    fn count_elsewhere(&mut self, index: i32, negative: bool, max_size: usize) {
        let filled = self.side(negative).range();
        let shift = shift_to_fit(joined(filled, Some(index..=index)), max_size);
        self.coarsen(shift);
        let index = index >> shift;
        let buckets = self.side(negative);
        if !buckets.count(index) {
            buckets.make_room(index..=index, max_size);
            buckets.count(index);
        }
    }

    fn coarsen(&mut self, shift: u32) {
        if shift > 0 {
            self.scale -= shift as i8;
            self.positive.coarsen(shift);
            self.negative.coarsen(shift);
        }
    }

    /// Adds what another one holds.
    pub(super) fn absorb<M: Measure>(&mut self, other: &Self, max_size: usize) {
        self.zeros += other.zeros;
        let number = M::from_bits;
        self.total(number(other.sum), number(other.min), number(other.max));
        // First to the same scale, then as far down as both together need.
        self.coarsen(u32::try_from(self.scale - other.scale).unwrap_or(0));
        let ahead = u32::try_from(other.scale - self.scale).unwrap_or(0);
        let needed = |ours: &Buckets, theirs: &Buckets| {
            let theirs = theirs.range().map(|range| at(&range, ahead));
            shift_to_fit(joined(ours.range(), theirs), max_size)
        };
        let positive = needed(&self.positive, &other.positive);
        let shift = positive.max(needed(&self.negative, &other.negative));
        self.coarsen(shift);
        let sides = [
            (&mut self.positive, &other.positive),
            (&mut self.negative, &other.negative),
        ];
        for (ours, theirs) in sides {
            if let Some(range) = theirs.range() {
                ours.make_room(at(&range, ahead + shift), max_size);
                let (from, counts) = theirs.filled();
                ours.add(from, counts, ahead + shift);
            }
        }
    }

    /// Adds it to a snapshot.
    pub(super) fn push<M: Measure>(
        &self,
        options: &ExponentialOptions,
        into: &mut ExponentialHistograms,
    ) {
        let number = |bits| M::KIND.number(bits);
        let buckets = |(offset, counts)| ExponentialBuckets { offset, counts };
        let (positive, negative) = (self.positive.filled(), self.negative.filled());
        let recorded = self.zeros > 0 || !positive.1.is_empty() || !negative.1.is_empty();
        into.push(ExponentialPoint {
            scale: self.scale,
            zero_count: self.zeros,
            zero_threshold: options.zero_threshold,
            positive: buckets(positive),
            negative: buckets(negative),
            sum: number(self.sum),
            min_max: recorded.then(|| (number(self.min), number(self.max))),
        });
    }
}

/// The range at a scale that is coarser by `shift`.
fn at(range: &RangeInclusive<i32>, shift: u32) -> RangeInclusive<i32> {
    range.start() >> shift..=range.end() >> shift
}

/// The smallest range that has both.
fn joined(
    a: Option<RangeInclusive<i32>>,
    b: Option<RangeInclusive<i32>>,
) -> Option<RangeInclusive<i32>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(*a.start().min(b.start())..=*a.end().max(b.end())),
        (a, b) => a.or(b),
    }
}

/// By how much the scale has to go down for a range to have at most `max_size` buckets. Two are
/// enough at scale -11, whatever the values.
fn shift_to_fit(range: Option<RangeInclusive<i32>>, max_size: usize) -> u32 {
    let Some(range) = range else {
        return 0;
    };
    let (first, last) = (i64::from(*range.start()), i64::from(*range.end()));
    let too_wide = |shift: &u32| ((last >> shift) - (first >> shift)) as usize >= max_size;
    (0..u32::BITS - 1).take_while(too_wide).count() as u32
}
