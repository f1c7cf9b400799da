//! Labels.

use std::collections::HashSet;

use super::super::cursor::quoted;
use super::super::{Family, Page, Suffix, Type};
use super::{Finding, Lint, finding};

pub(super) fn lint(page: &Page<'_>, family: &Family<'_>, found: &mut Vec<Finding>) {
    let mut said = HashSet::new();
    for sample in &family.samples {
        for label in page.labels(sample) {
            let name = &*label.name;
            let why = match (name, family.kind) {
                _ if name.starts_with("__") => "is for internal use; rename it",
                ("le", Type::Histogram | Type::GaugeHistogram)
                    if sample.suffix == Suffix::Bucket =>
                {
                    continue;
                }
                ("le", _) => "is for buckets of histograms; rename it",
                ("quantile", _) => "is for summaries; rename it",
                _ => continue,
            };
            if said.insert(name) {
                let why = format!("label {} {why}", quoted(name));
                found.push(finding(Lint::Label, family, sample.offset, why));
            }
        }
    }
}
