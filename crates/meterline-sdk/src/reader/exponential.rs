//! Adding and subtracting exponential histograms whose scales may differ.

use crate::Number;
use crate::cell::exponential::ExponentialOptions;
use crate::snapshot::{ExponentialBuckets, ExponentialHistograms, ExponentialPoint};

/// Buckets of one scale: the index of the first one, and the counts from there on.
#[derive(Debug, Default, PartialEq)]
struct Buckets {
    offset: i32,
    counts: Vec<u64>,
}

/// Pushes `now` less `then`, at the scale of the coarser one: merging buckets is exact, while
/// splitting them would be guessing.
pub(super) fn push_difference(
    to: &mut ExponentialHistograms,
    now: ExponentialPoint<'_>,
    then: ExponentialPoint<'_>,
) {
    let scale = now.scale.min(then.scale);
    let at_scale = |buckets, of: i8| Buckets::downscaled(buckets, u32::from(of.abs_diff(scale)));
    let less = |now_buckets, then_buckets| {
        at_scale(now_buckets, now.scale).less(&at_scale(then_buckets, then.scale))
    };
    let positive = less(now.positive, then.positive);
    let negative = less(now.negative, then.negative);
    to.push(ExponentialPoint {
        scale,
        zero_count: now.zero_count.saturating_sub(then.zero_count),
        zero_threshold: now.zero_threshold,
        positive: positive.as_point(),
        negative: negative.as_point(),
        sum: now.sum.minus(then.sum),
        // Extremes are of all time. Only those of a first delta are its own.
        min_max: now.min_max.filter(|_| then.count() == 0),
    });
}

/// Pushes both together, at the finest scale at which they have no more buckets than the one that has
/// more, or than such histograms have by default.
pub(super) fn push_sum(
    to: &mut ExponentialHistograms,
    one: ExponentialPoint<'_>,
    other: ExponentialPoint<'_>,
    min_max: Option<(Number, Number)>,
) {
    let longest = [one.positive, one.negative, other.positive, other.negative]
        .map(|buckets| buckets.counts.len())
        .into_iter()
        .fold(ExponentialOptions::default().max_size, usize::max);
    let mut scale = one.scale.min(other.scale);
    let (positive, negative) = loop {
        let at_scale =
            |buckets, of: i8| Buckets::downscaled(buckets, u32::from(of.abs_diff(scale)));
        let plus =
            |ours, theirs| at_scale(ours, one.scale).plus(&at_scale(theirs, other.scale), longest);
        match (
            plus(one.positive, other.positive),
            plus(one.negative, other.negative),
        ) {
            (Some(positive), Some(negative)) => break (positive, negative),
            _ => scale -= 1,
        }
    };
    to.push(ExponentialPoint {
        scale,
        zero_count: one.zero_count + other.zero_count,
        zero_threshold: one.zero_threshold.max(other.zero_threshold),
        positive: positive.as_point(),
        negative: negative.as_point(),
        sum: one.sum.plus(other.sum),
        min_max,
    });
}

/// Pushes a point, at this scale if its own is finer.
pub(super) fn push_no_finer(
    to: &mut ExponentialHistograms,
    point: ExponentialPoint<'_>,
    scale: i8,
) {
    let scale = scale.min(point.scale);
    let steps = u32::from(point.scale.abs_diff(scale));
    let [positive, negative] =
        [point.positive, point.negative].map(|buckets| Buckets::downscaled(buckets, steps));
    to.push(ExponentialPoint {
        scale,
        positive: positive.as_point(),
        negative: negative.as_point(),
        ..point
    });
}

impl Buckets {
    /// Both together, which are of the same scale, unless that takes more buckets than `most`.
    fn plus(self, other: &Self, most: usize) -> Option<Self> {
        if self.counts.is_empty() || other.counts.is_empty() {
            let counts = if self.counts.is_empty() {
                other.counts.clone()
            } else {
                self.counts
            };
            let offset = if other.counts.is_empty() {
                self.offset
            } else {
                other.offset
            };
            return Some(Self { offset, counts });
        }
        let offset = self.offset.min(other.offset);
        let from = |buckets: &Self| buckets.offset.abs_diff(offset) as usize;
        let len = (from(&self) + self.counts.len()).max(from(other) + other.counts.len());
        if len > most {
            return None;
        }
        let mut counts = vec![0; len];
        for buckets in [&self, other] {
            let from = from(buckets);
            for (sum, count) in counts[from..].iter_mut().zip(&buckets.counts) {
                *sum += count;
            }
        }
        Some(Self { offset, counts })
    }

