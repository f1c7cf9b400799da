//! `opentelemetry_sdk`, read by `opentelemetry-prometheus`.

use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::metrics::{Instrument, SdkMeterProvider, Stream};
use prometheus::{Encoder as _, Registry, TextEncoder};

use super::{Exposition, Recording, otel};

pub(crate) const NAME: &str = "opentelemetry_sdk";

/// One series, read by so many readers.
pub(crate) fn recording(readers: usize) -> Recording {
    let (provider, registries) = provider(readers, None);
    let operations = otel::operations(&provider.meter("bench"));
    Recording {
        name: NAME,
        operations,
        page: Box::new(move || {
            // The provider ends its readers when it is dropped.
            let _alive = &provider;
            let mut page = Vec::new();
            for registry in &registries {
                page.clear();
                encode(registry, &mut page);
            }
            String::from_utf8(page).expect("pages are UTF-8")
        }),
    }
}

pub(crate) fn counters(series: usize) -> Exposition {
    let (provider, registries) = provider(1, Some(series));
    otel::fill_counters(&provider.meter("bench"), series);
    exposition(provider, registries)
}

pub(crate) fn histograms(series: usize) -> Exposition {
    let (provider, registries) = provider(1, Some(series));
    otel::fill_histograms(&otel::histogram(&provider.meter("bench")), series);
    exposition(provider, registries)
}

/// A provider, and one registry for each of its readers; by default an instrument has 2,000 series.
pub(crate) fn provider(
    readers: usize,
    cardinality_limit: Option<usize>,
) -> (SdkMeterProvider, Vec<Registry>) {
    let mut builder = SdkMeterProvider::builder();
    if let Some(limit) = cardinality_limit {
        builder = builder.with_view(move |_: &Instrument| {
            Stream::builder()
                .with_cardinality_limit(limit + 1)
                .build()
                .ok()
        });
    }
    let mut registries = Vec::new();
    for _ in 0..readers {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter().with_registry(registry.clone());
        builder = builder.with_reader(exporter.build().expect("a fresh registry takes it"));
        registries.push(registry);
    }
    (builder.build(), registries)
}

/// Appends the page.
pub(crate) fn encode(registry: &Registry, out: &mut Vec<u8>) {
    TextEncoder::new()
        .encode(&registry.gather(), out)
        .expect("the official exporter encodes");
}

fn exposition(provider: SdkMeterProvider, registries: Vec<Registry>) -> Exposition {
    Exposition {
        name: "opentelemetry-prometheus",
        page: Box::new(move |out| {
            let _alive = &provider;
            encode(&registries[0], out);
        }),
    }
}
