//! Each scenario has two golden files, `NAME.prom` and `NAME.json`. `METERLINE_BLESS=1` rewrites
//! them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::build::{json_page, text_page};
use crate::scenarios;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn indented(json: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(json).expect("JSON");
    format!("{value:#}\n")
}

#[test]
fn pages_are_as_their_golden_files_show() {
    let bless = std::env::var_os("METERLINE_BLESS").is_some();
    let mut wrong = Vec::new();
    for scenario in scenarios::all() {
        let text = text_page(&scenario.options, &scenario.snapshot);
        let json = indented(&json_page(&scenario.options, &scenario.snapshot));
        for (extension, page) in [("prom", text), ("json", json)] {
            let path = directory().join(scenario.name).with_extension(extension);
            if bless {
                fs::write(&path, &page).expect("golden files are writable");
            }
            if fs::read_to_string(&path).ok().as_ref() != Some(&page) {
                wrong.push(format!("{} should be:\n{page}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_golden_file_has_a_scenario() {
    let files = fs::read_dir(directory()).expect("golden files are there");
    let files: BTreeSet<_> = files
        .map(|file| {
            file.expect("readable")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect();
    let expected: BTreeSet<_> = scenarios::all()
        .iter()
        .flat_map(|s| [format!("{}.prom", s.name), format!("{}.json", s.name)])
        .collect();
    assert_eq!(files, expected);
}
