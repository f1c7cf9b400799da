//! The official Python client reads back what went in.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use meterline_exposition::{Block, Families, TranslationOptions, Translator, encode_text};
use meterline_sdk::{Data, Number};
use opentelemetry::KeyValue;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use xtask::Python;

use crate::build::{metric, snapshot, text_page};
use crate::hostile::{any_number, any_options, any_text, hostile_snapshot};
use crate::scenarios;

pub(crate) type Labels = BTreeMap<String, String>;
pub(crate) type Samples = BTreeMap<(String, Labels), u64>;

pub(crate) fn config(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    }
}

/// Values that are equal on a page: all NaNs are one.
pub(crate) fn bits(value: f64) -> u64 {
    if value.is_nan() {
        f64::NAN.to_bits()
    } else {
        value.to_bits()
    }
}

/// Parses a page with the official parser, which is lenient about what Prometheus is not, so that
/// the rest is looked at here: no TYPE twice, no sample without, no series twice.
fn parsed(python: &mut Python, page: &str) -> Samples {
    let families = python.parse_exposition("text", page);
    let families = families.unwrap_or_else(|why| panic!("{why}\n{page}"));
    let mut types = BTreeSet::new();
    for line in page.lines().filter(|line| line.starts_with("# TYPE ")) {
        let name = line.split(' ').nth(2).expect("a name");
        assert!(types.insert(name), "a second TYPE of {name}:\n{page}");
    }
    let mut lines = page.split('\n').filter(|line| !line.starts_with('#'));
    let mut samples = Samples::new();
    for family in families {
        let kind = family["type"].as_str().expect("a type");
        assert!(
            ["counter", "gauge", "histogram"].contains(&kind),
            "{kind}:\n{page}"
        );
        for sample in family["samples"].as_array().expect("samples") {
            let line = lines.next().expect("a line for every sample");
            let name = name_of(sample, line, kind == "counter");
            let series = (name.to_owned(), labels_of(sample));
            let value = sample["value"].as_str().and_then(|v| v.parse::<f64>().ok());
            let before = samples.insert(series.clone(), bits(value.expect("a number")));
            assert_eq!(before, None, "{series:?} is there twice:\n{page}");
        }
    }
    assert_eq!(lines.collect::<String>(), "", "every line is a sample");
    samples
}

/// The name on the sample's line. The client has no counter without `_total` in its model, and
/// tells of one where there is none.
fn name_of<'a>(sample: &Value, line: &'a str, counter: bool) -> &'a str {
    let name = line.split(['{', ' ']).next().unwrap_or(line);
    let told = sample["name"].as_str().expect("a name");
    let added = counter.then(|| told.strip_suffix("_total")).flatten();
    assert!(told == name || added == Some(name), "{told} is {line}");
    name
}

fn labels_of(sample: &Value) -> Labels {
    let labels = sample["labels"].as_object().expect("labels").iter();
    let labels = labels.map(|(name, value)| {
        let value = value.as_str().expect("a string");
        (name.clone(), value.to_owned())
    });
    labels.collect()
}

/// What the families say the page should hold, and of how many points.
pub(crate) fn expected(families: &Families<'_>) -> (Samples, u64) {
    let mut samples = Samples::new();
    let mut points = 0;
    let mut add = |name: String, labels: Labels, value: f64| {
        assert_eq!(samples.insert((name, labels), bits(value)), None);
    };
    for family in families.iter() {
        let name = family.name();
        for block in family.blocks() {
            match block {
                Block::Numbers(block) => {
                    for (labels, number) in block.iter() {
                        points += 1;
                        add(name.to_owned(), owned(labels), number.as_f64());
                    }
                }
                Block::Histograms(block) => {
                    for (labels, point) in block.iter() {
                        points += 1;
                        let labels = owned(labels);
                        let mut count = Number::U64(0);
                        for bucket in block.buckets(point) {
                            let mut labels = labels.clone();
                            let le = labels.insert("le".to_owned(), bucket.le.to_owned());
                            assert_eq!(le, None, "only buckets have `le`");
                            count = Number::U64(bucket.count);
                            add(format!("{name}_bucket"), labels, count.as_f64());
                        }
                        add(format!("{name}_count"), labels.clone(), count.as_f64());
                        add(format!("{name}_sum"), labels, point.sum.as_f64());
                    }
                }
                _ => unreachable!("a block of a kind this test does not know"),
            }
        }
    }
    (samples, points)
}

