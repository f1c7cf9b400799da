use std::collections::BTreeSet;

use crate::translate::FamilyPlan;

/// The families a scraper asks for with `name[]` parameters: each by its own name, that of one of
/// its samples, or the one OpenMetrics gives it. Names are as the page shows them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameFilter(BTreeSet<String>);

impl NameFilter {
    /// Families of these names.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().collect())
    }

    pub(crate) fn wants(&self, family: &FamilyPlan) -> bool {
        self.0.contains(&family.name)
            || self.0.contains(family.openmetrics_name())
            || family.sample_names().any(|name| self.0.contains(&name))
    }
}
