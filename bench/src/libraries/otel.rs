//! What Meterline and the official SDK have in common: the OpenTelemetry API.

use std::hint::black_box;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Histogram, Meter};

use super::{BUCKETS, KEYS, Operations, REQUEST, Request, count, duration, route};

pub(crate) fn operations(meter: &Meter) -> Operations {
    let counter = meter.u64_counter("counter").build();
    let histogram = histogram(meter);
    let bound_counter = counter.bind(&attributes(REQUEST));
    let bound_histogram = histogram.bind(&attributes(REQUEST));
    Operations {
        counter_bound: Box::new(move |n| (0..n).for_each(|_| bound_counter.add(black_box(1)))),
        counter_given: Box::new(move |n| {
            (0..n).for_each(|_| counter.add(black_box(1), &attributes(black_box(REQUEST))));
        }),
        histogram_bound: Box::new(move |n| {
            (0..n).for_each(|i| bound_histogram.record(black_box(duration(i))));
        }),
        histogram_given: Box::new(move |n| {
            (0..n).for_each(|i| {
                histogram.record(black_box(duration(i)), &attributes(black_box(REQUEST)));
            });
        }),
    }
}

/// Creates so many series of a counter.
pub(crate) fn fill_counters(meter: &Meter, series: usize) {
    let counter = meter.u64_counter("counter").build();
    (0..series).for_each(|n| counter.add(count(n), &attributes_of(n)));
}

/// As [`fill_counters`], in an order that is none.
pub(crate) fn fill_counters_mixed(meter: &Meter, series: usize) {
    /// Prime, so that each comes once.
    const STEP: usize = 7919;
    let counter = meter.u64_counter("counter").build();
    let mixed = (0..series).map(|n| n * STEP % series);
    mixed.for_each(|n| counter.add(count(n), &attributes_of(n)));
}

/// Creates so many series of a histogram, with sixteen values each.
pub(crate) fn fill_histograms(histogram: &Histogram<f64>, series: usize) {
    for n in 0..series {
        let attributes = attributes_of(n);
        (0..16).for_each(|i| histogram.record(duration(i), &attributes));
    }
}

pub(crate) fn histogram(meter: &Meter) -> Histogram<f64> {
    meter
        .f64_histogram("histogram")
        .with_boundaries(BUCKETS.to_vec())
        .build()
}

pub(crate) fn attributes(request: Request) -> [KeyValue; 4] {
    let [method, route, status, version] = KEYS;
    [
        KeyValue::new(method, request.method),
        KeyValue::new(route, request.route),
        KeyValue::new(status, i64::from(request.status)),
        KeyValue::new(version, request.version),
    ]
}

pub(crate) fn attributes_of(n: usize) -> [KeyValue; 4] {
    let mut attributes = attributes(REQUEST);
    attributes[1].value = route(n).into();
    attributes
}
