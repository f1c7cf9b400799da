//! What a page takes in each format: collecting, translating and encoding.

use std::hint::black_box;

use meterline_exposition::{Families, Format, TranslationOptions, Translator, encode_json};
use meterline_sdk::{ExponentialOptions, MeterProvider, View, ViewAggregation};
use opentelemetry::metrics::MeterProvider as _;

use crate::encode::copying;
use crate::harness::{Contender, interleave, timed};
use crate::libraries::otel;
use crate::report::{Report, Table, milliseconds};

/// What the series are.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Counters,
    Classic,
    Native,
}

const SIZES: [(&str, Kind, usize, usize); 7] = [
    ("1,000 counters", Kind::Counters, 1_000, 51),
    ("10,000 counters", Kind::Counters, 10_000, 31),
    ("100,000 counters", Kind::Counters, 100_000, 11),
    ("1,000 histograms", Kind::Classic, 1_000, 31),
    ("10,000 histograms", Kind::Classic, 10_000, 7),
    ("1,000 native histograms", Kind::Native, 1_000, 31),
    ("10,000 native histograms", Kind::Native, 10_000, 7),
];

type Encode = fn(&Families<'_>, &mut Vec<u8>);

const FORMATS: [(&str, Encode); 4] = [
    ("text 0.0.4", |families, out| {
        Format::Text.encode(families, out);
    }),
    ("OpenMetrics", |families, out| {
        Format::OpenMetrics.encode(families, out);
    }),
    ("protobuf", |families, out| {
        Format::Protobuf.encode(families, out);
    }),
    ("JSON", |families, out| {
        encode_json(families, out).expect("every value has a JSON form");
    }),
];

pub(crate) fn run(report: &mut Report) {
    report.section(
        "Formats",
        "Milliseconds from values in the SDK to the bytes of a page in each format, later pages; series \
         as above. Native histograms have the same recordings in exponential buckets; text formats and JSON \
         show them by powers of two. The floor copies the text page.",
    );
    let mut table = Table::new("Further pages by format");
    for (what, kind, series, rounds) in SIZES {
        let provider = provider(kind, series);
        let page = |encode: Encode, translator: &mut Translator, out: &mut Vec<u8>| {
            out.clear();
            let snapshot = provider.collect();
            encode(&translator.translate(&snapshot), out);
        };
        let mut text = Vec::new();
        page(
            FORMATS[0].1,
            &mut Translator::new(TranslationOptions::default()),
            &mut text,
        );
        assert_eq!(shown(&text, kind), series, "{what}");
        let mut copy = vec![0; text.len()];
        let mut turns: Vec<Contender<'_>> = Vec::new();
        for (name, encode) in FORMATS {
            let mut translator = Translator::new(TranslationOptions::default());
            let (mut out, mut length) = (Vec::new(), None);
            let page = &page;
            turns.push(Box::new(move || {
                let taken = timed(|| {
                    page(encode, &mut translator, &mut out);
                    black_box(&out);
                });
                assert_eq!(*length.get_or_insert(out.len()), out.len(), "{name}");
                taken
            }));
        }
        turns.push(copying(&text, &mut copy));
        let names = FORMATS.iter().map(|(name, _)| (*name).to_owned());
        let names: Vec<_> = names
            .chain(["floor: copying the text page".to_owned()])
            .collect();
        let samples = interleave(rounds, &mut turns);
        table.plain_column(what, &names, &samples, milliseconds);
    }
    report.table(table);
}

fn provider(kind: Kind, series: usize) -> MeterProvider {
    let mut builder = MeterProvider::builder().with_cardinality_limit(series);
    if kind == Kind::Native {
        let native = ViewAggregation::Exponential(ExponentialOptions::default());
        let view = View::builder("*").histograms_as(native).build();
        builder = builder.with_view(view.expect("a view that can be"));
    }
    let provider = builder.build();
    let meter = provider.meter("bench");
    match kind {
        Kind::Counters => otel::fill_counters(&meter, series),
        _ => otel::fill_histograms(&otel::histogram(&meter), series),
    }
    provider
}

/// How many series the text page has.
fn shown(page: &[u8], kind: Kind) -> usize {
    let sample = match kind {
        Kind::Counters => "counter_total{",
        _ => "histogram_count{",
    };
    let page = std::str::from_utf8(page).expect("pages are UTF-8");
    page.lines().filter(|line| line.starts_with(sample)).count()
}
