//! What a page takes: collecting, translating and writing the text of many series.

use std::hint::black_box;
use std::time::Instant;

use meterline_exposition::{Format, TranslationOptions, Translator};
use opentelemetry::metrics::MeterProvider as _;

use crate::harness::{Contender, Samples, interleave, timed};
use crate::libraries::{
    Exposition, count, measured, meterline, metrics_rs, official, otel, prometheus_client, tikv,
};
use crate::page::{assert_total, total};
use crate::report::{Limit, Report, Table, bytes, milliseconds, times};

/// Creates an exposition of so many series.
type Create = fn(usize) -> Exposition;

const COUNTERS: [Create; 6] = [
    meterline::counters,
    official::counters,
    tikv::counters,
    prometheus_client::counters,
    measured::counters,
    metrics_rs::counters,
];
const HISTOGRAMS: [Create; 6] = [
    meterline::histograms,
    official::histograms,
    tikv::histograms,
    prometheus_client::histograms,
    measured::histograms,
    metrics_rs::histograms,
];
const SIZES: [(&str, &str, &[Create], usize, usize); 5] = [
    ("1,000 counters", "counter_total", &COUNTERS, 1_000, 51),
    ("10,000 counters", "counter_total", &COUNTERS, 10_000, 31),
    ("100,000 counters", "counter_total", &COUNTERS, 100_000, 15),
    (
        "1,000 histograms",
        "histogram_count",
        &HISTOGRAMS,
        1_000,
        31,
    ),
    (
        "10,000 histograms",
        "histogram_count",
        &HISTOGRAMS,
        10_000,
        11,
    ),
];
const OURS: usize = 0;

pub(crate) fn run(report: &mut Report) {
    report.section(
        "Encode",
        "Milliseconds from values in the SDK to the bytes of a text page: collect, translate, \
         encode; series have four attributes, histograms 14 buckets and +Inf. The floor copies \
         the bytes of our page once. The first page has nothing cached; further pages are what \
         every later scrape takes, with the same series and any values.",
    );
    let mut first = Table::new("The first page");
    let mut further = Table::new("Further pages");
    for (what, sample, create, series, rounds) in SIZES {
        let mut expositions: Vec<_> = create.iter().map(|create| create(series)).collect();
        let mut names: Vec<_> = expositions.iter().map(|one| one.name.to_owned()).collect();
        let firsts = first_pages(&mut expositions, sample, series);
        first.column(what, &names, &firsts, OURS, milliseconds);

        let samples = further_pages(&mut expositions, rounds);
        names.push("floor: copying our page".to_owned());
        further.column(what, &names, &samples, OURS, milliseconds);
    }
    report.table(further);
    report.table(first);
    parts(report);
}

/// What of our 100,000 counters is collecting, and what encoding.
fn parts(report: &mut Report) {
    const SERIES: usize = 100_000;
    let provider = meterline::provider(SERIES);
    otel::fill_counters(&provider.meter("bench"), SERIES);
    let mut all = meterline::exposition(provider.clone());
    let mixed = meterline::provider(SERIES);
    otel::fill_counters_mixed(&mixed.meter("bench"), SERIES);
    let mut all_mixed = meterline::exposition(mixed);
    let mut translator = Translator::new(TranslationOptions::default());
    let snapshot = provider.collect();
    let (mut page, mut mixed_page, mut encoded) = (Vec::new(), Vec::new(), Vec::new());
    (all.page)(&mut page);
    let ours = page.clone();
    let mut copy = vec![0; ours.len()];
    let mut turns: [Contender<'_>; 5] = [
        Box::new(|| {
            page.clear();
            timed(|| (all.page)(&mut page))
        }),
        Box::new(|| {
            timed(|| {
                black_box(provider.collect());
            })
        }),
        Box::new(|| {
            encoded.clear();
            let taken = timed(|| {
                let _ = Format::Text.encode(&translator.translate(&snapshot), &mut encoded);
            });
            assert_eq!(encoded.len(), ours.len());
            taken
        }),
        copying(&ours, &mut copy),
        Box::new(|| {
            mixed_page.clear();
            let taken = timed(|| (all_mixed.page)(&mut mixed_page));
            assert_eq!(mixed_page, ours, "in the same order");
            taken
        }),
    ];
    let samples = interleave(101, &mut turns);
    let [all, _, encoding, copying, mixed] = &samples[..] else {
        unreachable!("there were five")
    };
    let mut table = Table::new("Parts of our page of 100,000 counters");
    let names = [
        "all",
        "collecting",
        "translating and encoding",
        "floor: copying the page",
        "all, of series that were created in no order",
    ];
    table.plain_column("ms", &names.map(str::to_owned), &samples, milliseconds);
    table.single("bytes of the page", bytes(ours.len() as f64));
    report.table(table);
    for (what, measured) in [
        ("encode text", encoding),
        ("collect and encode text", all),
        (
            "collect and encode text (series created in no order)",
            mixed,
        ),
    ] {
        let what = format!("{what}, 100,000 counter series, against copying the page");
        report.budget(&what, measured.ratio(copying), Limit::AtMost(2.0), times);
    }
}

/// Copies `from`; the time in milliseconds.
pub(crate) fn copying<'a>(from: &'a [u8], to: &'a mut [u8]) -> Contender<'a> {
    Box::new(move || {
        let taken = timed(|| {
            to.copy_from_slice(black_box(from));
            black_box(&to);
        });
        assert_eq!(to.last(), from.last());
        taken
    })
}

/// Writes each first page, and asserts what is on it.
fn first_pages(expositions: &mut [Exposition], sample: &str, series: usize) -> Vec<Samples> {
    let mut taken = Vec::new();
    for one in expositions {
        let mut page = Vec::new();
        let begun = Instant::now();
        (one.page)(&mut page);
        taken.push(Samples::once(begun.elapsed().as_secs_f64() * 1e3));
        let page = String::from_utf8(page).expect("pages are UTF-8");
        let expected = match sample {
            "counter_total" => (0..series).map(count).sum(),
            _ => series as u64 * 16,
        };
        assert_total(one.name, &page, sample, expected);
        assert_eq!(total(&page, sample).1, series, "{}", one.name);
    }
    taken
}

/// All expositions, and last the floor.
pub(crate) fn further_pages(expositions: &mut [Exposition], rounds: usize) -> Vec<Samples> {
    let mut ours = Vec::new();
    (expositions[OURS].page)(&mut ours);
    let mut copy = vec![0; ours.len()];
    let mut turns: Vec<Contender<'_>> = Vec::new();
    for one in expositions {
        let (mut page, mut length) = (Vec::new(), None);
        turns.push(Box::new(move || {
            page.clear();
            let taken = timed(|| {
                (one.page)(&mut page);
                black_box(&page);
            });
            assert_eq!(
                *length.get_or_insert(page.len()),
                page.len(),
                "{}",
                one.name
            );
            taken
        }));
    }
    turns.push(copying(&ours, &mut copy));
    interleave(rounds, &mut turns)
}
