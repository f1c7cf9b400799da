//! The files in the repository are what the program prints. One that is out of date is repaired, and
//! with `CI` set the test fails.

use std::fs;
use std::path::Path;

use osapi::monitoring::{Metrics, dashboards, rules, runbook};

fn keep(path: &str, wanted: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path);
    if fs::read_to_string(&path).unwrap_or_default() == wanted {
        return;
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "{} is out of date: run `cargo test -p osapi monitoring` and commit it",
        path.display()
    );
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, wanted).unwrap();
}

#[test]
fn rules_runbook_and_dashboards_are_up_to_date() {
    let metrics = Metrics::default();
    keep("ops/rules.yml", &rules(&metrics));
    keep("docs/runbook.md", &runbook());
    for dashboard in dashboards(&metrics) {
        let text = serde_json::to_string_pretty(&dashboard.json).unwrap() + "\n";
        keep(&format!("ops/grafana/{}.json", dashboard.name), &text);
    }
}
