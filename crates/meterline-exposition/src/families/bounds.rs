use std::sync::Arc;

use super::le::Le;

/// The bounds of a metric's buckets, with their texts.
#[derive(Debug, Default)]
pub(crate) struct BucketBounds {
    bounds: Arc<[f64]>,
    /// One per bucket. `None` for a bucket that has no line of its own: its bound is not finite or
    /// not above the one before, and a second line with that `le` would be a duplicate. What it
    /// holds is in the next one.
    texts: Vec<Option<Le>>,
}

/// One bucket of a histogram's point, cumulative as Prometheus has them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket<'a> {
    /// The upper bound, inclusive.
    pub bound: f64,
    /// The bound as the label `le` of the text formats 0.0.4 and 1.0.0 writes it: `1`.
    pub le: &'a str,
    /// The bound as OpenMetrics writes it: `1.0`.
    pub canonical_le: &'a str,
    /// How many values are at most the bound.
    pub count: u64,
}

impl<'a> Bucket<'a> {
    pub(super) fn new(bound: f64, le: &'a Le, count: u64) -> Self {
        Self {
            bound,
            le: le.plain(),
            canonical_le: le.canonical(),
            count,
        }
    }
}

impl BucketBounds {
    pub(crate) fn new(bounds: &Arc<[f64]>) -> Self {
        let mut highest = f64::NEG_INFINITY;
        let texts = bounds.iter().map(|&bound| {
            let shown = bound.is_finite() && bound > highest;
            shown.then(|| {
                highest = bound;
                Le::new(bound)
            })
        });
        let infinity = Some(Le::new(f64::INFINITY));
        Self {
            texts: texts.chain([infinity]).collect(),
            bounds: Arc::clone(bounds),
        }
    }

    /// Whether these are the texts of `bounds`.
    pub(crate) fn fit(&self, bounds: &Arc<[f64]>) -> bool {
        let same = |(a, b): (&f64, &f64)| a.to_bits() == b.to_bits();
        let equal =
            || self.bounds.len() == bounds.len() && self.bounds.iter().zip(&**bounds).all(same);
        !self.texts.is_empty() && (Arc::ptr_eq(&self.bounds, bounds) || equal())
    }

    /// The buckets that are shown, for these counts (not cumulative, one more than bounds).
    pub(crate) fn cumulative<'a>(
        &'a self,
        counts: &'a [u64],
    ) -> impl Iterator<Item = Bucket<'a>> + use<'a> {
        let mut total = 0_u64;
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let buckets = bounds.zip(&self.texts).zip(counts);
        buckets.filter_map(move |((bound, text), count)| {
            total = total.saturating_add(*count);
            Some(Bucket::new(bound, text.as_ref()?, total))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cumulative(bounds: &[f64], counts: &[u64]) -> Vec<(String, u64)> {
        let bounds = BucketBounds::new(&bounds.into());
        let buckets = bounds.cumulative(counts);
        buckets.map(|b| (b.le.to_owned(), b.count)).collect()
    }

    fn pairs(pairs: &[(&str, u64)]) -> Vec<(String, u64)> {
        pairs.iter().map(|(le, n)| ((*le).to_owned(), *n)).collect()
    }

    #[test]
    fn counts_add_up_to_infinity() {
        let expected = pairs(&[("0.5", 1), ("1", 3), ("+Inf", 7)]);
        assert_eq!(cumulative(&[0.5, 1.0], &[1, 2, 4]), expected);
        assert_eq!(cumulative(&[], &[4]), pairs(&[("+Inf", 4)]));
    }

    #[test]
    fn no_bound_is_shown_twice() {
        let bounds = [1.0, 1.0, 0.5, f64::NAN, f64::INFINITY];
        let expected = pairs(&[("1", 1), ("+Inf", 21)]);
        assert_eq!(cumulative(&bounds, &[1, 2, 3, 4, 5, 6]), expected);
    }

    #[test]
    fn a_sum_beyond_64_bits_stays_at_the_top() {
        let expected = pairs(&[("1", u64::MAX), ("+Inf", u64::MAX)]);
        assert_eq!(cumulative(&[1.0], &[u64::MAX, u64::MAX]), expected);
    }

    #[test]
    fn fit_by_value() {
        let bounds = BucketBounds::new(&[1.0, 2.0].into());
        assert!(bounds.fit(&[1.0, 2.0].into()));
        assert!(!bounds.fit(&[1.0].into()));
        assert!(!bounds.fit(&[1.0, 3.0].into()));
        assert!(!BucketBounds::default().fit(&[].into()));
    }
}
