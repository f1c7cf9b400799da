//! What to do when an alert comes.

use super::alerts::ALERTS;

const HEAD: &str = "\
# Runbook

<!-- Made from crates/osapi/src/monitoring/alerts.rs by the tests of osapi: edit that, run
`cargo test -p osapi monitoring`, and commit both. -->

One entry for each alert of `ops/rules.yml` (`osapi rules` prints them for another namespace). Metrics are
explained in [metrics.md](metrics.md), ways of operating in [operations.md](operations.md).
";

/// The runbook, as Markdown.
#[must_use]
pub fn runbook() -> String {
    let mut page = HEAD.to_owned();
    for alert in ALERTS {
        page += &format!("\n## {}\n\n", alert.name);
        page += &format!(
            "*{}, after {}.* {}\n\n",
            alert.severity.as_str(),
            alert.lasting,
            alert.means
        );
        page += &format!("```promql\n{}\n```\n\n", alert.expr);
        for step in alert.steps {
            page += &format!("- {step}\n");
        }
    }
    page
}
