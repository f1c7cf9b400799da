//! `prometheus-client`, the official Prometheus library for Rust.

use std::borrow::Cow;
use std::hint::black_box;
use std::mem;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{BUCKETS, Exposition, Operations, REQUEST, Recording, Request, count, duration, route};

pub(crate) const NAME: &str = "prometheus-client";

/// Recording knows all its labels as static texts, many series own their route.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    method: &'static str,
    route: Cow<'static, str>,
    status: &'static str,
    version: &'static str,
}

type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

pub(crate) fn recording() -> Recording {
    let mut registry = Registry::default();
    let counter = Family::<Labels, Counter>::default();
    let histogram: Histograms = Family::new_with_constructor(new_histogram);
    registry.register("counter", "counter", counter.clone());
    registry.register("histogram", "histogram", histogram.clone());
    let bound_counter = counter.get_or_create(&labels(REQUEST)).clone();
    let bound_histogram = histogram.get_or_create(&labels(REQUEST)).clone();
    Recording {
        name: NAME,
        operations: Operations {
            counter_bound: Box::new(move |n| {
                (0..n).for_each(|_| {
                    bound_counter.inc_by(black_box(1));
                });
            }),
            counter_given: Box::new(move |n| {
                (0..n).for_each(|_| {
                    counter
                        .get_or_create(&labels(black_box(REQUEST)))
                        .inc_by(black_box(1));
                });
            }),
            histogram_bound: Box::new(move |n| {
                (0..n).for_each(|i| bound_histogram.observe(black_box(duration(i))));
            }),
            histogram_given: Box::new(move |n| {
                (0..n).for_each(|i| {
                    histogram
                        .get_or_create(&labels(black_box(REQUEST)))
                        .observe(black_box(duration(i)));
                });
            }),
        },
        page: Box::new(move || encode(&registry)),
    }
}

pub(crate) fn counters(series: usize) -> Exposition {
    let mut registry = Registry::default();
    let counter = Family::<Labels, Counter>::default();
    registry.register("counter", "counter", counter.clone());
    for n in 0..series {
        counter.get_or_create(&labels_of(n)).inc_by(count(n));
    }
    exposition(registry)
}

pub(crate) fn histograms(series: usize) -> Exposition {
    let mut registry = Registry::default();
    let histogram: Histograms = Family::new_with_constructor(new_histogram);
    registry.register("histogram", "histogram", histogram.clone());
    for n in 0..series {
        let series = histogram.get_or_create(&labels_of(n));
        (0..16).for_each(|i| series.observe(duration(i)));
    }
    exposition(registry)
}

fn exposition(registry: Registry) -> Exposition {
    Exposition {
        name: NAME,
        page: Box::new(move |out| {
            // It writes into a String: the buffer becomes one, and comes back.
            let mut page = String::from_utf8(mem::take(out)).expect("pages are UTF-8");
            text::encode(&mut page, &registry).expect("a String takes everything");
            *out = page.into_bytes();
        }),
    }
}

fn encode(registry: &Registry) -> String {
    let mut page = String::new();
    text::encode(&mut page, registry).expect("a String takes everything");
    page
}

fn new_histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

fn labels(request: Request) -> Labels {
    Labels {
        method: request.method,
        route: request.route.into(),
        status: request.status_text(),
        version: request.version,
    }
}

fn labels_of(n: usize) -> Labels {
    Labels {
        method: REQUEST.method,
        route: route(n).into(),
        status: REQUEST.status_text(),
        version: REQUEST.version,
    }
}
