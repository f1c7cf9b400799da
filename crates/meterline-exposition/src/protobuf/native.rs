//! Exponential histograms as Prometheus' native ones (OpenTelemetry specification, "Prometheus and
//! OpenMetrics Compatibility", exponential histograms).

use meterline_protobuf::Writer;
use meterline_sdk::{ExponentialBuckets, ExponentialPoint};

/// The schemas that Prometheus has.
const COARSEST: i8 = -4;
const FINEST: i8 = 8;

/// The width of the zero bucket where the histogram does not tell one.
const ZERO_THRESHOLD: f64 = 1e-128;

/// How many values a histogram holds that can be shown: there is a schema as coarse as it (finer ones
/// can be made coarser), and its counts are in the range of their differences.
pub(super) fn shown_count(point: &ExponentialPoint<'_>) -> Option<u64> {
    let mut counts = point.positive.counts.iter().chain(point.negative.counts);
    let count = counts.try_fold(point.zero_count, |sum, count| sum.checked_add(*count))?;
    let possible = point.scale >= COARSEST
        && point.zero_threshold != f64::INFINITY
        && i64::try_from(count).is_ok();
    possible.then_some(count)
}

/// Writes the fields of a `Histogram` that make it a native one.
pub(super) fn write(point: &ExponentialPoint<'_>, out: &mut Writer) {
    let schema = point.scale.min(FINEST);
    // So much that every index is 0 or -1 anyway.
    let coarser = u32::from(point.scale.abs_diff(schema)).min(63);
    out.sint64(5, i64::from(schema));
    let told = point.zero_threshold > 0.0;
    out.double(
        6,
        if told {
            point.zero_threshold
        } else {
            ZERO_THRESHOLD
        },
    );
    out.uint64(7, point.zero_count);
    let positive = populated(point.positive, coarser);
    let negative = populated(point.negative, coarser);
    let empty = positive.clone().next().is_none() && negative.clone().next().is_none();
    write_buckets([9, 10], negative, out);
    if empty {
        // By a span, be it of nothing, a reader knows a native histogram.
        write_span(0, 0, out);
    }
    write_buckets([12, 13], positive, out);
}

/// Writes spans of neighbours, and by how much each bucket differs from the one before.
fn write_buckets(
    [spans, deltas]: [u32; 2],
    buckets: impl Iterator<Item = (i32, i64)> + Clone,
    out: &mut Writer,
) {
    let mut span: Option<(i32, u32)> = None;
    let mut after = 0;
    for (index, _) in buckets.clone() {
        match &mut span {
            Some((_, length)) if index == after => *length += 1,
            _ => {
                if let Some((offset, length)) = span {
                    write_span_as(spans, offset, length, out);
                }
                span = Some((index.saturating_sub(after), 1));
            }
        }
        after = index.saturating_add(1);
    }
    let Some((offset, length)) = span else {
        return;
    };
    write_span_as(spans, offset, length, out);
    let packed = out.begin(deltas);
    let mut before = 0;
    for (_, count) in buckets {
        out.bare_sint64(count - before);
        before = count;
    }
    out.end(packed);
}

fn write_span(offset: i32, length: u32, out: &mut Writer) {
    write_span_as(12, offset, length, out);
}

fn write_span_as(field: u32, offset: i32, length: u32, out: &mut Writer) {
    let span = out.begin(field);
    out.sint64(1, i64::from(offset));
    out.uint64(2, u64::from(length));
    out.end(span);
}

/// The buckets that hold anything, with the index Prometheus gives them (that of the upper bound),
/// `coarser` times merged by two.
fn populated(
    buckets: ExponentialBuckets<'_>,
    coarser: u32,
) -> impl Iterator<Item = (i32, i64)> + Clone {
    let counts = buckets.counts.iter().enumerate();
    let counts = counts.filter(|(_, count)| **count > 0);
    let mut indexed = counts.map(move |(at, count)| {
        let index = i64::from(buckets.offset) + i64::try_from(at).unwrap_or(i64::MAX >> 1);
        let index = i32::try_from((index >> coarser) + 1).unwrap_or(i32::MAX);
        (index, i64::try_from(*count).unwrap_or(i64::MAX))
    });
    let mut next = indexed.next();
    std::iter::from_fn(move || {
        let (index, mut count) = next?;
        next = indexed.next();
        while let Some((_, more)) = next.filter(|(same, _)| *same == index) {
            count = count.saturating_add(more);
            next = indexed.next();
        }
        Some((index, count))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(offset: i32, counts: &[u64], coarser: u32) -> Vec<(i32, i64)> {
        populated(ExponentialBuckets { offset, counts }, coarser).collect()
    }

    #[test]
    fn trap_28_the_index_is_that_of_the_upper_bound_and_fine_buckets_merge() {
        assert_eq!(
            merged(3, &[10, 0, 0, 20, 5, 2], 0),
            [(4, 10), (7, 20), (8, 5), (9, 2)]
        );
        assert_eq!(merged(-3, &[1, 2, 4, 8], 1), [(-1, 1), (0, 6), (1, 8)]);
        assert_eq!(merged(0, &[], 2), []);
        assert_eq!(merged(i32::MAX, &[1, 1], 0), [(i32::MAX, 2)]);
    }
}
