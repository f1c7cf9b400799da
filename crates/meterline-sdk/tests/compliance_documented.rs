//! The tests that the list of what the specification demands points to are there.

use std::fs;
use std::path::Path;

const DOCUMENT: &str = include_str!("../../../docs/otel-compliance.md");

#[test]
fn every_test_that_is_named_exists() {
    let quoted = DOCUMENT.split('`').skip(1).step_by(2);
    let named: Vec<_> = quoted.filter_map(|text| text.split_once(".rs::")).collect();
    assert!(named.len() > 30, "the document names its tests: {named:?}");
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (file, test) in named {
        let folder = if file.starts_with("src/") {
            ""
        } else {
            "tests"
        };
        let path = here.join(folder).join(format!("{file}.rs"));
        let code = fs::read_to_string(&path);
        let code = code.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(
            code.contains(&format!("fn {test}(")),
            "{file}.rs has no {test}"
        );
    }
}
