//! How many series and label values there are.

use std::collections::{HashMap, HashSet};

use super::super::cursor::quoted;
use super::super::series::{Identity, Seen};
use super::super::{Family, Page};
use super::{Finding, Lint, LintOptions, finding};

pub(super) fn lint(
    page: &Page<'_>,
    family: &Family<'_>,
    options: LintOptions,
    found: &mut Vec<Finding>,
) {
    // Fewer samples than either limit need no look.
    if family.samples.len() <= options.label_values.min(options.series) {
        return;
    }
    let identity = Identity {
        labels: &page.labels,
        series: false,
        without: None,
    };
    let mut seen = Seen::default();
    let mut series = 0;
    let mut values: HashMap<&str, HashSet<&str>> = HashMap::new();
    for (index, sample) in family.samples.iter().enumerate() {
        if seen.replace(identity, &family.samples, index).is_some() {
            continue;
        }
        series += 1;
        for label in page.labels(sample) {
            values.entry(&label.name).or_default().insert(&label.value);
        }
    }
    if series > options.series {
        let why = format!(
            "it has {series} series, more than {}; each costs memory in every process and scraper, drop labels it does not need",
            options.series
        );
        found.push(finding(Lint::Cardinality, family, family.offset, why));
    }
    let mut many: Vec<(&str, usize)> = values
        .into_iter()
        .map(|(name, values)| (name, values.len()))
        .filter(|(_, values)| *values > options.label_values)
        .collect();
    many.sort_unstable();
    for (name, values) in many {
        let name = quoted(name);
        let why = format!(
            "label {name} has {values} values, more than {}; is it an id, a path or an address?",
            options.label_values
        );
        found.push(finding(Lint::Cardinality, family, family.offset, why));
    }
}
