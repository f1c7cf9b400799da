use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use meterline_sdk::{Metric, Resource, Snapshot};

use super::same;
use super::series::MetricPlan;
use crate::dropped::{DropReason, Dropped};
use crate::families::Kind;
use crate::labels::{LabelRules, Texts};
use crate::name::metric_name;
use crate::options::TranslationOptions;
use crate::unit::unit_words;

const TARGET_INFO: &str = "target_info";

/// Which metrics of a snapshot make which families. Holds for as long as the snapshots have the
/// same resource and the same instruments.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    resource: Arc<Resource>,
    /// One per metric of the snapshot, in its order.
    pub(crate) metrics: Vec<MetricPlan>,
    /// Sorted by name.
    pub(crate) families: Vec<FamilyPlan>,
}

/// One family, and where its points come from.
#[derive(Debug)]
pub(crate) struct FamilyPlan {
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) unit: String,
    pub(crate) kind: Kind,
    pub(crate) sources: Vec<Source>,
}

/// Where points of a family come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// The metric at this position of the snapshot.
    Metric(usize),
    /// The resource: one point of value 1, with this text.
    Target(Texts),
}

impl Plan {
    /// Plans for a snapshot, reusing the texts of an earlier plan made with the same options.
    pub(super) fn new(options: &TranslationOptions, snapshot: &Snapshot, known: Self) -> Self {
        let mut families = Assignment::default();
        if options.target_info && !snapshot.resource.attributes().is_empty() {
            families.add_target(options, &snapshot.resource);
        }
        let mut known = known.metrics_of(&snapshot.resource);
        let mut metrics = Vec::with_capacity(snapshot.metrics.len());
        for (index, metric) in snapshot.metrics.iter().enumerate() {
            let mut plan = MetricPlan::new(metric);
            plan.dropped = families.add(options, index, metric, plan.kind).err();
            if plan.dropped.is_none()
                && let Some(known) = known.remove(&identity(metric))
                && known.fits(metric)
            {
                plan.reuse(known);
            }
            metrics.push(plan);
        }
        Self {
            resource: Arc::clone(&snapshot.resource),
            metrics,
            families: families.sorted(),
        }
    }

    /// Whether it still holds for this snapshot.
    pub(super) fn fits(&self, snapshot: &Snapshot) -> bool {
        let metrics = || self.metrics.iter().zip(&snapshot.metrics);
        same(&self.resource, &snapshot.resource)
            && !(self.metrics.is_empty() && self.families.is_empty())
            && self.metrics.len() == snapshot.metrics.len()
            && metrics().all(|(plan, metric)| plan.fits(metric))
    }

    /// Brings the texts up to date with the snapshot's series, and finds the duplicates among them
    /// where any changed, or everywhere if the plan is `new`. Tells whether anything changed.
    pub(super) fn refresh(
        &mut self,
        options: &TranslationOptions,
        snapshot: &Snapshot,
        new: bool,
    ) -> bool {
        let mut any = new;
        for family in &self.families {
            let mut changed = new;
            for index in family.metrics() {
                let (plan, metric) = (&mut self.metrics[index], &snapshot.metrics[index]);
                changed |= plan.refresh(options, &self.resource, &family.name, metric);
            }
            if changed {
                mark_duplicates(family, &mut self.metrics);
            }
            any |= changed;
        }
        any
    }

    /// The points that are in no family.
    pub(crate) fn dropped(&self, snapshot: &Snapshot) -> Dropped {
        let mut dropped = Dropped::default();
        for (plan, metric) in self.metrics.iter().zip(&snapshot.metrics) {
            match plan.dropped {
                Some(reason) => dropped.add(reason, metric.data.len()),
                None => dropped.add(DropReason::DuplicateSeries, plan.duplicates.len()),
            }
        }
        dropped
    }

    /// What is known about metrics by their identity, if the texts are good under this resource.
    fn metrics_of(self, resource: &Arc<Resource>) -> HashMap<(usize, usize), MetricPlan> {
        if !same(&self.resource, resource) {
            return HashMap::new();
        }
        let shown = self.metrics.into_iter().filter(|m| m.dropped.is_none());
        shown
            .map(|plan| (addresses(&plan.scope, &plan.descriptor), plan))
            .collect()
    }
}

impl FamilyPlan {
    fn metrics(&self) -> impl Iterator<Item = usize> {
        self.sources.iter().filter_map(|source| match source {
            Source::Metric(index) => Some(*index),
            Source::Target(_) => None,
        })
    }
}

