//! Each scenario has a golden file per format: `NAME.prom` is text, `NAME.om` OpenMetrics, `NAME.pb`
//! protobuf as our parser lists its fields, and `NAME.json` JSON. Scenarios whose names need quotes
//! have `NAME.prom1`, text 1.0.0, too. `METERLINE_BLESS=1` rewrites them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use meterline_exposition::{Escaping, Format};

use crate::build::{for_format, json_page, page};
use crate::fields;
use crate::scenarios::{self, Scenario};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn indented(json: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(json).expect("JSON");
    format!("{value:#}\n")
}

/// The pages of a scenario, with the extensions of their files.
fn pages(scenario: &Scenario) -> Vec<(&'static str, String)> {
    let Scenario {
        options, snapshot, ..
    } = scenario;
    let text = |format| {
        let page = page(format, &for_format(format, options.clone()), snapshot);
        String::from_utf8(page).expect("a page is UTF-8")
    };
    let protobuf = page(Format::Protobuf, options, snapshot);
    let mut pages = vec![
        ("prom", text(Format::Text)),
        ("om", text(Format::OpenMetrics)),
        ("pb", fields::listed(&protobuf)),
        ("json", indented(&json_page(options, snapshot))),
    ];
    if options.escaping == Escaping::AllowUtf8 {
        pages.push(("prom1", text(Format::TextUtf8)));
    }
    pages
}

#[test]
fn pages_are_as_their_golden_files_show() {
    let bless = std::env::var_os("METERLINE_BLESS").is_some();
    let mut wrong = Vec::new();
    for scenario in scenarios::all() {
        for (extension, page) in pages(&scenario) {
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
    let scenarios = scenarios::all();
    let named = |scenario: &Scenario| {
        let name = scenario.name;
        let pages = pages(scenario).into_iter();
        pages
            .map(|(extension, _)| format!("{name}.{extension}"))
            .collect::<Vec<_>>()
    };
    let expected: BTreeSet<_> = scenarios.iter().flat_map(named).collect();
    assert_eq!(files, expected);
}
