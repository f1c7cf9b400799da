//! What the page shows of this process's metrics.

use std::collections::BTreeMap;

use meterline::MeterProvider;
use meterline::sdk::{Attributes, Data, HistogramPoint, Metric, Number, Snapshot};
use opentelemetry::KeyValue;
use serde::Serialize;

use crate::metrics::catalogue;

/// Routes that last as long as somebody watches: their durations say nothing about the server.
const STREAMS: [&str; 2] = ["/live", "/job/{id}/events"];

/// Where the page's numbers come from.
#[derive(Clone)]
pub(in super::super) struct Measurements {
    provider: MeterProvider,
    namespace: String,
    /// Whether this process runs workers of its own, so that it counts how jobs end.
    runs_jobs: bool,
}

/// Numbers of this process, counted since it started.
#[derive(Serialize)]
pub(super) struct Measured {
    http: Http,
    process: Process,
    #[serde(skip)]
    pub(super) jobs: Counted,
}

#[derive(Default, Serialize)]
struct Http {
    active: f64,
    /// Upper bounds of the buckets of all routes, in seconds.
    bounds: Vec<f64>,
    routes: Vec<Route>,
}

/// The requests of one route; several statuses are one.
#[derive(Serialize)]
struct Route {
    method: String,
    route: String,
    requests: u64,
    /// Those that the server failed: a 5xx, a panic, an answer that broke off.
    errors: u64,
    /// Not cumulative; the last is above every bound.
    buckets: Vec<u64>,
}

#[derive(Default, Serialize)]
struct Process {
    cpu_seconds: f64,
    resident_bytes: f64,
    threads: f64,
    open_fds: f64,
    series: f64,
}

#[derive(Default)]
pub(super) struct Counted {
    pub(super) created: f64,
    pub(super) ended: Option<Ended>,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Ended {
    pub(super) completed: f64,
    pub(super) failed: f64,
}

impl Measurements {
    pub(in super::super) fn new(provider: MeterProvider, namespace: &str, runs_jobs: bool) -> Self {
        Self {
            provider,
            namespace: namespace.to_owned(),
            runs_jobs,
        }
    }

    pub(super) fn read(&self) -> Measured {
        let snapshot = self.provider.collect();
        let osapi = |metric: &catalogue::Metric| metric.name_in(&self.namespace);
        let ended = |status| {
            let name = osapi(&catalogue::JOBS_COMPLETED);
            sum(&snapshot, &name, Some(("status", status)))
        };
        Measured {
            http: Http::of(&snapshot),
            process: Process {
                cpu_seconds: sum(&snapshot, catalogue::PROCESS_CPU.name, None),
                resident_bytes: sum(&snapshot, catalogue::PROCESS_RESIDENT.name, None),
                threads: sum(&snapshot, catalogue::PROCESS_THREADS.name, None),
                open_fds: sum(&snapshot, catalogue::PROCESS_OPEN_FDS.name, None),
                series: sum(&snapshot, catalogue::SERIES.name, None),
            },
            jobs: Counted {
                created: sum(&snapshot, &osapi(&catalogue::JOBS_CREATED), None),
                ended: self.runs_jobs.then(|| Ended {
                    completed: ended("completed"),
                    failed: ended("failed"),
                }),
            },
        }
    }
}

/// The sum over all series, or over those with one attribute; 0 if there are none.
fn sum(snapshot: &Snapshot, name: &str, with: Option<(&str, &str)>) -> f64 {
    let metrics = snapshot.metrics.iter();
    let values = metrics
        .filter(|metric| metric.descriptor.name == name)
        .flat_map(|metric| {
            let values = match &metric.data {
                Data::Sum { values, .. } | Data::Gauge(values) => values.as_slice(),
                _ => &[],
            };
            metric.series.iter().zip(values)
        });
    values
        .filter(|(series, _)| {
            with.is_none_or(|(key, value)| {
                text(series.attributes(), &[key]).is_some_and(|found| found == value)
            })
        })
        .map(|(_, value)| as_f64(*value))
        .sum()
}

fn as_f64(value: Number) -> f64 {
    match value {
        Number::U64(value) => value as f64,
        Number::I64(value) => value as f64,
        Number::F64(value) => value,
    }
}

/// The value under the first of these keys.
fn text(attributes: &Attributes, keys: &[&str]) -> Option<String> {
    let wanted = |pair: &&KeyValue| keys.contains(&pair.key.as_str());
    let found = attributes.iter().find(wanted)?;
    Some(found.value.as_str().into_owned())
}

impl Http {
    /// From either convention's metrics: those of the semantic ones if both are there.
    fn of(snapshot: &Snapshot) -> Self {
        let named = |wanted: &dyn Fn(&str) -> bool| {
            let mut metrics = snapshot.metrics.iter();
            metrics.find(|metric| wanted(&metric.descriptor.name))
        };
        let semconv = named(&|name| name == catalogue::HTTP_DURATION.name);
        let classic = || named(&|name| name.ends_with("_request_duration"));
        let Some(metric) = semconv.or_else(classic) else {
            return Self::default();
        };
        let active = named(&|name| name == catalogue::HTTP_ACTIVE.name)
            .or_else(|| named(&|name| name.ends_with("_requests_in_flight")))
            .map_or(0.0, |metric| sum(snapshot, &metric.descriptor.name, None));
        let (Data::Histogram(data) | Data::Both(data, _)) = &metric.data else {
            return Self::default();
        };
        Self {
            active,
            bounds: data.bounds().to_vec(),
            routes: routes(metric, data.iter()),
        }
    }
}

fn routes<'a>(metric: &Metric, points: impl Iterator<Item = HistogramPoint<'a>>) -> Vec<Route> {
    let mut routes = BTreeMap::<_, Route>::new();
    for (series, point) in metric.series.iter().zip(points) {
        let of = |keys: &[&str]| text(series.attributes(), keys).unwrap_or_default();
        let method = of(&["http.request.method", "method"]);
        let route = of(&["http.route", "endpoint"]);
        let status = of(&["http.response.status_code", "status"]);
        let error = of(&["error.type"]);
        // A client that went away is no fault of the server's.
        let failed = status.starts_with('5') || !(error.is_empty() || error == "cancelled");
        if STREAMS.contains(&&*route) {
            continue;
        }
        let requests = point.count();
        let known = routes
            .entry((route.clone(), method.clone()))
            .or_insert_with(|| Route {
                method,
                route,
                requests: 0,
                errors: 0,
                buckets: vec![0; point.counts.len()],
            });
        known.requests += requests;
        known.errors += if failed { requests } else { 0 };
        for (sum, count) in known.buckets.iter_mut().zip(point.counts) {
            *sum += count;
        }
    }
    routes.into_values().collect()
}
