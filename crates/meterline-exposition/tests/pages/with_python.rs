//! The official Python client reads back what went in.

use std::cell::RefCell;
use std::collections::BTreeMap;

use meterline_exposition::{Format, TranslationOptions, Translator};
use meterline_sdk::{Data, Exemplars, Metric};
use opentelemetry::KeyValue;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use xtask::Python;

use crate::build::{for_format, metric, page, snapshot, text_page};
use crate::hostile::{any_number, any_options, any_text, hostile_snapshot};
use crate::meant::{Example, Labels, OpenMetrics, Point, Samples, bits, meant, millis};
use crate::scenarios;

pub(crate) fn config(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    }
}

/// What the official parser of a format is called in the script.
fn parser(format: Format) -> &'static str {
    match format {
        Format::OpenMetrics | Format::OpenMetrics0 => "openmetrics",
        _ => "text",
    }
}

/// What the official parser, which is lenient about what Prometheus is not, sees in a page, with the
/// types by name. The rest is looked at here: no TYPE twice, no sample without, no series twice.
fn parsed(python: &mut Python, format: Format, page: &str) -> (Samples, BTreeMap<String, String>) {
    let families = python.parse_exposition(parser(format), page);
    let families = families.unwrap_or_else(|why| panic!("{why}\n{page}"));
    let mut types = BTreeMap::new();
    let mut lines = page.split('\n').filter(|line| !line.starts_with('#'));
    let mut samples = Samples::new();
    for family in families {
        let kind = family["type"].as_str().expect("a type").to_owned();
        let allowed: &[&str] = match parser(format) {
            "text" => &["counter", "gauge", "histogram"],
            _ => &["counter", "gauge", "histogram", "info", "unknown"],
        };
        assert!(allowed.contains(&&*kind), "{kind}:\n{page}");
        for sample in family["samples"].as_array().expect("samples") {
            let line = lines.next().expect("a line for every sample");
            let name = name_of(sample, line, kind == "counter");
            let series = (name, labels_of(&sample["labels"]));
            let point = Point {
                value: bits(number(&sample["value"])),
                exemplar: example(&sample["exemplar"]),
            };
            let before = samples.insert(series.clone(), point);
            assert_eq!(before, None, "{series:?} is there twice:\n{page}");
        }
        let name = family["name"].as_str().expect("a name").to_owned();
        types.insert(name, kind);
    }
    assert_eq!(lines.collect::<String>(), "", "every line is a sample");
    (samples, types)
}

/// The name on the sample's line. The text parser has no counter without `_total` in its model, and
/// tells of one where there is none.
fn name_of(sample: &Value, line: &str, counter: bool) -> String {
    let told = sample["name"].as_str().expect("a name");
    let name = match line.strip_prefix("{\"") {
        Some(quoted) => unquoted(quoted),
        None => line.split(['{', ' ']).next().unwrap_or(line).to_owned(),
    };
    let added = counter.then(|| told.strip_suffix("_total")).flatten();
    assert!(told == name || added == Some(&name), "{told} is {line}");
    name
}

/// What stands before the closing quote.
fn unquoted(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return plain,
            '\\' => match chars.next().expect("something is escaped") {
                'n' => plain.push('\n'),
                c => plain.push(c),
            },
            c => plain.push(c),
        }
    }
    panic!("no end of {text}");
}

/// A number, as Python writes it.
fn number(value: &Value) -> f64 {
    let text = value.as_str().expect("a number is written as text");
    text.parse().expect("a number")
}

fn example(exemplar: &Value) -> Option<Example> {
    exemplar.is_object().then(|| Example {
        labels: labels_of(&exemplar["labels"]),
        value: bits(number(&exemplar["value"])),
        millis: millis(number(&exemplar["timestamp"])),
    })
}

fn labels_of(labels: &Value) -> Labels {
    let labels = labels.as_object().expect("labels").iter();
    let labels = labels.map(|(name, value)| {
        let value = value.as_str().expect("a string");
        (name.clone(), value.to_owned())
    });
    labels.collect()
}

