//! `promtool check metrics`, which reads pages with the Go library's parser and then lints them.

use xtask::promtool_check_metrics;

use crate::build::text_page;
use crate::{hostile, scenarios};

/// What promtool says when it cannot read a page, other than when it dislikes a name.
const UNREADABLE: &str = "parsing error";

#[test]
fn finds_nothing_in_a_page_of_good_names() {
    for scenario in scenarios::all() {
        if ["web_service", "scopes_and_resource"].contains(&scenario.name) {
            let page = text_page(&scenario.options, &scenario.snapshot);
            assert_eq!(promtool_check_metrics(&page), Ok(()), "{page}");
        }
    }
}

#[test]
fn reads_every_golden_page() {
    for scenario in scenarios::all() {
        assert_readable(&text_page(&scenario.options, &scenario.snapshot));
    }
}

#[test]
fn reads_hostile_pages() {
    for (options, snapshot) in hostile::samples(100) {
        assert_readable(&text_page(&options, &snapshot));
    }
}

/// Lest the assertion above passes because promtool words it differently one day.
#[test]
fn says_so_when_a_page_is_unreadable() {
    let said = promtool_check_metrics("x{a=\"1\",a=\"2\"} 1\n").expect_err("a duplicate label");
    assert!(said.contains(UNREADABLE), "{said}");
}

fn assert_readable(page: &str) {
    if let Err(said) = promtool_check_metrics(page) {
        assert!(!said.contains(UNREADABLE), "{said}\n{page}");
    }
}
