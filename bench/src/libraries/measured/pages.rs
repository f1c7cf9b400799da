//! Pages of many series, whose routes are not known beforehand and kept in an interner.

use measured::lasso::ThreadedRodeo;
use measured::metric::histogram::Thresholds;
use measured::text::BufferedTextEncoder;
use measured::{CounterVec, FixedCardinalityLabel, HistogramVec, LabelGroup, MetricGroup};

use super::super::{BUCKETS, Exposition, count, duration, route};

#[derive(Clone, Copy, FixedCardinalityLabel)]
enum Method {
    #[label(rename = "GET")]
    Get,
}

#[derive(Clone, Copy, FixedCardinalityLabel)]
enum Status {
    #[label(rename = "200")]
    Ok,
}

#[derive(Clone, Copy, FixedCardinalityLabel)]
enum Version {
    #[label(rename = "1.1")]
    Http11,
}

#[derive(Clone, Copy, LabelGroup)]
#[label(set = LabelsSet)]
struct Labels<'a> {
    method: Method,
    #[label(dynamic_with = ThreadedRodeo)]
    route: &'a str,
    status: Status,
    version: Version,
}

#[derive(MetricGroup)]
struct Counters {
    /// counter
    counter_total: CounterVec<LabelsSet>,
}

#[derive(MetricGroup)]
struct Histograms {
    /// histogram
    histogram: HistogramVec<LabelsSet, 14>,
}

pub(crate) fn counters(series: usize) -> Exposition {
    let metrics = Counters {
        counter_total: CounterVec::with_label_set(LabelsSet::new(ThreadedRodeo::default())),
    };
    for n in 0..series {
        metrics.counter_total.inc_by(labels(&route(n)), count(n));
    }
    exposition(metrics)
}

pub(crate) fn histograms(series: usize) -> Exposition {
    let thresholds = Thresholds::with_buckets(BUCKETS);
    let metrics = Histograms {
        histogram: HistogramVec::with_label_set_and_metadata(
            LabelsSet::new(ThreadedRodeo::default()),
            thresholds,
        ),
    };
    for n in 0..series {
        let route = route(n);
        (0..16).for_each(|i| metrics.histogram.observe(labels(&route), duration(i)));
    }
    exposition(metrics)
}

fn labels(route: &str) -> Labels<'_> {
    Labels {
        method: Method::Get,
        route,
        status: Status::Ok,
        version: Version::Http11,
    }
}

fn exposition<M: MetricGroup<BufferedTextEncoder> + Send + 'static>(metrics: M) -> Exposition {
    let mut encoder = BufferedTextEncoder::new();
    Exposition {
        name: super::NAME,
        page: Box::new(move |out| {
            let written = metrics.collect_group_into(&mut encoder);
            written.expect("memory takes everything");
            *out = encoder.finish().into();
        }),
    }
}
