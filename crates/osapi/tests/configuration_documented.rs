//! `docs/configuration.md` against the code: it cannot name a key that is not there, miss one that
//! is, or tell another default.

use std::collections::BTreeSet;

use osapi::config::{Config, Sources};
use serde_json::Value;

const DOCUMENT: &str = include_str!("../../../docs/configuration.md");

/// One row of the table of all keys.
struct Row {
    key: &'static str,
    default: &'static str,
}

fn rows() -> Vec<Row> {
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split(" | ").collect();
        let (key, _) = cells[0]
            .trim_start_matches("| `")
            .split_once('`')
            .expect("the key stands between backquotes");
        Row {
            key,
            default: cells[1].trim_matches('`'),
        }
    })
    .collect()
}

fn keys(path: &str, value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            for (name, value) in entries {
                let dot = if path.is_empty() { "" } else { "." };
                keys(&format!("{path}{dot}{name}"), value, found);
            }
        }
        _ => assert!(found.insert(path.to_owned()), "{path} twice"),
    }
}

#[test]
fn every_key_is_documented_once() {
    let mut exist = BTreeSet::new();
    let config = serde_json::to_value(Config::default()).expect("a configuration is a value");
    keys("", &config, &mut exist);
    let documented: Vec<String> = rows().iter().map(|row| row.key.to_owned()).collect();
    let distinct: BTreeSet<String> = documented.iter().cloned().collect();
    assert_eq!(distinct, exist);
    assert_eq!(
        documented.len(),
        distinct.len(),
        "a key is documented twice"
    );
}

#[test]
fn setting_every_documented_default_changes_nothing() {
    let set = rows()
        .into_iter()
        .map(|row| format!("{}={}", row.key, row.default));
    let sources = Sources {
        set: set.collect(),
        ..Sources::default()
    };
    let loaded = sources.load().expect("the documented defaults are allowed");
    assert_eq!(loaded.config, Config::default());
}

#[test]
fn the_example_is_a_valid_configuration() {
    let (_, rest) = DOCUMENT.split_once("```yaml\n").expect("there is one");
    let (example, _) = rest.split_once("```").expect("it ends");
    let file = tempfile::NamedTempFile::new().expect("a file can be made");
    std::fs::write(file.path(), example).expect("it can be written");
    let sources = Sources {
        file: Some(file.path().to_owned()),
        ..Sources::default()
    };
    let config = sources.load().expect("the example is valid").config;
    assert_eq!(config.worker.allow_commands, ["uptime"]);
    assert!(config.metrics_enabled());
}