fn owned(labels: meterline_exposition::Labels<'_>) -> Labels {
    let labels = labels.iter();
    labels
        .map(|(name, value)| (name.to_owned(), value.into_owned()))
        .collect()
}

/// Whatever is recorded, the page is read back as it was meant, and no point is lost uncounted.
#[test]
fn hostile_snapshots_read_back() {
    let python = RefCell::new(Python::exposition_parser());
    let strategy = (any_options(), hostile_snapshot());
    let outcome = TestRunner::new(config(3_000)).run(&strategy, |(options, snapshot)| {
        let given: usize = snapshot
            .metrics
            .iter()
            .map(|metric| metric.data.len())
            .sum();
        let target = options.target_info && !snapshot.resource.attributes().is_empty();
        let mut translator = Translator::new(options);
        let families = translator.translate(&snapshot);
        let mut page = Vec::new();
        encode_text(&families, &mut page);
        let page = String::from_utf8(page).expect("a page is UTF-8");
        let (samples, points) = expected(&families);
        prop_assert_eq!(parsed(&mut python.borrow_mut(), &page), samples);
        let dropped = families.dropped().total();
        prop_assert_eq!(points + dropped, given as u64 + u64::from(target));
        Ok(())
    });
    outcome.unwrap_or_else(|why| panic!("{why}"));
}

/// With harmless names, every value, label and help is read back exactly as it was recorded.
#[test]
fn values_read_back_exactly() {
    let python = RefCell::new(Python::exposition_parser());
    let point = (any_text(), any_text(), any_number());
    let strategy = (vec(point, 1..20), "[a-z](.*[a-z])?");
    let outcome = TestRunner::new(config(1_000)).run(&strategy, |(points, help)| {
        let points: BTreeMap<_, _> = points.into_iter().map(|(a, b, n)| ((a, b), n)).collect();
        let series = points.keys().map(|(a, b)| {
            vec![
                KeyValue::new("a", a.clone()),
                KeyValue::new("b.c", b.clone()),
            ]
        });
        let data = Data::Gauge(points.values().copied().collect());
        let metric = metric(["x.y", "s", &help], series, data);
        let mut options = TranslationOptions::default();
        options.scope_labels = false;
        let page = text_page(&options, &snapshot(&[], vec![metric]));
        let expected: Samples = points
            .iter()
            .map(|((a, b), number)| {
                let labels = [("a", a), ("b_c", b)].into_iter();
                let labels = labels.filter(|(_, value)| !value.is_empty());
                let labels = labels.map(|(name, value)| (name.to_owned(), value.clone()));
                (
                    ("x_y_seconds".to_owned(), labels.collect()),
                    bits(number.as_f64()),
                )
            })
            .collect();
        let mut python = python.borrow_mut();
        prop_assert_eq!(parsed(&mut python, &page), expected);
        let families = python
            .parse_exposition("text", &page)
            .expect("it was parsed before");
        prop_assert_eq!(families[0]["help"].as_str(), Some(&*help));
        Ok(())
    });
    outcome.unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn golden_pages_are_read() {
    let mut python = Python::exposition_parser();
    for scenario in scenarios::all() {
        let mut translator = Translator::new(scenario.options.clone());
        let families = translator.translate(&scenario.snapshot);
        let page = text_page(&scenario.options, &scenario.snapshot);
        assert_eq!(
            parsed(&mut python, &page),
            expected(&families).0,
            "{}",
            scenario.name
        );
    }
}
