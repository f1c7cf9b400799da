//! What is encoded is read back by our own strict parser as it was meant.

use meterline_exposition::parse::{Page, Severity, Suffix, Syntax};
use meterline_exposition::{Format, Translator};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::build::for_format;
use crate::hostile::{any_options, hostile_snapshot};
use crate::with_python::{Labels, Samples, bits, config, expected};

/// The samples of a page by name and labels.
fn read(page: &Page<'_>) -> Samples {
    let mut samples = Samples::new();
    for family in &page.families {
        for sample in &family.samples {
            let labels = page.labels(sample).iter();
            let mut labels: Labels = labels
                .map(|label| (label.name.to_string(), label.value.to_string()))
                .collect();
            let bound = sample.bound.map(|bound| format!("{bound:?}"));
            labels.extend(bound.map(|bound| ("le".to_owned(), bound)));
            by_value(&mut labels);
            let name = format!("{}{}", family.name, sample.suffix.as_str());
            let value = sample.value.number().map_or(0, bits);
            let before = samples.insert((name, labels), value);
            assert_eq!(before, None, "no series is there twice");
        }
    }
    samples
}

/// Formats write the same bound differently.
fn by_value(labels: &mut Labels) {
    if let Some(le) = labels.get_mut("le")
        && let Ok(bound) = le.parse::<f64>()
    {
        *le = format!("{bound:?}");
    }
}

fn meant(families: &meterline_exposition::Families<'_>) -> Samples {
    let samples = expected(families, None, false).0.into_iter();
    samples
        .map(|((name, mut labels), value)| {
            by_value(&mut labels);
            ((name, labels), value)
        })
        .collect()
}

#[test]
fn hostile_snapshots_survive_text() {
    let strategy = (any_options(), hostile_snapshot());
    let outcome = TestRunner::new(config(1_000)).run(&strategy, |(options, snapshot)| {
        for (format, syntax) in [
            (Format::Text, Syntax::Text),
            (Format::Text, Syntax::TextUtf8),
            (Format::TextUtf8, Syntax::TextUtf8),
        ] {
            let mut translator = Translator::new(for_format(format, options.clone()));
            let families = translator.translate(&snapshot);
            let mut bytes = Vec::new();
            format.encode(&families, &mut bytes);
            let page = Page::parse(&bytes, syntax);
            let page = page.map_err(|fault| TestCaseError::fail(fault.to_string()))?;
            prop_assert_eq!(read(&page), meant(&families));
            // Blanks before help belong to the line, not to the text.
            let described = families.iter().map(|f| {
                (
                    f.name(),
                    f.kind().as_str(),
                    f.help().trim_start_matches([' ', '\t']),
                )
            });
            let read = page.families.iter().map(|f| {
                let help = f.help.as_deref().unwrap_or_default();
                (&*f.name, f.kind.as_str(), help)
            });
            prop_assert!(read.eq(described), "{:?}", page.families);
            let found = page.lint(Default::default());
            let mut errors = found.iter().filter(|f| f.severity() == Severity::Error);
            prop_assert_eq!(errors.next(), None);
            // All buckets have bounds: none has lost its `le`.
            let buckets = page.families.iter().flat_map(|f| &f.samples);
            let mut buckets = buckets.filter(|sample| sample.suffix == Suffix::Bucket);
            prop_assert!(buckets.all(|bucket| bucket.bound.is_some()));
        }
        Ok(())
    });
    outcome.unwrap_or_else(|why| panic!("{why}"));
}
