//! `prometheus`, the client library of the TiKV project.

use std::hint::black_box;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use super::{
    BUCKETS, Exposition, KEYS, Operations, REQUEST, Recording, Request, count, duration, official,
    route,
};

pub(crate) const NAME: &str = "prometheus (tikv)";

pub(crate) fn recording() -> Recording {
    let registry = Registry::new();
    let (counter, histogram) = (counter(&registry), histogram(&registry));
    let bound_counter = counter.with_label_values(&labels(REQUEST));
    let bound_histogram = histogram.with_label_values(&labels(REQUEST));
    Recording {
        name: NAME,
        operations: Operations {
            counter_bound: Box::new(move |n| {
                (0..n).for_each(|_| bound_counter.inc_by(black_box(1)));
            }),
            counter_given: Box::new(move |n| {
                (0..n).for_each(|_| {
                    counter
                        .with_label_values(&labels(black_box(REQUEST)))
                        .inc_by(black_box(1));
                });
            }),
            histogram_bound: Box::new(move |n| {
                (0..n).for_each(|i| bound_histogram.observe(black_box(duration(i))));
            }),
            histogram_given: Box::new(move |n| {
                (0..n).for_each(|i| {
                    histogram
                        .with_label_values(&labels(black_box(REQUEST)))
                        .observe(black_box(duration(i)));
                });
            }),
        },
        page: Box::new(move || {
            let mut page = Vec::new();
            official::encode(&registry, &mut page);
            String::from_utf8(page).expect("pages are UTF-8")
        }),
    }
}

pub(crate) fn counters(series: usize) -> Exposition {
    let registry = Registry::new();
    let counter = counter(&registry);
    for n in 0..series {
        let route = route(n);
        let [method, _, status, version] = labels(REQUEST);
        counter
            .with_label_values(&[method, &route, status, version])
            .inc_by(count(n));
    }
    exposition(registry)
}

pub(crate) fn histograms(series: usize) -> Exposition {
    let registry = Registry::new();
    let histogram = histogram(&registry);
    for n in 0..series {
        let route = route(n);
        let [method, _, status, version] = labels(REQUEST);
        let series = histogram.with_label_values(&[method, &route, status, version]);
        (0..16).for_each(|i| series.observe(duration(i)));
    }
    exposition(registry)
}

fn exposition(registry: Registry) -> Exposition {
    Exposition {
        name: NAME,
        page: Box::new(move |out| official::encode(&registry, out)),
    }
}

fn counter(registry: &Registry) -> IntCounterVec {
    let counter = IntCounterVec::new(Opts::new("counter_total", "counter"), &KEYS);
    let counter = counter.expect("the name is valid");
    let registered = registry.register(Box::new(counter.clone()));
    registered.expect("the registry is fresh");
    counter
}

fn histogram(registry: &Registry) -> HistogramVec {
    let options = HistogramOpts::new("histogram", "histogram").buckets(BUCKETS.to_vec());
    let histogram = HistogramVec::new(options, &KEYS).expect("the name is valid");
    let registered = registry.register(Box::new(histogram.clone()));
    registered.expect("the registry is fresh");
    histogram
}

fn labels(request: Request) -> [&'static str; 4] {
    [
        request.method,
        request.route,
        request.status_text(),
        request.version,
    ]
}
