//! What series and instruments hold in memory.

use std::hint::black_box;
use std::time::Duration;

use meterline_sdk::MeterProvider;
use opentelemetry::metrics::MeterProvider as _;

use crate::allocation::held_by;
use crate::harness::Samples;
use crate::libraries::{meterline, official, otel};
use crate::report::{Limit, Report, Table, bytes};

/// Below the limit of 2,000 that both SDKs have by default.
const SERIES: usize = 1_500;
const INSTRUMENTS: usize = 1_000;
const MANY: usize = 100_000;
const FLOOD: usize = 1_000_000;

pub(crate) fn run(report: &mut Report) {
    report.section(
        "Memory",
        "Bytes requested from the allocator and still held. A series is one of 1,500 of a histogram \
         with 14 buckets (and +Inf) and four attributes, of which one is an owned text of 20 \
         bytes; what the instrument held before is not counted. After a scrape, its page is dropped \
         but everything cached is kept. An instrument is one of 1,000 counters without series.",
    );
    let ours = [our_series(), our_instrument()].concat();
    let official = [official_series(), official_instrument()].concat();
    let what = [
        "series, before a scrape",
        "series, after",
        "instrument without series",
    ];
    let mut table = Table::new("Bytes each");
    let names = [meterline::NAME.to_owned(), official::NAME.to_owned()];
    let most = [600.0, 1000.0, 2048.0];
    for (i, what) in what.into_iter().enumerate() {
        let samples = [ours[i], official[i]].map(Samples::once);
        table.column(what, &names, &samples, 0, bytes);
        let (what, most) = (format!("memory, {what}"), Limit::AtMost(most[i]));
        report.budget(&what, ours[i], most, bytes);
    }
    report.table(table);
    at_scale(report);
}

/// What stays held where there is a lot.
fn at_scale(report: &mut Report) {
    let names = [meterline::NAME.to_owned(), official::NAME.to_owned()];
    let mut table = Table::new("Kilobytes held");
    let columns = [
        ("100,000 counter series", [our_many(), official_many()]),
        (
            "the same, expired",
            // It has no expiry.
            [our_expired(), f64::NAN],
        ),
        (
            "1,000,000 attribute sets at a limit of 2,000",
            [our_flood(), official_flood()],
        ),
    ];
    for (heading, held) in columns {
        let known = held.iter().filter(|held| !held.is_nan());
        let samples: Vec<_> = known.map(|held| Samples::once(held / 1e3)).collect();
        table.plain_column(heading, &names, &samples, kilobytes);
    }
    report.table(table);
}

fn kilobytes(value: f64) -> String {
    format!("{value:.0} kB")
}

fn our_many() -> f64 {
    let provider = meterline::provider(MANY);
    let meter = provider.meter("bench");
    let ((), held) = held_by(|| otel::fill_counters(&meter, MANY));
    assert_eq!(provider.collect().metrics[0].series.len(), MANY);
    held as f64
}

fn official_many() -> f64 {
    let (provider, _registries) = official::provider(1, Some(MANY));
    let meter = provider.meter("bench");
    let ((), held) = held_by(|| otel::fill_counters(&meter, MANY));
    held as f64
}

fn our_expired() -> f64 {
    let provider = MeterProvider::builder()
        .with_cardinality_limit(MANY)
        .with_series_ttl(Some(Duration::ZERO))
        .build();
    let meter = provider.meter("bench");
    let counter = meter.u64_counter("counter").build();
    let ((), held) = held_by(|| {
        otel::fill_counters(&meter, MANY);
        for _ in 0..4 {
            drop(provider.collect());
            // Threads forget what ended when they record again.
            counter.add(1, &[opentelemetry::KeyValue::new("other", 1)]);
        }
    });
    assert_eq!(provider.stats().series, 1);
    held as f64
}

fn our_flood() -> f64 {
    let provider = meterline::provider(2_000);
    let counter = provider.meter("bench").u64_counter("counter").build();
    let ((), held) = held_by(|| (0..FLOOD).for_each(|n| counter.add(1, &otel::attributes_of(n))));
    assert_eq!(provider.stats().overflowed, FLOOD as u64 - 2_000);
    held as f64
}

fn official_flood() -> f64 {
    let (provider, _registries) = official::provider(1, None);
    let counter = provider.meter("bench").u64_counter("counter").build();
    let ((), held) = held_by(|| (0..FLOOD).for_each(|n| counter.add(1, &otel::attributes_of(n))));
    held as f64
}

fn our_series() -> Vec<f64> {
    let provider = meterline::provider(2_000);
    let histogram = otel::histogram(&provider.meter("bench"));
    let ((), before) = held_by(|| otel::fill_histograms(&histogram, SERIES));
    let mut exposition = meterline::exposition(provider.clone());
    let (_, scraped) = held_by(|| {
        let mut page = Vec::new();
        (exposition.page)(&mut page);
        assert!(page.len() > SERIES * 1000, "all series are on the page");
    });
    assert_eq!(provider.collect().metrics[0].series.len(), SERIES);
    per(SERIES, &[before, before + scraped])
}

fn our_instrument() -> Vec<f64> {
    let provider = meterline::provider(2_000);
    let meter = provider.meter("bench");
    let (counters, held) = held_by(|| instruments(&meter));
    assert_eq!(counters.len(), INSTRUMENTS);
    per(INSTRUMENTS, &[held])
}

fn official_series() -> Vec<f64> {
    let (provider, registries) = official::provider(1, None);
    let histogram = otel::histogram(&provider.meter("bench"));
    let ((), before) = held_by(|| otel::fill_histograms(&histogram, SERIES));
    let (_, scraped) = held_by(|| {
        let mut page = Vec::new();
        official::encode(&registries[0], &mut page);
        assert!(page.len() > SERIES * 1000, "all series are on the page");
    });
    per(SERIES, &[before, before + scraped])
}

fn official_instrument() -> Vec<f64> {
    let (provider, _registries) = official::provider(1, None);
    let meter = provider.meter("bench");
    let (counters, held) = held_by(|| instruments(&meter));
    assert_eq!(counters.len(), INSTRUMENTS);
    per(INSTRUMENTS, &[held])
}

fn instruments(meter: &opentelemetry::metrics::Meter) -> Vec<opentelemetry::metrics::Counter<u64>> {
    let name = |n| format!("counter_{n}");
    let create = |n| meter.u64_counter(name(n)).build();
    black_box((0..INSTRUMENTS).map(create).collect())
}

fn per(many: usize, held: &[i64]) -> Vec<f64> {
    held.iter().map(|&held| held as f64 / many as f64).collect()
}
