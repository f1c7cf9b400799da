//! The tests that the list of what OTLP asks for points to are there.

use std::fs;
use std::path::Path;

const DOCUMENT: &str = include_str!("../../../docs/otlp.md");

#[test]
fn every_test_that_is_named_exists() {
    let quoted = DOCUMENT.split('`').skip(1).step_by(2);
    let named: Vec<_> = quoted.filter_map(|text| text.split_once("::")).collect();
    assert!(named.len() > 20, "the document names its tests: {named:?}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (file, test) in named {
        let code = fs::read_to_string(root.join(file));
        let code = code.unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(
            code.contains(&format!("fn {test}(")),
            "{file} has no {test}"
        );
    }
}
