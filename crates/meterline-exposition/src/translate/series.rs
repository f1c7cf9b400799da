use std::sync::Arc;

use meterline_sdk::{Data, Descriptor, Metric, Resource, Series};
use opentelemetry::InstrumentationScope;

use super::same;
use crate::dropped::DropReason;
use crate::families::{BucketBounds, Kind};
use crate::labels::{LabelRules, Texts};
use crate::options::TranslationOptions;

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
            kind: kind_of(&metric.data),
            dropped: None,
            series: Arc::default(),
            texts: Texts::default(),
            duplicates: Vec::new(),
            bounds: BucketBounds::default(),
        }
    }

    /// Whether it is about this metric.
    pub(super) fn fits(&self, metric: &Metric) -> bool {
        same(&self.scope, &metric.scope)
            && same(&self.descriptor, &metric.descriptor)
            && self.kind == kind_of(&metric.data)
    }

    /// Takes over the texts of an earlier plan for the same metric.
    pub(super) fn reuse(&mut self, known: Self) {
        self.series = known.series;
        self.texts = known.texts;
        self.bounds = known.bounds;
    }

    /// Brings texts and bounds up to date with `metric`, which is shown as `name`; tells whether
    /// any text changed.
    pub(super) fn refresh(
        &mut self,
        options: &TranslationOptions,
        resource: &Resource,
        name: &str,
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
                Kind::Counter | Kind::Gauge => rules.render_line(out, name, series.attributes()),
            });
        self.series = Arc::clone(&metric.series);
        true
    }
}

/// The Prometheus type of this data; `None` if there is none.
pub(super) fn kind_of(data: &Data) -> Option<Kind> {
    match data {
        Data::Sum {
            monotonic: true, ..
        } => Some(Kind::Counter),
        Data::Sum {
            monotonic: false, ..
        }
        | Data::Gauge(_) => Some(Kind::Gauge),
        Data::Histogram(_) | Data::Both(..) => Some(Kind::Histogram),
        _ => None,
    }
}
