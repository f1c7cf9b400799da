//! `docs/configuration.md` against the code, and the links of all documents: it cannot name a key that is not there, miss one that
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

/// The anchor that a heading gets, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = words
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn links_in_the_documents_lead_somewhere() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut documents = Vec::new();
    for dir in [root.clone(), root.join("docs")] {
        let entries = std::fs::read_dir(dir).expect("it is there");
        let paths = entries.map(|entry| entry.expect("it can be read").path());
        documents.extend(paths.filter(|path| path.extension().is_some_and(|it| it == "md")));
    }
    let mut followed = 0;
    for document in &documents {
        let text = std::fs::read_to_string(document).expect("it is text");
        let links = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'));
        for (link, _) in links.filter(|(link, _)| !link.starts_with("http")) {
            let (file, place) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() {
                document.clone()
            } else {
                document.with_file_name(file)
            };
            assert!(target.exists(), "{}: {link}", document.display());
            if !place.is_empty() {
                let text = std::fs::read_to_string(&target).expect("it is text");
                let mut headings = text.lines().filter(|line| line.starts_with('#'));
                assert!(
                    headings.any(|heading| anchor(heading) == place),
                    "{}: {link}",
                    document.display()
                );
            }
            followed += 1;
        }
    }
    assert!(followed > 60, "only {followed} links found");
}
