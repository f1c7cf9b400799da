use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use meterline_sdk::{Metric, Resource, Snapshot};

use super::same;
use super::series::MetricPlan;
use crate::dropped::{DropReason, Dropped};
use crate::escape::escape_into;
use crate::escaping::is_legacy;
use crate::families::{Kind, OpenMetricsType};
use crate::labels::{LabelRules, Texts};
use crate::name::Naming;
use crate::options::TranslationOptions;
use crate::unit::unit_words;

const TARGET_INFO: &str = "target_info";

/// Which metrics of a snapshot make which families. Holds for as long as the snapshots have the
/// same resource and the same instruments.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    resource: Arc<Resource>,
    /// How everything in it was named.
    pub(crate) naming: Naming,
    /// Whether OpenMetrics has `_created` lines.
    pub(crate) created_timestamps: bool,
    /// One per metric of the snapshot, in its order.
    pub(crate) metrics: Vec<MetricPlan>,
    /// Sorted by name.
    pub(crate) families: Vec<FamilyPlan>,
}

/// One family, and where its points come from.
#[derive(Debug)]
pub(crate) struct FamilyPlan {
    pub(crate) name: String,
    /// How a line of it begins: the name, or `{"name"` if it needs quotes.
    pub(crate) head: String,
    pub(crate) openmetrics: OpenMetricsType,
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
            naming: options.naming(),
            created_timestamps: options.created_timestamps,
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
                changed |= plan.refresh(options, &self.resource, &family.head, metric);
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
    fn new(name: String, kind: Kind, source: Source) -> Self {
        let mut head = String::new();
        if is_legacy(&name, true) {
            head.push_str(&name);
        } else {
            head.push_str("{\"");
            escape_into(&mut head, &name, true);
            head.push('"');
        }
        Self {
            name,
            head,
            openmetrics: OpenMetricsType::Own,
            help: String::new(),
            unit: String::new(),
            kind,
            sources: vec![source],
        }
    }

    /// Its name in OpenMetrics.
    pub(crate) fn openmetrics_name(&self) -> &str {
        match self.openmetrics {
            OpenMetricsType::Stem(_) => self.name.rsplit_once('_').map_or("", |(stem, _)| stem),
            OpenMetricsType::Own | OpenMetricsType::Unknown => &self.name,
        }
    }

    /// The names its samples may have.
    pub(crate) fn sample_names(&self) -> impl Iterator<Item = String> {
        sample_names(&self.name, self.kind).into_iter()
    }

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
        let name = options.naming().escaping.apply(TARGET_INFO, true);
        let source = Source::Target(Texts::default());
        let mut family = FamilyPlan::new(name, Kind::Gauge, source);
        let mut texts = Texts::default();
        let mut rules = LabelRules::bare(options.naming(), Kind::Gauge);
        texts.push(|out| rules.render_line(out, &family.head, resource.attributes()));
        family.sources = vec![Source::Target(texts)];
        family.help = "Target metadata".to_owned();
        self.claimed.insert(family.name.clone(), 0);
        self.families.push(family);
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
        let name = options.naming().metric(&descriptor.name, &unit, kind);
        let name = name.ok_or(DropReason::InvalidName)?;
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
        let mut family = FamilyPlan::new(name, kind, Source::Metric(index));
        family.help = descriptor.description.clone().into_owned();
        family.unit = unit;
        self.families.push(family);
        Ok(())
    }

    fn sorted(mut self) -> Vec<FamilyPlan> {
        self.families.sort_by(|a, b| a.name.cmp(&b.name));
        for family in &mut self.families {
            family.openmetrics = openmetrics_type(family, &mut self.claimed);
        }
        self.families
    }
}

/// How OpenMetrics shows a family, whose name there must not be that of another family's sample.
fn openmetrics_type(family: &FamilyPlan, claimed: &mut HashMap<String, usize>) -> OpenMetricsType {
    let target = matches!(family.sources[0], Source::Target(_));
    let (suffix, kind, created) = match family.kind {
        Kind::Counter => ("_total", "counter", true),
        Kind::Gauge if target => ("_info", "info", false),
        Kind::Gauge | Kind::Histogram => return OpenMetricsType::Own,
    };
    let Some(stem) = family.name.strip_suffix(suffix).filter(|s| !s.is_empty()) else {
        return OpenMetricsType::Unknown;
    };
    let names = [stem.to_owned(), format!("{stem}_created")];
    let names = &names[..1 + usize::from(created)];
    if names.iter().any(|name| claimed.contains_key(name)) {
        return OpenMetricsType::Unknown;
    }
    claimed.extend(names.iter().map(|name| (name.clone(), usize::MAX)));
    OpenMetricsType::Stem(kind)
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
        Kind::Histogram => &["", "_bucket", "_sum", "_count", "_created"],
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
