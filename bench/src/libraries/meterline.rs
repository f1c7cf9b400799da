//! Ours.

use meterline_exposition::{Format, TranslationOptions, Translator};
use meterline_sdk::MeterProvider;
use opentelemetry::metrics::MeterProvider as _;

use super::{Exposition, Recording, otel};

pub(crate) const NAME: &str = "**meterline**";

/// One series, read by so many readers.
pub(crate) fn recording(readers: usize) -> Recording {
    let provider = MeterProvider::default();
    let operations = otel::operations(&provider.meter("bench"));
    Recording {
        name: NAME,
        operations,
        page: Box::new(move || {
            for _ in 1..readers {
                drop(provider.collect());
            }
            page(&provider)
        }),
    }
}

pub(crate) fn counters(series: usize) -> Exposition {
    let provider = provider(series);
    otel::fill_counters(&provider.meter("bench"), series);
    exposition(provider)
}

pub(crate) fn histograms(series: usize) -> Exposition {
    let provider = provider(series);
    otel::fill_histograms(&otel::histogram(&provider.meter("bench")), series);
    exposition(provider)
}

/// A provider that lets an instrument have so many series.
pub(crate) fn provider(series: usize) -> MeterProvider {
    MeterProvider::builder()
        .with_cardinality_limit(series)
        .build()
}

/// As a scrape endpoint does it: the translator is kept, it caches the labels' text.
pub(crate) fn exposition(provider: MeterProvider) -> Exposition {
    let mut translator = Translator::new(TranslationOptions::default());
    Exposition {
        name: NAME,
        page: Box::new(move |out| {
            let snapshot = provider.collect();
            Format::Text.encode(&translator.translate(&snapshot), out);
        }),
    }
}

fn page(provider: &MeterProvider) -> String {
    let mut page = Vec::new();
    (exposition(provider.clone()).page)(&mut page);
    String::from_utf8(page).expect("pages are UTF-8")
}
