use std::iter;
use std::sync::LazyLock;

use meterline_sdk::ExponentialPoint;

use super::bounds::Bucket;
use super::le::Le;

/// The exponents of the powers of two that a float can be.
const LOWEST: i64 = -1074;
const HIGHEST: i64 = 1023;

/// Where the powers of two lie among the texts; below them are the negative ones, largest first.
const ZERO: i64 = HIGHEST - LOWEST + 1;

/// The texts of all powers of two, of zero and of infinity: few histograms have the same bounds, but
/// all bounds are among these.
static TEXTS: LazyLock<Vec<(f64, Le)>> = LazyLock::new(|| {
    let negative = (LOWEST..=HIGHEST).rev().map(|e| -power_of_two(e));
    let positive = (LOWEST..=HIGHEST).map(power_of_two);
    let bounds = negative.chain([0.0]).chain(positive);
    let bounds = bounds.chain([f64::INFINITY]);
    bounds.map(|bound| (bound, Le::new(bound))).collect()
});

/// The buckets of an exponential histogram for formats that only know fixed ones: its own, added up
/// to powers of two, a bucket at zero, and the last without a bound. Counts stay exact but for
/// negative values that are a power of two, which fall into the bucket below it. A bound that was
/// shown stays while the scale is 0 or finer, as the range of buckets only grows.
pub(super) fn folded<'a>(
    point: ExponentialPoint<'a>,
) -> impl Iterator<Item = Bucket<'a>> + use<'a> {
    let ExponentialPoint {
        scale,
        positive,
        negative,
        ..
    } = point;
    let below = negative.counts.iter().enumerate().rev();
    let below = below.map(move |(at, &count)| {
        let exponent = lower_exponent(index(negative.offset, at), scale);
        let text = ZERO - 1 - (exponent - LOWEST).min(HIGHEST - LOWEST);
        (text.min(ZERO), count)
    });
    let zero = ZERO + threshold_offset(point.zero_threshold);
    let above = positive.counts.iter().enumerate().map(move |(at, &count)| {
        let exponent = upper_exponent(index(positive.offset, at), scale);
        let text = ZERO + 1 + (exponent - LOWEST).max(0);
        (text.clamp(zero, ZERO + 2 + HIGHEST - LOWEST), count)
    });
    let infinity = ZERO + 2 + HIGHEST - LOWEST;
    let all = below
        .chain([(zero, point.zero_count)])
        .chain(above)
        .chain([(infinity, 0)]);
    cumulative(all)
}

/// One bucket per bound, which must not fall.
fn cumulative<'a, I: Iterator<Item = (i64, u64)>>(
    counts: I,
) -> impl Iterator<Item = Bucket<'a>> + use<'a, I> {
    let mut counts = counts.peekable();
    let mut total = 0_u64;
    iter::from_fn(move || {
        let (text, count) = counts.next()?;
        total = total.saturating_add(count);
        while let Some((_, count)) = counts.next_if(|(next, _)| *next == text) {
            total = total.saturating_add(count);
        }
        let (bound, le) = &TEXTS[usize::try_from(text).unwrap_or_default()];
        Some(Bucket::new(*bound, le, total))
    })
}

fn index(offset: i32, at: usize) -> i64 {
    i64::from(offset) + i64::try_from(at).unwrap_or(i64::MAX / 2)
}

/// The exponent of the highest power of two that is at most the lower bound of a bucket.
fn lower_exponent(index: i64, scale: i8) -> i64 {
    // Far beyond every float, and far from what an i64 holds.
    let far = 1 << 40;
    match u32::try_from(scale) {
        Ok(finer) => index >> finer.min(63),
        Err(_) => index.saturating_mul(1 << u32::from(scale.unsigned_abs()).min(20)),
    }
    .clamp(-far, far)
}

/// The exponent of the lowest power of two that is at least the upper bound of a bucket.
fn upper_exponent(index: i64, scale: i8) -> i64 {
    -lower_exponent(-(index + 1), scale)
}

