//! Adding points up, as if all of them had been recorded into one series, and what such a sum may not do
//! from one collection to the next.

use std::sync::Arc;

use super::exponential;
use crate::Number;
use crate::snapshot::{Data, ExponentialHistograms, ExponentialPoint, Histograms};

type MinMax = Option<(Number, Number)>;

/// Adds a point of data of the same kind to the only point of `sum`, which becomes that point if there
/// is none yet. Of gauges the later point counts.
pub(super) fn add(sum: &mut Data, from: &Data, at: usize) {
    if sum.is_empty() {
        return sum.push_from(from, at);
    }
    match (sum, from) {
        (Data::Sum { values: sum, .. }, Data::Sum { values, .. }) => {
            sum[0] = sum[0].plus(values[at]);
        }
        (Data::Gauge(sum), Data::Gauge(values)) => sum[0] = values[at],
        (Data::Histogram(sum), Data::Histogram(from)) => add_explicit(sum, from, at),
        (Data::ExponentialHistogram(sum), Data::ExponentialHistogram(from)) => {
            add_exponential(sum, from, at);
        }
        (Data::Both(sum, more_sum), Data::Both(from, more_from)) => {
            add_explicit(sum, from, at);
            add_exponential(more_sum, more_from, at);
        }
        _ => {}
    }
}

fn add_explicit(sum: &mut Histograms, from: &Histograms, at: usize) {
    let (one, other) = (sum.point(0), from.point(at));
    let counts = one.counts.iter().zip(other.counts).map(|(a, b)| a + b);
    let mut added = Histograms::new(Arc::clone(sum.bounds()));
    added.push(
        counts,
        one.sum.plus(other.sum),
        extremes((one.count(), one.min_max), (other.count(), other.min_max)),
    );
    *sum = added;
}

fn add_exponential(sum: &mut ExponentialHistograms, from: &ExponentialHistograms, at: usize) {
    let (one, other) = (sum.point(0), from.point(at));
    let mut added = ExponentialHistograms::default();
    let min_max = extremes((one.count(), one.min_max), (other.count(), other.min_max));
    exponential::push_sum(&mut added, one, other, min_max);
    *sum = added;
}

/// Those of both together, of which there are so many values; not known unless both are.
fn extremes((count, one): (u64, MinMax), (other_count, other): (u64, MinMax)) -> MinMax {
    if count == 0 || other_count == 0 {
        return if count == 0 { other } else { one };
    }
    let ((low, high), (other_low, other_high)) = (one?, other?);
    let low = if other_low.is_below(low) {
        other_low
    } else {
        low
    };
    Some((low, high.at_least(other_high)))
}

/// Whether this is the only point of a sum that may not go down, and less than the one before.
pub(super) fn is_down(sum: &Data, before: &Data) -> bool {
    match (sum, before) {
        (
            Data::Sum {
                monotonic: true,
                values,
            },
            Data::Sum { values: before, .. },
        ) => values[0].is_below(before[0]),
        _ => false,
    }
}

/// Corrects the only point of what is added up from no less than before: floats come out as slightly
/// less in another order, and exponential buckets may have been coarser, which they then stay.
pub(super) fn never_down(sum: &mut Data, before: &Data) {
    match (sum, before) {
        (
            Data::Sum {
                monotonic: true,
                values,
            },
            Data::Sum { values: before, .. },
        ) => values[0] = values[0].at_least(before[0]),
        (Data::Histogram(sum), Data::Histogram(before)) => explicit_never_down(sum, before),
        (Data::ExponentialHistogram(sum), Data::ExponentialHistogram(before)) => {
            exponential_never_down(sum, before);
        }
        (Data::Both(sum, more_sum), Data::Both(before, more_before)) => {
            explicit_never_down(sum, before);
            exponential_never_down(more_sum, more_before);
        }
        _ => {}
    }
}

fn explicit_never_down(sum: &mut Histograms, before: &Histograms) {
    let (now, before) = (sum.point(0), before.point(0));
    if only_grows(now.min_max) {
        let total = now.sum.at_least(before.sum);
        sum.set_sum(0, total);
    }
}

fn exponential_never_down(sum: &mut ExponentialHistograms, before: &ExponentialHistograms) {
    let (now, before) = (sum.point(0), before.point(0));
    let is_less = only_grows(now.min_max) && now.sum.is_below(before.sum);
    if !is_less && now.scale <= before.scale {
        return;
    }
    let total = if is_less { before.sum } else { now.sum };
    let now = ExponentialPoint { sum: total, ..now };
    let mut corrected = ExponentialHistograms::default();
    exponential::push_no_finer(&mut corrected, now, before.scale);
    *sum = corrected;
}

/// Whether the sum of a histogram only grows: nothing negative was recorded.
fn only_grows(min_max: MinMax) -> bool {
    min_max.is_some_and(|(low, _)| low.as_f64() >= 0.0)
}
