mod plan;
mod series;

use std::sync::Arc;

use hashbrown::HashSet;
use meterline_sdk::{Metric, Snapshot};

use crate::dropped::DropReason;
use crate::families::Families;
use crate::options::TranslationOptions;

pub(crate) use plan::{FamilyPlan, Plan, Source};
pub(crate) use series::MetricPlan;

/// How many different things are logged before silence.
const LOGGED_AT_MOST: usize = 1_000;

/// Turns snapshots into [`Families`], and remembers what can be reused: names and conflicts as
/// long as the same instruments are there, label texts as long as their series is.
///
/// Once instruments and series are known, translating costs a few comparisons per instrument and
/// nothing per series.
#[derive(Debug)]
pub struct Translator {
    options: TranslationOptions,
    plan: Plan,
    logged: HashSet<(DropReason, String)>,
}

impl Translator {
    /// A translator that remembers nothing yet.
    #[must_use]
    pub fn new(options: TranslationOptions) -> Self {
        Self {
            options,
            plan: Plan::default(),
            logged: HashSet::new(),
        }
    }

    /// What it was made with.
    #[must_use]
    pub fn options(&self) -> &TranslationOptions {
        &self.options
    }

    /// The families of this snapshot. Series and values are matched by position; what one list
    /// has more than the other is left out.
    pub fn translate<'a>(&'a mut self, snapshot: &'a Snapshot) -> Families<'a> {
        let new = !self.plan.fits(snapshot);
        if new {
            let known = std::mem::take(&mut self.plan);
            self.plan = Plan::new(&self.options, snapshot, known);
        }
        if self.plan.refresh(&self.options, snapshot, new) {
            self.log_drops(snapshot);
        }
        Families {
            plan: &self.plan,
            snapshot,
            filter: None,
        }
    }

    /// Tells about each instrument that loses points, once for each reason.
    fn log_drops(&mut self, snapshot: &Snapshot) {
        for (metric, plan) in snapshot.metrics.iter().zip(&self.plan.metrics) {
            let reason = match plan.dropped {
                Some(reason) => reason,
                None if plan.duplicates.is_empty() => continue,
                None => DropReason::DuplicateSeries,
            };
            let name = metric.descriptor.name.clone().into_owned();
            if self.logged.len() < LOGGED_AT_MOST && self.logged.insert((reason, name)) {
                log(reason, metric);
            }
        }
    }
}

fn log(reason: DropReason, metric: &Metric) {
    tracing::warn!(
        reason = reason.as_str(),
        instrument = %metric.descriptor.name,
        scope = metric.scope.name(),
        "points of an instrument are missing from the metrics page"
    );
}

/// Whether two shared values are equal; the same allocation needs no look inside.
fn same<T: PartialEq>(a: &Arc<T>, b: &Arc<T>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}

#[cfg(test)]
mod tests;
