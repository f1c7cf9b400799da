//! `metrics`, exported by `metrics-exporter-prometheus`.

use std::hint::black_box;
use std::sync::OnceLock;

use metrics::{Key, Label, Level, Metadata, Recorder as _, counter, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::{BUCKETS, Exposition, Operations, REQUEST, Recording, count, duration, route};

pub(crate) const NAME: &str = "metrics";

static METADATA: Metadata<'_> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// The process's recorder, which the macros need; installed when first asked for.
pub(crate) fn installed() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let installed = builder().install_recorder();
        installed.expect("nobody else installs a recorder")
    })
}

/// Values of histograms are only put aside; sorting them into buckets is left to the next page,
/// which is not part of what is measured as recording.
pub(crate) fn recording() -> Recording {
    let handle = installed();
    let request = REQUEST;
    let bound_counter = counter!("counter_total", "method" => request.method,
        "route" => request.route, "status" => request.status_text(), "version" => request.version);
    let bound_histogram = histogram!("histogram", "method" => request.method,
        "route" => request.route, "status" => request.status_text(), "version" => request.version);
    Recording {
        name: NAME,
        operations: Operations {
            counter_bound: Box::new(move |n| {
                (0..n).for_each(|_| bound_counter.increment(black_box(1)));
            }),
            counter_given: Box::new(move |n| {
                (0..n).for_each(|_| {
                    let request = black_box(REQUEST);
                    counter!("counter_total", "method" => request.method,
                        "route" => request.route, "status" => request.status_text(),
                        "version" => request.version)
                    .increment(black_box(1));
                });
            }),
            histogram_bound: Box::new(move |n| {
                (0..n).for_each(|i| bound_histogram.record(black_box(duration(i))));
            }),
            histogram_given: Box::new(move |n| {
                (0..n).for_each(|i| {
                    let request = black_box(REQUEST);
                    histogram!("histogram", "method" => request.method,
                        "route" => request.route, "status" => request.status_text(),
                        "version" => request.version)
                    .record(black_box(duration(i)));
                });
            }),
        },
        page: Box::new(|| {
            handle.run_upkeep();
            handle.render()
        }),
    }
}

pub(crate) fn counters(series: usize) -> Exposition {
    let recorder = builder().build_recorder();
    for n in 0..series {
        recorder
            .register_counter(&key("counter_total", n), &METADATA)
            .increment(count(n));
    }
    exposition(recorder)
}

pub(crate) fn histograms(series: usize) -> Exposition {
    let recorder = builder().build_recorder();
    for n in 0..series {
        let series = recorder.register_histogram(&key("histogram", n), &METADATA);
        (0..16).for_each(|i| series.record(duration(i)));
    }
    exposition(recorder)
}

fn exposition(recorder: PrometheusRecorder) -> Exposition {
    let handle = recorder.handle();
    Exposition {
        name: "metrics-exporter-prometheus",
        page: Box::new(move |out| *out = handle.render().into_bytes()),
    }
}

fn builder() -> PrometheusBuilder {
    let builder = PrometheusBuilder::new().set_buckets(&BUCKETS);
    builder.expect("there are buckets")
}

fn key(name: &'static str, n: usize) -> Key {
    let labels = vec![
        Label::new("method", REQUEST.method),
        Label::new("route", route(n)),
        Label::new("status", REQUEST.status_text()),
        Label::new("version", REQUEST.version),
    ];
    Key::from_parts(name, labels)
}