/// Families taking shape: each name belongs to the first that claims it.
#[derive(Default)]
struct Assignment {
    families: Vec<FamilyPlan>,
    /// Which family samples of a name belong to.
    claimed: HashMap<String, usize>,
}

impl Assignment {
    fn add_target(&mut self, options: &TranslationOptions, resource: &Resource) {
        let mut texts = Texts::default();
        let mut rules = LabelRules::bare(options.strategy, Kind::Gauge);
        texts.push(|out| rules.render_line(out, TARGET_INFO, resource.attributes()));
        self.claimed.insert(TARGET_INFO.to_owned(), 0);
        self.families.push(FamilyPlan {
            name: TARGET_INFO.to_owned(),
            help: "Target metadata".to_owned(),
            unit: String::new(),
            kind: Kind::Gauge,
            sources: vec![Source::Target(texts)],
        });
    }

    /// Adds the metric at this position of the snapshot to the family of its name, or says why
    /// that cannot be.
    fn add(
        &mut self,
        options: &TranslationOptions,
        index: usize,
        metric: &Metric,
        kind: Option<Kind>,
    ) -> Result<(), DropReason> {
        let kind = kind.ok_or(DropReason::Unsupported)?;
        let descriptor = &metric.descriptor;
        let unit = unit_words(&descriptor.unit);
        let name = metric_name(options.strategy, &descriptor.name, &unit, kind)
            .ok_or(DropReason::InvalidName)?;
        if let Some(&at) = self.claimed.get(&name)
            && self.families[at].name == name
        {
            return self.families[at].join(index, metric, unit, kind);
        }
        let samples = sample_names(&name, kind);
        if samples
            .iter()
            .any(|sample| self.claimed.contains_key(sample))
        {
            return Err(DropReason::NameConflict);
        }
        let at = self.families.len();
        self.claimed
            .extend(samples.into_iter().map(|name| (name, at)));
        self.families.push(FamilyPlan {
            name,
            help: descriptor.description.clone().into_owned(),
            unit,
            kind,
            sources: vec![Source::Metric(index)],
        });
        Ok(())
    }

    fn sorted(mut self) -> Vec<FamilyPlan> {
        self.families.sort_by(|a, b| a.name.cmp(&b.name));
        self.families
    }
}

impl FamilyPlan {
    fn join(
        &mut self,
        index: usize,
        metric: &Metric,
        unit: String,
        kind: Kind,
    ) -> Result<(), DropReason> {
        let target = self.sources.iter().any(|s| matches!(s, Source::Target(_)));
        if self.kind != kind || target {
            return Err(DropReason::TypeConflict);
        }
        // The points stay when help or unit differ; the first that has something to say is heard.
        let help = &metric.descriptor.description;
        if self.help.is_empty() {
            self.help = help.clone().into_owned();
        } else if !help.is_empty() && self.help != **help {
            tracing::debug!(family = self.name, kept = self.help, other = %help, "help texts differ");
        }
        if self.unit.is_empty() {
            self.unit = unit;
        }
        self.sources.push(Source::Metric(index));
        Ok(())
    }
}

/// The family's own name, and those of its samples.
fn sample_names(name: &str, kind: Kind) -> Vec<String> {
    let suffixes: &[&str] = match kind {
        Kind::Counter | Kind::Gauge => &[""],
        Kind::Histogram => &["", "_bucket", "_sum", "_count"],
    };
    suffixes.iter().map(|s| format!("{name}{s}")).collect()
}

/// Of points with the same text, only the first is shown.
fn mark_duplicates(family: &FamilyPlan, metrics: &mut [MetricPlan]) {
    let points = family.metrics().map(|index| metrics[index].texts.len());
    let mut seen = HashSet::with_capacity(points.sum());
    let duplicates = family.metrics().map(|index| {
        let texts = metrics[index].texts.iter().enumerate();
        let again = texts.filter(|(_, text)| !seen.insert(*text));
        (index, again.map(|(at, _)| at).collect())
    });
    let duplicates: Vec<(usize, Vec<usize>)> = duplicates.collect();
    drop(seen);
    for (index, duplicates) in duplicates {
        metrics[index].duplicates = duplicates;
    }
}

fn identity(metric: &Metric) -> (usize, usize) {
    addresses(&metric.scope, &metric.descriptor)
}

/// Addresses are only a hint where to look: they are compared by value afterwards.
fn addresses<A, B>(a: &Arc<A>, b: &Arc<B>) -> (usize, usize) {
    (Arc::as_ptr(a).addr(), Arc::as_ptr(b).addr())
}
