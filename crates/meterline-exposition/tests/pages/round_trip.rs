//! What is encoded is read back by our own strict parser as it was meant.

use std::collections::BTreeMap;

use meterline_exposition::parse::{Label, Page, Severity, Suffix, Syntax};
use meterline_exposition::{Families, Format, Translator};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::build::for_format;
use crate::hostile::{any_options, hostile_snapshot};
use crate::meant::{self, Example, Labels, OpenMetrics, Point, Samples, bits, millis};
use crate::with_python::config;

/// The samples of a page by name and labels.
fn read(page: &Page<'_>) -> Samples {
    let mut samples = Samples::new();
    for family in &page.families {
        for sample in &family.samples {
            let mut labels = labels_of(page.labels(sample));
            let bound = sample.bound.map(|bound| format!("{bound:?}"));
            labels.extend(bound.map(|bound| ("le".to_owned(), bound)));
            by_value(&mut labels);
            let name = format!("{}{}", family.name, sample.suffix.as_str());
            let point = Point {
                value: sample.value.number().map_or(0, bits),
                exemplar: sample.exemplar.as_deref().map(|exemplar| Example {
                    labels: labels_of(page.exemplar_labels(exemplar)),
                    value: bits(exemplar.value),
                    millis: exemplar.timestamp.map_or(0, millis),
                }),
            };
            let before = samples.insert((name, labels), point);
            assert_eq!(before, None, "no series is there twice");
        }
    }
    samples
}

fn labels_of(labels: &[Label<'_>]) -> Labels {
    let labels = labels.iter();
    labels
        .map(|label| (label.name.to_string(), label.value.to_string()))
        .collect()
}

/// Formats write the same bound differently.
fn by_value(labels: &mut Labels) {
    if let Some(le) = labels.get_mut("le")
        && let Ok(bound) = le.parse::<f64>()
    {
        *le = format!("{bound:?}");
    }
}

fn meant(families: &Families<'_>, openmetrics: Option<&OpenMetrics<'_>>) -> Samples {
    let samples = meant::meant(families, openmetrics).0.into_iter();
    samples
        .map(|((name, mut labels), point)| {
            by_value(&mut labels);
            ((name, labels), point)
        })
        .collect()
}

/// The page has no errors beyond those of its syntax, and each bucket its bound.
fn is_sound(page: &Page<'_>) -> Result<(), TestCaseError> {
    let found = page.lint(Default::default());
    let mut errors = found.iter().filter(|f| f.severity() == Severity::Error);
    prop_assert_eq!(errors.next(), None);
    let buckets = page.families.iter().flat_map(|f| &f.samples);
    let mut buckets = buckets.filter(|sample| sample.suffix == Suffix::Bucket);
    prop_assert!(buckets.all(|bucket| bucket.bound.is_some()));
    Ok(())
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
            prop_assert_eq!(read(&page), meant(&families, None));
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
            is_sound(&page)?;
        }
        Ok(())
    });
    outcome.unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn hostile_snapshots_survive_openmetrics() {
    let strategy = (any_options(), hostile_snapshot());
    let outcome = TestRunner::new(config(1_000)).run(&strategy, |(options, snapshot)| {
        for format in [Format::OpenMetrics, Format::OpenMetrics0] {
            let options = for_format(format, options.clone());
            let mut translator = Translator::new(options.clone());
            let families = translator.translate(&snapshot);
            let mut bytes = Vec::new();
            format.encode(&families, &mut bytes);
            let page = Page::parse(&bytes, Syntax::OpenMetrics);
            let page = page.map_err(|fault| TestCaseError::fail(fault.to_string()))?;
            let types: BTreeMap<_, _> = page
                .families
                .iter()
                .map(|family| (family.name.to_string(), family.kind.to_string()))
                .collect();
            let openmetrics = OpenMetrics {
                types: &types,
                options: &options,
            };
            prop_assert_eq!(read(&page), meant(&families, Some(&openmetrics)));
            // Without samples there is still the type.
            prop_assert_eq!(page.families.len(), families.iter().count());
            for (read, family) in page.families.iter().zip(families.iter()) {
                prop_assert_eq!(read.help.as_deref().unwrap_or_default(), family.help());
                if let Some(unit) = &read.unit {
                    prop_assert_eq!(&**unit, family.unit());
                    prop_assert!(
                        read.name
                            .strip_suffix(&**unit)
                            .is_some_and(|stem| stem.ends_with('_'))
                    );
                }
            }
            is_sound(&page)?;
        }
        Ok(())
    });
    outcome.unwrap_or_else(|why| panic!("{why}"));
}
