use crate::Number;

/// Base-2 exponential histograms (OpenTelemetry metrics data model, "ExponentialHistogram"): bucket
/// `i` of a point with scale `s` holds the values in (2^(i/2^s), 2^((i+1)/2^s)].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExponentialHistograms {
    counts: Vec<u64>,
    points: Vec<Point>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    scale: i8,
    zero_count: u64,
    zero_threshold: f64,
    /// The index of the first bucket, and where its counts lie among all counts.
    positive: (i32, usize),
    negative: (i32, usize),
    end: usize,
    sum: Number,
    min_max: Option<(Number, Number)>,
}

/// One series' distribution over exponential buckets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExponentialPoint<'a> {
    /// The resolution, -11 to 20: each step up halves the buckets' relative width.
    pub scale: i8,
    /// How many values were as near to zero as `zero_threshold`.
    pub zero_count: u64,
    /// The width of the bucket around zero.
    pub zero_threshold: f64,
    /// Values above the threshold.
    pub positive: ExponentialBuckets<'a>,
    /// The absolute values of those below its negative.
    pub negative: ExponentialBuckets<'a>,
    /// The sum of the values.
    pub sum: Number,
    /// The smallest and the largest value; `None` if there was none.
    pub min_max: Option<(Number, Number)>,
}

/// A dense range of exponential buckets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExponentialBuckets<'a> {
    /// The index of the first bucket.
    pub offset: i32,
    /// The count of each bucket from there on; empty if nothing was recorded.
    pub counts: &'a [u64],
}

impl ExponentialHistograms {
    /// Adds a point.
    pub fn push(&mut self, point: ExponentialPoint<'_>) {
        let positive = self.counts.len();
        self.counts.extend_from_slice(point.positive.counts);
        let negative = self.counts.len();
        self.counts.extend_from_slice(point.negative.counts);
        self.points.push(Point {
            scale: point.scale,
            zero_count: point.zero_count,
            zero_threshold: point.zero_threshold,
            positive: (point.positive.offset, positive),
            negative: (point.negative.offset, negative),
            end: self.counts.len(),
            sum: point.sum,
            min_max: point.min_max,
        });
    }

    /// How many points there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Whether there are no points.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// The points, in the order of the metric's series.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = ExponentialPoint<'_>> {
        (0..self.points.len()).map(|at| self.point(at))
    }

    /// # Panics
    /// If there is none at this position.
    pub(crate) fn point(&self, at: usize) -> ExponentialPoint<'_> {
        let point = &self.points[at];
        let buckets = |(offset, from): (i32, usize), to| ExponentialBuckets {
            offset,
            counts: &self.counts[from..to],
        };
        ExponentialPoint {
            scale: point.scale,
            zero_count: point.zero_count,
            zero_threshold: point.zero_threshold,
            positive: buckets(point.positive, point.negative.1),
            negative: buckets(point.negative, point.end),
            sum: point.sum,
            min_max: point.min_max,
        }
    }
}

impl ExponentialPoint<'_> {
    /// How many values were recorded: by definition the sum of the buckets.
    #[must_use]
    pub fn count(&self) -> u64 {
        let sum = |buckets: ExponentialBuckets<'_>| buckets.counts.iter().sum::<u64>();
        self.zero_count + sum(self.positive) + sum(self.negative)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_come_out_as_they_went_in() {
        let point = |offset, positive, negative| ExponentialPoint {
            scale: 3,
            zero_count: 2,
            zero_threshold: 0.5,
            positive: ExponentialBuckets {
                offset,
                counts: positive,
            },
            negative: ExponentialBuckets {
                offset: -offset,
                counts: negative,
            },
            sum: Number::F64(1.5),
            min_max: None,
        };
        let points = [
            point(-4, &[1, 0, 7][..], &[5][..]),
            point(0, &[], &[]),
            point(9, &[], &[3, 3]),
        ];
        let mut histograms = ExponentialHistograms::default();
        points.iter().for_each(|point| histograms.push(*point));
        assert_eq!(histograms.iter().collect::<Vec<_>>(), points);
        assert_eq!(
            histograms.iter().map(|p| p.count()).collect::<Vec<_>>(),
            [15, 2, 8]
        );
    }
}
