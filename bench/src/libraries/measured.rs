//! `measured`, whose labels are the variants of enums, or texts that are known beforehand, and whose
//! series lie in a table that these index.

mod pages;

use std::hint::black_box;
use std::sync::Arc;

use measured::label::StaticLabelSet;
use measured::lasso::{Rodeo, RodeoReader};
use measured::metric::histogram::Thresholds;
use measured::text::BufferedTextEncoder;
use measured::{CounterVec, FixedCardinalityLabel, HistogramVec, LabelGroup, MetricGroup};

use super::{BUCKETS, Operations, REQUEST, Recording, Request, duration, route};

pub(crate) use pages::{counters, histograms};

pub(crate) const NAME: &str = "measured";

/// How many routes a service has.
const ROUTES: usize = 50;

#[derive(Clone, Copy, FixedCardinalityLabel)]
#[label(rename_all = "SHOUTY_SNAKE_CASE")]
enum Method {
    Get,
    Post,
    Put,
    Delete,
}

#[derive(Clone, Copy, FixedCardinalityLabel)]
enum Status {
    Ok = 200,
    Created = 201,
    NotFound = 404,
    Error = 500,
}

#[derive(Clone, Copy, FixedCardinalityLabel)]
enum Version {
    #[label(rename = "1.0")]
    Http10,
    #[label(rename = "1.1")]
    Http11,
    #[label(rename = "2")]
    Http2,
}

#[derive(Clone, Copy, LabelGroup)]
#[label(set = RequestSet)]
struct Labels<'a> {
    method: Method,
    #[label(fixed_with = RodeoReader)]
    route: &'a str,
    status: Status,
    version: Version,
}

#[derive(MetricGroup)]
struct Metrics {
    counter_total: CounterVec<RequestSet>,
    histogram: HistogramVec<RequestSet, { BUCKETS.len() }>,
}

pub(crate) fn recording() -> Recording {
    let metrics = Arc::new(Metrics {
        counter_total: CounterVec::with_label_set(labels_known()),
        histogram: HistogramVec::with_label_set_and_metadata(
            labels_known(),
            Thresholds::with_buckets(BUCKETS),
        ),
    });
    let of = || Arc::clone(&metrics);
    let (counter_bound, counter_given) = (of(), of());
    let (histogram_bound, histogram_given) = (of(), of());
    let counted = metrics.counter_total.with_labels(labels(REQUEST));
    let observed = metrics.histogram.with_labels(labels(REQUEST));
    Recording {
        name: NAME,
        operations: Operations {
            counter_bound: Box::new(move |n| {
                let counter = &counter_bound.counter_total;
                (0..n).for_each(|_| counter.get_metric(counted).inc_by(black_box(1)));
            }),
            counter_given: Box::new(move |n| {
                let counter = &counter_given.counter_total;
                (0..n).for_each(|_| counter.inc_by(labels(black_box(REQUEST)), black_box(1)));
            }),
            histogram_bound: Box::new(move |n| {
                let histogram = &histogram_bound.histogram;
                (0..n).for_each(|i| {
                    histogram
                        .get_metric(observed)
                        .observe(black_box(duration(i)));
                });
            }),
            histogram_given: Box::new(move |n| {
                let histogram = &histogram_given.histogram;
                (0..n).for_each(|i| {
                    histogram.observe(labels(black_box(REQUEST)), black_box(duration(i)));
                });
            }),
        },
        page: Box::new(move || {
            let mut encoder = BufferedTextEncoder::new();
            let Ok(()) = metrics.collect_group_into(&mut encoder);
            String::from_utf8(encoder.finish().to_vec()).expect("pages are UTF-8")
        }),
    }
}

fn labels_known() -> RequestSet {
    let routes = (0..ROUTES).map(route).chain([REQUEST.route.to_owned()]);
    RequestSet {
        method: StaticLabelSet::new(),
        route: Rodeo::from_iter(routes).into_reader(),
        status: StaticLabelSet::new(),
        version: StaticLabelSet::new(),
    }
}

fn labels(request: Request) -> Labels<'static> {
    Labels {
        method: match request.method {
            "GET" => Method::Get,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            _ => Method::Delete,
        },
        route: request.route,
        status: match request.status {
            200 => Status::Ok,
            201 => Status::Created,
            404 => Status::NotFound,
            _ => Status::Error,
        },
        version: match request.version {
            "1.0" => Version::Http10,
            "1.1" => Version::Http11,
            _ => Version::Http2,
        },
    }
}
