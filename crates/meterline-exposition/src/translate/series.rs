use std::sync::{Arc, OnceLock};

use meterline_sdk::{Data, Descriptor, Metric, Resource, Series, Temporality};
use opentelemetry::InstrumentationScope;

use super::same;
use crate::dropped::DropReason;
use crate::families::{BucketBounds, Kind};
use crate::labels::{LabelRules, Texts};
use crate::options::TranslationOptions;
use crate::protobuf::Pieces;

/// What is known about one metric of the snapshot, at the same position.
#[derive(Debug)]
pub(crate) struct MetricPlan {
    pub(super) scope: Arc<InstrumentationScope>,
    pub(super) descriptor: Arc<Descriptor>,
    pub(super) kind: Option<Kind>,
    /// Why the whole metric is left out, if it is.
    pub(crate) dropped: Option<DropReason>,
    /// The series that the texts are of: held, so that its address stays theirs.
    series: Arc<[Arc<Series>]>,
    /// Per series: of numbers `name{labels} `, ready to be followed by the value; of histograms,
    /// whose labels go on, the labels only.
    pub(crate) texts: Texts,
    /// As the texts, for protobuf; made when it is first asked for.
    pub(crate) pieces: OnceLock<Pieces>,
    /// Positions of series that another point of the family already shows, sorted.
    pub(crate) duplicates: Vec<usize>,
    /// Of histograms.
    pub(crate) bounds: BucketBounds,
}

impl MetricPlan {
    pub(super) fn new(metric: &Metric) -> Self {
        Self {
            scope: Arc::clone(&metric.scope),
            descriptor: Arc::clone(&metric.descriptor),
            kind: kind_of(metric),
            dropped: None,
            series: Arc::default(),
            texts: Texts::default(),
            pieces: OnceLock::new(),
            duplicates: Vec::new(),
            bounds: BucketBounds::default(),
        }
    }

    /// Whether it is about this metric.
    pub(super) fn fits(&self, metric: &Metric) -> bool {
        same(&self.scope, &metric.scope)
            && same(&self.descriptor, &metric.descriptor)
            && self.kind == kind_of(metric)
    }

    /// Takes over the texts of an earlier plan for the same metric.
    pub(super) fn reuse(&mut self, known: Self) {
        self.series = known.series;
        self.texts = known.texts;
        self.pieces = known.pieces;
        self.bounds = known.bounds;
    }

    /// Brings texts and bounds up to date with `metric`, whose lines begin with `head`; tells whether
    /// any text changed.
    pub(super) fn refresh(
        &mut self,
        options: &TranslationOptions,
        resource: &Resource,
        head: &str,
        metric: &Metric,
    ) -> bool {
        if let Data::Histogram(data) | Data::Both(data, _) = &metric.data
            && !self.bounds.fit(data.bounds())
        {
            self.bounds = BucketBounds::new(data.bounds());
        }
        if Arc::ptr_eq(&self.series, &metric.series) {
            return false;
        }
        let kind = self.kind.unwrap_or(Kind::Gauge);
        let mut rules = LabelRules::new(options, kind, &metric.scope, resource);
        self.texts = self
            .texts
            .rebuilt(&self.series, &metric.series, |out, series| match kind {
                Kind::Histogram => rules.render(out, series.attributes()),
                Kind::Counter | Kind::Gauge => rules.render_line(out, head, series.attributes()),
            });
        self.pieces = OnceLock::new();
        self.series = Arc::clone(&metric.series);
        true
    }
}

/// The Prometheus type of this data; `None` if there is none, as for deltas.
pub(super) fn kind_of(metric: &Metric) -> Option<Kind> {
    match &metric.data {
        Data::Gauge(_) => Some(Kind::Gauge),
        _ if metric.temporality != Temporality::Cumulative => None,
        Data::Sum {
            monotonic: true, ..
        } => Some(Kind::Counter),
        Data::Sum { .. } => Some(Kind::Gauge),
        Data::Histogram(_) | Data::Both(..) | Data::ExponentialHistogram(_) => {
            Some(Kind::Histogram)
        }
        _ => None,
    }
}