/// Whatever is recorded, the page is read back as it was meant, and no point is lost uncounted.
#[test]
fn hostile_snapshots_read_back() {
    let python = RefCell::new(Python::exposition_parser());
    let formats = vec![Format::Text, Format::TextUtf8, Format::OpenMetrics];
    let strategy = (select(formats), any_options(), hostile_snapshot());
    let outcome =
        TestRunner::new(config(6_000)).run(&strategy, |(format, options, mut snapshot)| {
            let options = for_format(format, options);
            snapshot.metrics.iter_mut().for_each(without_quotes);
            let given: usize = snapshot
                .metrics
                .iter()
                .map(|metric| metric.data.len())
                .sum();
            let target = options.target_info && !snapshot.resource.attributes().is_empty();
            let mut translator = Translator::new(options.clone());
            let families = translator.translate(&snapshot);
            let mut page = Vec::new();
            let left_out = format.encode(&families, &mut page);
            let page = String::from_utf8(page).expect("a page is UTF-8");
            let (samples, types) = parsed(&mut python.borrow_mut(), format, &page);
            let openmetrics = OpenMetrics {
                types: &types,
                options: &options,
            };
            let openmetrics = (format == Format::OpenMetrics).then_some(&openmetrics);
            let (expected, points) = meant(&families, openmetrics);
            prop_assert_eq!(samples, expected, "{}", page);
            let dropped = families.dropped().and(left_out).total();
            prop_assert_eq!(points + dropped, given as u64 + u64::from(target));
            Ok(())
        });
    outcome.unwrap_or_else(|why| panic!("{why}"));
}

/// Leaves out exemplars' attributes with quotes, which end where the parser sees an escaped one.
fn without_quotes(metric: &mut Metric) {
    let mut kept = Exemplars::default();
    for point in 0..4 {
        for mut exemplar in metric.exemplars.of(point).cloned() {
            let attributes = exemplar.filtered_attributes.iter().cloned();
            let quoted = |a: &KeyValue| format!("{}{}", a.key, a.value).contains('"');
            exemplar.filtered_attributes = attributes.filter(|a| !quoted(a)).collect();
            kept.push(point, exemplar);
        }
    }
    metric.exemplars = kept;
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
                    Point::bare(number.as_f64()),
                )
            })
            .collect();
        let mut python = python.borrow_mut();
        prop_assert_eq!(parsed(&mut python, Format::Text, &page).0, expected);
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
        for format in [Format::Text, Format::TextUtf8, Format::OpenMetrics] {
            let options = for_format(format, scenario.options.clone());
            let page = page(format, &options, &scenario.snapshot);
            let page = String::from_utf8(page).expect("a page is UTF-8");
            let mut translator = Translator::new(options.clone());
            let families = translator.translate(&scenario.snapshot);
            let (samples, types) = parsed(&mut python, format, &page);
            let openmetrics = OpenMetrics {
                types: &types,
                options: &options,
            };
            let openmetrics = (format == Format::OpenMetrics).then_some(&openmetrics);
            let (expected, _) = meant(&families, openmetrics);
            assert_eq!(samples, expected, "{}", scenario.name);
        }
    }
}

/// The official parser finds each exemplar where it belongs, with its labels, value and time.
#[test]
fn exemplars_are_read() {
    let mut python = Python::exposition_parser();
    let scenario = scenarios::named("exemplars");
    let page = page(Format::OpenMetrics, &scenario.options, &scenario.snapshot);
    let page = String::from_utf8(page).expect("a page is UTF-8");
    let families = python
        .parse_exposition("openmetrics", &page)
        .expect("it is valid");
    let samples = families
        .iter()
        .flat_map(|f| f["samples"].as_array().expect("samples"));
    let mut found = Vec::new();
    for sample in samples.filter(|sample| sample["exemplar"].is_object()) {
        let exemplar = &sample["exemplar"];
        found.push((
            sample["name"].as_str().expect("a name").to_owned(),
            sample["labels"]["le"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            labels_of(&exemplar["labels"]),
            exemplar["value"].as_str().expect("a value").to_owned(),
            exemplar["timestamp"].as_str().expect("a time").to_owned(),
        ));
    }
    let span = |n: u32| {
        let labels = [
            ("trace_id", format!("{n:032x}")),
            ("span_id", format!("{n:016x}")),
        ];
        Labels::from(labels.map(|(name, id)| (name.to_owned(), id)))
    };
    let with = |mut labels: Labels, name: &str, value: &str| {
        labels.insert(name.to_owned(), value.to_owned());
        labels
    };
    let long = "x".repeat(40);
    let expected = [
        (
            "http_duration_seconds_bucket",
            "0.1",
            span(2),
            "0.03",
            "1700000000.002",
        ),
        (
            "http_duration_seconds_bucket",
            "+Inf",
            with(span(3), "user_id", "7"),
            "99.0",
            "1700000000.003",
        ),
        (
            "orders_total",
            "",
            with(span(5), "note", &long),
            "2.0",
            "1700000000.005",
        ),
    ];
    let expected = expected.map(|(name, le, labels, value, time)| {
        (
            name.to_owned(),
            le.to_owned(),
            labels,
            value.to_owned(),
            time.to_owned(),
        )
    });
    assert_eq!(found, expected);
}
