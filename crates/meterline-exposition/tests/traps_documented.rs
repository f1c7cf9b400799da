//! The tests that the list of what went wrong elsewhere points to are there.

use std::fs;
use std::path::Path;

const DOCUMENT: &str = include_str!("../../../docs/traps.md");

#[test]
fn every_test_that_is_named_exists_and_every_row_but_one_names_one() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| "));
    let rows = rows.filter(|row| !row.starts_with("| |"));
    let mut without = Vec::new();
    for row in rows {
        let number = row.split(' ').nth(1).expect("a number");
        let quoted = row.split('`').skip(1).step_by(2);
        let named: Vec<_> = quoted.filter_map(|text| text.split_once(".rs::")).collect();
        if named.is_empty() {
            without.push(number);
        }
        for (file, test) in named {
            let path = crates.join(format!("{file}.rs"));
            let code = fs::read_to_string(&path);
            let code = code.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert!(
                code.contains(&format!("fn {test}(")),
                "{file}.rs has no {test}"
            );
        }
    }
    // A second version of the API: nothing that runs can tell.
    assert_eq!(without, ["11"]);
}