    /// Each step down merges pairs of buckets: index `i` becomes `i >> 1`.
    fn downscaled(buckets: ExponentialBuckets<'_>, steps: u32) -> Self {
        let offset = buckets.offset >> steps;
        let mut counts = Vec::new();
        for (index, count) in (buckets.offset..).zip(buckets.counts) {
            let to = usize::try_from((index >> steps) - offset).unwrap_or(0);
            if counts.len() <= to {
                counts.resize(to + 1, 0);
            }
            counts[to] += count;
        }
        Self { offset, counts }
    }

    /// These without those, which are of the same scale and among them; empty ends are cut off.
    fn less(mut self, those: &Self) -> Self {
        for (index, count) in (those.offset..).zip(&those.counts) {
            let at = usize::try_from(index - self.offset).ok();
            if let Some(left) = at.and_then(|at| self.counts.get_mut(at)) {
                *left = left.saturating_sub(*count);
            }
        }
        while self.counts.last() == Some(&0) {
            self.counts.pop();
        }
        let empty = self.counts.iter().take_while(|count| **count == 0).count();
        self.counts.drain(..empty);
        self.offset += i32::try_from(empty).unwrap_or(0);
        if self.counts.is_empty() {
            return Self::default();
        }
        self
    }

    fn as_point(&self) -> ExponentialBuckets<'_> {
        ExponentialBuckets {
            offset: self.offset,
            counts: &self.counts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point<'a>(scale: i8, offset: i32, counts: &'a [u64], sum: f64) -> ExponentialPoint<'a> {
        ExponentialPoint {
            scale,
            zero_count: 3,
            zero_threshold: 0.0,
            positive: ExponentialBuckets { offset, counts },
            negative: ExponentialBuckets::default(),
            sum: Number::F64(sum),
            min_max: Some((Number::F64(1.0), Number::F64(9.0))),
        }
    }

    #[test]
    fn a_finer_past_is_made_as_coarse_as_the_present() {
        // Buckets -3..=2 of scale 2 are -1, -1, -1 (-4>>2 is -1), 0, 0, 0 two steps down.
        let then = point(2, -3, &[1, 0, 2, 4, 0, 8], 10.0);
        let now = point(0, -1, &[5, 12, 0, 7], 30.5);
        let mut difference = ExponentialHistograms::default();
        push_difference(&mut difference, now, then);
        let difference = difference.iter().next().unwrap();
        let positive = ExponentialBuckets {
            offset: -1,
            counts: &[2, 0, 0, 7],
        };
        assert_eq!((difference.scale, difference.positive), (0, positive));
        assert_eq!((difference.zero_count, difference.count()), (0, 9));
        assert_eq!(difference.sum, Number::F64(20.5));
        assert_eq!(difference.min_max, None);
    }

    #[test]
    fn ends_where_nothing_came_are_cut_off() {
        let then = point(3, 10, &[1, 1, 1], 0.0);
        let now = point(3, 8, &[0, 0, 1, 4, 1, 0], 1.0);
        let mut difference = ExponentialHistograms::default();
        push_difference(&mut difference, now, then);
        push_difference(&mut difference, then, then);
        let points: Vec<_> = difference.iter().map(|point| point.positive).collect();
        let expected = ExponentialBuckets {
            offset: 11,
            counts: &[3],
        };
        assert_eq!(points, [expected, ExponentialBuckets::default()]);
    }

    #[test]
    fn far_apart_ones_are_added_up_at_a_scale_that_holds_both() {
        let near = point(7, 0, &[1; 100], 1.0);
        let far = point(7, 1280, &[2; 160], 2.0);
        let mut sum = ExponentialHistograms::default();
        push_sum(&mut sum, near, far, None);
        push_sum(&mut sum, near, near, None);
        let sums: Vec<_> = sum.iter().collect();
        assert_eq!(sums[0].count(), 3 + 100 + 3 + 320);
        assert!(sums[0].positive.counts.len() <= 160);
        // 1440 buckets take four steps down to be 160 at most.
        assert_eq!((sums[0].scale, sums[0].positive.offset), (3, 0));
        assert_eq!(sums[0].sum, Number::F64(3.0));
        assert_eq!((sums[1].scale, sums[1].positive.counts), (7, &[2; 100][..]));
    }

    #[test]
    fn nothing_adds_nothing() {
        let some = point(2, -3, &[1, 0, 2], 4.0);
        let none = ExponentialPoint {
            zero_count: 0,
            ..point(2, 0, &[], 0.0)
        };
        let mut sum = ExponentialHistograms::default();
        push_sum(&mut sum, some, none, some.min_max);
        push_sum(&mut sum, none, some, some.min_max);
        assert!(sum.iter().all(|sum| sum == some));
    }
}
