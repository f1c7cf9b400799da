//! The rules as a file for Prometheus.

use super::alerts::{ALERTS, Alert};
use super::names::Metrics;
use super::recorded::RECORDED;

const HEAD: &str = "\
# Recording rules and alerts of osapi. Printed by `osapi rules`; each alert is explained in docs/runbook.md.
groups:
";

/// Recording rules and alerts, as a Prometheus rule file.
#[must_use]
pub fn rules(metrics: &Metrics) -> String {
    let mut file = HEAD.to_owned();
    file += "  - name: osapi-recorded\n    rules:\n";
    for rule in RECORDED {
        file += &format!("      - record: {}\n", metrics.named(rule.name));
        file += &block("        expr", &metrics.named(rule.expr));
    }
    file += "  - name: osapi-alerts\n    rules:\n";
    for alert in ALERTS {
        file += &entry(alert, metrics);
    }
    file
}

fn entry(alert: &Alert, metrics: &Metrics) -> String {
    let Alert {
        name,
        lasting,
        severity,
        ..
    } = alert;
    let mut entry = format!("      - alert: {name}\n");
    entry += &block("        expr", &metrics.named(alert.expr));
    entry += &format!("        for: {lasting}\n");
    entry += &format!("        labels: {{severity: {}}}\n", severity.as_str());
    entry += "        annotations:\n";
    entry += &format!("          summary: {}\n", quoted(alert.summary));
    entry += &format!(
        "          description: {}\n",
        quoted(&metrics.named(alert.means))
    );
    entry += &format!(
        "          runbook: docs/runbook.md#{}\n",
        name.to_lowercase()
    );
    entry
}

/// A text of several lines under a key.
fn block(key: &str, text: &str) -> String {
    let indent = " ".repeat(key.len() - key.trim_start().len() + 2);
    let lines = text.lines().map(|line| format!("{indent}{line}\n"));
    format!("{key}: |-\n{}", lines.collect::<String>())
}

/// A text on one line: JSON's strings are YAML's, too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
