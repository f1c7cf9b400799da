//! What readers cost those who record: nothing, whether nobody reads, one scrapes, or one scrapes and one pushes.

use std::hint::black_box;

use meterline_exposition::{Format, TranslationOptions, Translator};
use meterline_otlp::Encoder;
use meterline_sdk::{MeterProvider, ReaderOptions, TemporalityPreference};
use opentelemetry::metrics::MeterProvider as _;

use crate::harness::{Contender, in_threads, interleave, operations_of};
use crate::libraries::{Operations, official, otel};
use crate::page::assert_total;
use crate::record::{KINDS, Kind};
use crate::report::{Limit, Report, Table, nanoseconds, times};

const ROUNDS: usize = 15;

/// Someone who is recorded with, and what is done after each round, untimed.
struct Side {
    name: String,
    operations: Operations,
    read: Box<dyn Fn()>,
    page: Box<dyn Fn() -> String>,
}

pub(crate) fn run(report: &mut Report) {
    report.section(
        "Readers",
        "Nanoseconds per recording into one series, 1 thread, by how many readers there are; each reads after \
         every round. Ours: nobody, a text page, and with it a push of deltas, encoded as OTLP. The official SDK, as \
         without a reader it records nothing, with one and two text pages.",
    );
    let mut table = Table::new("1 thread");
    for kind in &KINDS {
        let sides = [ours(0), ours(1), ours(2), theirs(1), theirs(2)];
        let mut turns: Vec<Contender<'_>> = Vec::new();
        for side in &sides {
            turns.push(Box::new(|| {
                let taken = in_threads(1, kind.operations, (kind.pick)(&side.operations));
                (side.read)();
                taken
            }));
        }
        let samples = interleave(ROUNDS, &mut turns);
        drop(turns);
        assert_totals(&sides, kind);
        let names: Vec<_> = sides.iter().map(|side| side.name.clone()).collect();
        table.column(kind.name, &names, &samples, 0, nanoseconds);
        for more in [1, 2] {
            let ratio = samples[more].ratio(&samples[0]);
            let what = format!("record {}, {} against none", kind.name, count(more));
            // No difference, give or take what two equal contenders differ by on such a machine.
            report.budget(&what, ratio, Limit::AtMost(1.1), times);
        }
    }
    report.table(table);
}

fn assert_totals(sides: &[Side], kind: &Kind) {
    let recorded = (ROUNDS as u64 + 1) * operations_of(1, kind.operations);
    for side in sides {
        assert_total(&side.name, &(side.page)(), kind.sample, recorded);
    }
}

fn ours(readers: usize) -> Side {
    let provider = MeterProvider::default();
    let mut pushing = ReaderOptions::default();
    pushing.temporality = TemporalityPreference::Delta;
    let push = (readers > 1).then(|| provider.reader(pushing));
    let scrape = provider.clone();
    Side {
        name: format!("**meterline**, {}", count(readers)),
        operations: otel::operations(&provider.meter("bench")),
        read: Box::new(move || {
            if readers > 0 {
                black_box(page(&scrape));
            }
            if let Some(push) = &push {
                black_box(Encoder::default().encode(&push.collect()));
            }
        }),
        page: Box::new(move || page(&provider)),
    }
}

fn page(provider: &MeterProvider) -> String {
    let mut page = Vec::new();
    let mut translator = Translator::new(TranslationOptions::default());
    Format::Text.encode(&translator.translate(&provider.collect()), &mut page);
    String::from_utf8(page).expect("pages are UTF-8")
}

fn theirs(readers: usize) -> Side {
    let recording = official::recording(readers);
    let read = std::rc::Rc::new(recording.page);
    let page = std::rc::Rc::clone(&read);
    Side {
        name: format!("{}, {}", recording.name, count(readers)),
        operations: recording.operations,
        read: Box::new(move || {
            black_box(read());
        }),
        page: Box::new(move || page()),
    }
}

fn count(readers: usize) -> String {
    match readers {
        0 => "no reader".to_owned(),
        1 => "1 reader".to_owned(),
        more => format!("{more} readers"),
    }
}