/// How far above zero the bucket of the values around it ends.
fn threshold_offset(threshold: f64) -> i64 {
    if threshold.is_nan() || threshold <= 0.0 {
        return 0;
    }
    let above = |e: &i64| power_of_two(*e) >= threshold;
    let exponent = (LOWEST..=HIGHEST).find(above).unwrap_or(HIGHEST + 1);
    exponent - LOWEST + 1
}

/// Exactly, also where it is subnormal.
fn power_of_two(exponent: i64) -> f64 {
    let bits = match exponent {
        ..-1022 => 1 << (exponent - LOWEST),
        _ => (exponent + 1023) << 52,
    };
    f64::from_bits(u64::try_from(bits).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use meterline_sdk::{ExponentialBuckets, Number};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn point<'a>(
        scale: i8,
        zero: (u64, f64),
        positive: (i32, &'a [u64]),
        negative: (i32, &'a [u64]),
    ) -> ExponentialPoint<'a> {
        let buckets = |(offset, counts)| ExponentialBuckets { offset, counts };
        ExponentialPoint {
            scale,
            zero_count: zero.0,
            zero_threshold: zero.1,
            positive: buckets(positive),
            negative: buckets(negative),
            sum: Number::F64(0.0),
            min_max: None,
        }
    }

    fn shown<'a>(point: ExponentialPoint<'a>) -> Vec<(&'a str, u64)> {
        folded(point).map(|b| (b.le, b.count)).collect()
    }

    #[test]
    fn trap_07_exponential_buckets_add_up_to_powers_of_two() {
        // Scale 1: (1, 1.41], (1.41, 2], (2, 2.83], (2.83, 4].
        let fine = point(1, (1, 0.0), (0, &[10, 20, 0, 3]), (0, &[]));
        assert_eq!(shown(fine), [("0", 1), ("2", 31), ("4", 34), ("+Inf", 34)]);
        // Scale -1: (1, 4], (4, 16]; and the values from -16 to -4.
        let coarse = point(-1, (0, 0.0), (0, &[1, 2]), (1, &[5]));
        assert_eq!(
            shown(coarse),
            [("-4", 5), ("0", 5), ("4", 6), ("16", 8), ("+Inf", 8)]
        );
        let wide = point(0, (4, 0.3), (-2, &[1, 1]), (0, &[]));
        assert_eq!(shown(wide), [("0.5", 5), ("1", 6), ("+Inf", 6)]);
        assert_eq!(
            shown(point(20, (0, 0.0), (0, &[]), (0, &[]))),
            [("0", 0), ("+Inf", 0)]
        );
    }

    #[test]
    fn powers_are_exact() {
        for (exponent, power) in [
            (0, 1.0),
            (10, 1024.0),
            (-1, 0.5),
            (-1022, f64::MIN_POSITIVE),
        ] {
            assert_eq!(power_of_two(exponent), power);
        }
        assert_eq!(power_of_two(LOWEST), 5e-324);
        assert_eq!(power_of_two(HIGHEST) * 1.999_999_999_999_999_8, f64::MAX);
        assert_eq!(TEXTS[usize::try_from(ZERO).unwrap()].0, 0.0);
    }

    proptest! {
        /// Whatever the point, bounds rise and so do counts, up to all of them.
        #[test]
        fn bounds_and_counts_rise(
            scale: i8,
            zero in (0..9_u64, prop_oneof![Just(0.0), any::<f64>()]),
            offsets: [i32; 2],
            positive in vec(0..9_u64, 0..20),
            negative in vec(0..9_u64, 0..20),
        ) {
            let point = point(scale, zero, (offsets[0], &positive), (offsets[1], &negative));
            let buckets: Vec<_> = folded(point).collect();
            for pair in buckets.windows(2) {
                prop_assert!(pair[0].bound < pair[1].bound && pair[0].count <= pair[1].count);
            }
            let last = buckets[buckets.len() - 1];
            prop_assert_eq!((last.le, last.count), ("+Inf", point.count()));
        }
    }
}
