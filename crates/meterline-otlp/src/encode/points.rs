//! The points of each kind of data.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use meterline_protobuf::Writer;
use meterline_sdk::{
    Exemplar, ExponentialBuckets, ExponentialPoint, HistogramPoint, Metric, Number, Series,
};

use super::attributes::key_values;

/// Which field of its kind of point an attribute is.
pub(super) mod fields {
    pub(in super::super) const NUMBER_ATTRIBUTES: u32 = 7;
    pub(in super::super) const HISTOGRAM_ATTRIBUTES: u32 = 9;
    pub(in super::super) const EXPONENTIAL_ATTRIBUTES: u32 = 1;
}

/// Writes the points of one metric, fields in no particular order.
///
/// `flags` is left at zero: a snapshot has no points without a value.
pub(super) struct PointWriter<'a> {
    metric: &'a Metric,
    time: u64,
}

impl<'a> PointWriter<'a> {
    pub(super) fn new(metric: &'a Metric, time: SystemTime) -> Self {
        Self {
            metric,
            time: unix_nanos(time),
        }
    }

    pub(super) fn start(&self, series: &Series) -> u64 {
        unix_nanos(self.metric.start(series))
    }

    /// `NumberDataPoint`. A gauge has no start: its value does not count from anywhere.
    pub(super) fn number(
        &self,
        out: &mut Writer,
        index: usize,
        attributes: &[u8],
        start: Option<u64>,
        value: Number,
    ) {
        out.raw(attributes);
        if let Some(start) = start {
            out.fixed64(2, start);
        }
        out.fixed64(3, self.time);
        match integer(value) {
            Some(value) => out.sfixed64(6, value),
            None => out.double(4, value.as_f64()),
        }
        self.exemplars(out, index, 5);
    }

    /// `HistogramDataPoint`.
    pub(super) fn explicit(
        &self,
        out: &mut Writer,
        index: usize,
        attributes: &[u8],
        start: u64,
        bounds: &[f64],
        point: HistogramPoint<'_>,
    ) {
        out.raw(attributes);
        out.fixed64(2, start);
        out.fixed64(3, self.time);
        out.fixed64(4, point.count());
        out.double(5, point.sum.as_f64());
        out.packed_fixed64(6, point.counts);
        if !bounds.is_empty() {
            out.packed_double(7, bounds);
        }
        if let Some((min, max)) = point.min_max {
            out.double(11, min.as_f64());
            out.double(12, max.as_f64());
        }
        self.exemplars(out, index, 8);
    }

    /// `ExponentialHistogramDataPoint`.
    pub(super) fn exponential(
        &self,
        out: &mut Writer,
        index: usize,
        attributes: &[u8],
        start: u64,
        point: ExponentialPoint<'_>,
    ) {
        out.raw(attributes);
        out.fixed64(2, start);
        out.fixed64(3, self.time);
        out.fixed64(4, point.count());
        out.double(5, point.sum.as_f64());
        out.sint64(6, i64::from(point.scale));
        out.fixed64(7, point.zero_count);
        buckets(out, 8, point.positive);
        buckets(out, 9, point.negative);
        if let Some((min, max)) = point.min_max {
            out.double(12, min.as_f64());
            out.double(13, max.as_f64());
        }
        out.double(14, point.zero_threshold);
        self.exemplars(out, index, 11);
    }

    fn exemplars(&self, out: &mut Writer, index: usize, field: u32) {
        if self.metric.exemplars.is_empty() {
            return;
        }
        for exemplar in self.metric.exemplars.of(index) {
            let message = out.begin(field);
            write_exemplar(out, exemplar);
            out.end(message);
        }
    }
}

/// `ExponentialHistogramDataPoint.Buckets`; left out where there are none.
fn buckets(out: &mut Writer, field: u32, buckets: ExponentialBuckets<'_>) {
    if buckets.counts.is_empty() {
        return;
    }
    let message = out.begin_about(field, 2 * buckets.counts.len());
    out.sint64(1, i64::from(buckets.offset));
    out.packed_uint64(2, buckets.counts);
    out.end(message);
}

fn write_exemplar(out: &mut Writer, exemplar: &Exemplar) {
    key_values(out, 7, exemplar.filtered_attributes.iter());
    out.fixed64(2, unix_nanos(exemplar.time));
    match integer(exemplar.value) {
        Some(value) => out.sfixed64(6, value),
        None => out.double(3, exemplar.value.as_f64()),
    }
    if let Some((trace, span)) = exemplar.span {
        out.bytes(4, &span.to_bytes());
        out.bytes(5, &trace.to_bytes());
    }
}

/// The value if it is an integer that OTLP has: `sfixed64`. Others, that is those from 2^63, are
/// sent as a double, rounded as [`Number::as_f64`] says.
fn integer(value: Number) -> Option<i64> {
    match value {
        Number::U64(value) => i64::try_from(value).ok(),
        Number::I64(value) => Some(value),
        Number::F64(_) => None,
    }
}

/// Nanoseconds since the Unix epoch, within what OTLP has: 0 before it, and no more than a `u64`.
fn unix_nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
