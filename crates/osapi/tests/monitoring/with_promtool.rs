//! Prometheus's own checker on the rules, and its unit tests for every alert.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use osapi::monitoring::{ALERTS, Metrics, rules};
use xtask::tools::Tool;

use crate::samples::{SAMPLES, Sample};

fn promtool(dir: &Path, args: &[&str]) -> String {
    let output = Command::new(Tool::Promtool.path())
        .current_dir(dir)
        .args(args)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    said.into_owned()
}

#[test]
fn the_rules_are_accepted_for_any_namespace() {
    let mut config = osapi::config::Config::default();
    for namespace in ["osapi", "acme"] {
        config.telemetry.metrics.namespace = namespace.to_owned();
        let dir = tempfile::tempdir().unwrap();
        let rules = rules(&Metrics::of(&config.telemetry).unwrap());
        fs::write(dir.path().join("rules.yml"), rules).unwrap();
        promtool(dir.path(), &["check", "rules", "rules.yml"]);
    }
}

#[test]
fn the_example_configuration_is_accepted() {
    let ops = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ops");
    promtool(&ops, &["check", "config", "prometheus.yml"]);
}

/// Every alert fires on its bad samples and on no other alert's good ones.
#[test]
fn every_alert_fires_when_it_should_and_is_quiet_when_it_should() {
    let names: Vec<_> = SAMPLES.iter().map(|sample| sample.alert).collect();
    for alert in ALERTS {
        assert!(names.contains(&alert.name), "{} has no samples", alert.name);
    }
    let mut tests = "rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n".to_owned();
    for sample in SAMPLES {
        write!(tests, "{}{}", case(sample, true), case(sample, false)).unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rules.yml"), rules(&Metrics::default())).unwrap();
    fs::write(dir.path().join("tests.yml"), tests).unwrap();
    promtool(dir.path(), &["test", "rules", "tests.yml"]);
}

fn case(sample: &Sample, fires: bool) -> String {
    let series = if fires { sample.bad } else { sample.good };
    let mut text = format!(
        "  - interval: 1m\n    name: {} {fires}\n    input_series:\n",
        sample.alert
    );
    for (series, values) in series {
        let series = serde_json::Value::from(*series);
        writeln!(text, "      - {{series: {series}, values: '{values}'}}").unwrap();
    }
    writeln!(
        text,
        "    alert_rule_test:\n      - eval_time: {}\n        alertname: {}\n        exp_alerts:{}",
        sample.at,
        sample.alert,
        if fires { "" } else { " []" }
    )
    .unwrap();
    if fires {
        let alert = ALERTS
            .iter()
            .find(|alert| alert.name == sample.alert)
            .unwrap();
        writeln!(
            text,
            "          - exp_labels: {{severity: {}, {}}}\n            exp_annotations:\n              \
             summary: {}\n              description: {}\n              runbook: docs/runbook.md#{}",
            alert.severity.as_str(),
            sample.labels,
            serde_json::Value::from(sample.summary),
            serde_json::Value::from(alert.means),
            alert.name.to_lowercase()
        )
        .unwrap();
    }
    text
}
