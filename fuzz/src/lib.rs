//! What the targets have in common.

#![forbid(unsafe_code)]

pub mod negotiation;
pub mod page;

use meterline_exposition::parse::{Limits, LintOptions, Page, Place, Syntax};

/// Reads and lints a page, and asserts what holds of every page.
pub fn read(bytes: &[u8], syntax: Syntax) {
    let _ = Syntax::sniff(bytes);
    let page = match Page::parse_within(bytes, syntax, Limits::default()) {
        Ok(page) => page,
        Err(fault) => {
            assert!(!fault.message.is_empty());
            assert!(
                fault.message.len() < 1000,
                "a message does not repeat the page"
            );
            return within(fault.place, bytes);
        }
    };
    let mut places = page.places(bytes);
    for finding in page.lint(LintOptions::default()) {
        within(places.at(finding.offset), bytes);
    }
    for family in &page.families {
        for sample in &family.samples {
            let labels = page.labels(sample);
            assert!(
                labels.is_sorted_by(|a, b| a.name < b.name),
                "sorted, and none twice"
            );
            assert!((sample.offset as usize) < bytes.len());
            if let Some(exemplar) = &sample.exemplar {
                assert!(page.exemplar_labels(exemplar).len() < bytes.len());
            }
        }
    }
}

fn within(place: Place, bytes: &[u8]) {
    match place {
        Place::Byte(at) => assert!(at <= bytes.len()),
        Place::Line { line, column } => {
            let lines = bytes.split(|byte| *byte == b'\n').count();
            assert!((1..=lines).contains(&line) && (1..=bytes.len() + 1).contains(&column));
        }
    }
}
