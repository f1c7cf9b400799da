//! Our own strict parser takes every page, of every format, whatever was recorded.

use meterline_exposition::Format;
use meterline_exposition::parse::{Page, Syntax};
use proptest::prelude::*;

use crate::build::{for_format, page};
use crate::hostile::{any_options, hostile_snapshot};
use crate::scenarios;

fn syntax(format: Format) -> Syntax {
    match format {
        Format::Text => Syntax::Text,
        Format::TextUtf8 => Syntax::TextUtf8,
        Format::OpenMetrics | Format::OpenMetrics0 => Syntax::OpenMetrics,
        Format::Protobuf => Syntax::Protobuf,
    }
}

fn check(format: Format, bytes: &[u8]) -> Result<(), String> {
    let page = Page::parse(bytes, syntax(format));
    let shown = || String::from_utf8_lossy(bytes);
    page.map(drop)
        .map_err(|fault| format!("{format:?}: {fault}\n{}", shown()))
}

#[test]
fn golden_pages_are_valid() {
    for scenario in scenarios::all() {
        for format in Format::ALL {
            let options = for_format(format, scenario.options.clone());
            let page = page(format, &options, &scenario.snapshot);
            check(format, &page).unwrap_or_else(|why| panic!("{}: {why}", scenario.name));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn hostile_pages_are_valid(options in any_options(), snapshot in hostile_snapshot()) {
        for format in Format::ALL {
            let options = for_format(format, options.clone());
            let whole = page(format, &options, &snapshot);
            let checked = check(format, &whole);
            prop_assert!(checked.is_ok(), "{}", checked.unwrap_err());
            prop_assert_eq!(&in_chunks(format, &options, &snapshot), &whole);
        }
    }
}

/// The page put together from the smallest chunks there are.
fn in_chunks(
    format: Format,
    options: &meterline_exposition::TranslationOptions,
    snapshot: &meterline_sdk::Snapshot,
) -> Vec<u8> {
    let mut translator = meterline_exposition::Translator::new(options.clone());
    let (mut page, mut buffer) = (Vec::new(), Vec::new());
    let families = translator.translate(snapshot);
    format.encode_in_chunks(&families, &mut buffer, 1, &mut |chunk| page.append(chunk));
    assert!(buffer.is_empty());
    page
}
