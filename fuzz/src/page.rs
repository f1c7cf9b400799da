//! Names and labels of any kind, encoded in every format and under every escaping.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use meterline_exposition::parse::{Page, Severity, Syntax};
use meterline_exposition::{
    Escaping, Exposition, Format, TranslationOptions, TranslationStrategy, Translator, encode_json,
};
use meterline_sdk::{
    Data, Descriptor, Exemplars, InstrumentKind, Metric, Number, Resource, Series, Snapshot,
    Temporality,
};
use opentelemetry::{InstrumentationScope, KeyValue};

/// Encodes two instruments made of the input, and asserts that every page is valid, and holds what
/// was not counted as dropped.
///
/// The first two bytes choose how names are translated; then come, one per line, for each instrument
/// its name, unit, description and the keys and values of two attributes.
pub fn encode(input: &[u8]) {
    let [strategy, escaping, rest @ ..] = input else {
        return;
    };
    let text = String::from_utf8_lossy(rest);
    let lines: Vec<&str> = text.split('\n').collect();
    let (one, other) = lines.split_at(lines.len() / 2);
    let snapshot = Snapshot {
        time: UNIX_EPOCH,
        resource: Arc::new(Resource::new(&attributes(one))),
        metrics: vec![metric(one, strategy >> 4), metric(other, strategy >> 6)],
    };
    let mut options = TranslationOptions::default();
    options.strategy = TranslationStrategy::ALL[usize::from(strategy % 4)];
    for format in Format::ALL {
        let escaping = Escaping::ALL[usize::from(escaping % 4)];
        options.escaping = Exposition::new(format, escaping).escaping;
        check(format, &options, &snapshot);
    }
    options.escaping = Escaping::AllowUtf8;
    let mut json = Vec::new();
    let mut translator = Translator::new(options);
    encode_json(&translator.translate(&snapshot), &mut json).expect("every value has a JSON form");
}

fn check(format: Format, options: &TranslationOptions, snapshot: &Snapshot) {
    let mut translator = Translator::new(options.clone());
    let families = translator.translate(snapshot);
    let mut page = Vec::new();
    let left_out = format.encode(&families, &mut page);
    let syntax = match format {
        Format::Text => Syntax::Text,
        Format::TextUtf8 => Syntax::TextUtf8,
        Format::OpenMetrics | Format::OpenMetrics0 => Syntax::OpenMetrics,
        Format::Protobuf => Syntax::Protobuf,
    };
    let parsed = Page::parse(&page, syntax);
    let parsed = parsed.unwrap_or_else(|fault| panic!("{format:?}: {fault}"));
    let findings = parsed.lint(Default::default());
    assert!(
        findings
            .iter()
            .all(|found| found.severity() != Severity::Error)
    );
    // Of two points and the resource each is there, or was counted.
    let target = u64::from(!snapshot.resource.attributes().is_empty());
    let dropped = families.dropped().and(left_out).total();
    let shown = parsed
        .families
        .iter()
        .map(|family| family.samples.len() as u64);
    // Protobuf's counters tell when they began as well.
    let began = parsed.families.iter().flat_map(|family| &family.samples);
    let began = began
        .filter(|sample| sample.suffix.as_str() == "_created")
        .count() as u64;
    assert_eq!(
        shown.sum::<u64>() - began + dropped,
        2 + target,
        "{format:?}"
    );
}

fn metric(lines: &[&str], kind: u8) -> Metric {
    let line = |at: usize| lines.get(at).copied().unwrap_or_default().to_owned();
    let monotonic = kind & 1 == 1;
    let values = vec![Number::U64(u64::from(kind))];
    Metric {
        scope: Arc::new(InstrumentationScope::builder(line(5)).build()),
        descriptor: Arc::new(Descriptor {
            name: line(0).into(),
            kind: if monotonic {
                InstrumentKind::Counter
            } else {
                InstrumentKind::Gauge
            },
            unit: line(1).into(),
            description: line(2).into(),
        }),
        series: vec![Arc::new(Series::new(&attributes(lines), UNIX_EPOCH))].into(),
        data: if monotonic {
            Data::Sum { monotonic, values }
        } else {
            Data::Gauge(values)
        },
        temporality: Temporality::Cumulative,
        exemplars: Exemplars::default(),
    }
}

fn attributes(lines: &[&str]) -> Vec<KeyValue> {
    let pairs = lines.get(3..).unwrap_or_default().chunks_exact(2);
    pairs
        .map(|pair| KeyValue::new(pair[0].to_owned(), pair[1].to_owned()))
        .collect()
}
