//! `meterline_*`: what the pipeline says about itself.

use std::sync::{Arc, OnceLock, Weak};

use meterline_sdk::WeakMeterProvider;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Gauge, Histogram, Meter};

use crate::push::ExportMetrics;
use crate::scrape::{Made, Scraper};

/// Upper bounds of the time a page takes, in seconds.
const SCRAPE_SECONDS: [f64; 10] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0,
];

/// Where the numbers of dropped points come from: known only once there is a scraper.
pub(crate) type ScraperSlot = Arc<OnceLock<Weak<Scraper>>>;

/// Recorded for each page.
pub(crate) struct PageMetrics {
    duration: Histogram<f64>,
    size: Gauge<u64>,
}

impl PageMetrics {
    pub(crate) fn new(meter: &Meter) -> Self {
        Self {
            duration: meter
                .f64_histogram("meterline.scrape.duration")
                .with_unit("s")
                .with_description("Time it took to collect and encode a metrics page.")
                .with_boundaries(SCRAPE_SECONDS.to_vec())
                .build(),
            size: meter
                .u64_gauge("meterline.scrape.size")
                .with_unit("By")
                .with_description("Size of the metrics page made last, uncompressed.")
                .build(),
        }
    }

    pub(crate) fn record(&self, made: Made) {
        self.duration.record(made.took.as_secs_f64(), &[]);
        self.size.record(made.bytes as u64, &[]);
    }
}

/// Adds the instruments that are read when a collection asks.
pub(crate) fn observe(
    meter: &Meter,
    provider: &WeakMeterProvider,
    scraper: &ScraperSlot,
    exports: &ExportMetrics,
) {
    let stats = provider.clone();
    meter
        .u64_observable_gauge("meterline.series")
        .with_description("Series that exist, overflow series included.")
        .with_callback(move |to| {
            if let Some(provider) = stats.upgrade() {
                to.observe(provider.stats().series, &[]);
            }
        })
        .build();
    let stats = provider.clone();
    meter
        .u64_observable_counter("meterline.collections")
        .with_description("Collections of all series, for pages and for pushes.")
        .with_callback(move |to| {
            if let Some(provider) = stats.upgrade() {
                to.observe(provider.stats().collections, &[]);
            }
        })
        .build();
    let stats = provider.clone();
    meter
        .f64_observable_counter("meterline.collection.time")
        .with_unit("s")
        .with_description("Time that collections took, callbacks included.")
        .with_callback(move |to| {
            if let Some(provider) = stats.upgrade() {
                to.observe(provider.stats().collection_time.as_secs_f64(), &[]);
            }
        })
        .build();
    let stats = provider.clone();
    meter
        .u64_observable_counter("meterline.series.overflowed")
        .with_description("Measurements that a cardinality limit sent to an overflow series.")
        .with_callback(move |to| {
            if let Some(provider) = stats.upgrade() {
                to.observe(provider.stats().overflowed, &[]);
            }
        })
        .build();
    let (stats, scraper, exports) = (provider.clone(), Arc::clone(scraper), exports.clone());
    meter
        .u64_observable_counter("meterline.points.dropped")
        .with_description(
            "Measurements not recorded, points not shown on a page or refused by a collector, by \
             reason.",
        )
        .with_callback(move |to| {
            let tell = |reason, points| to.observe(points, &[KeyValue::new("reason", reason)]);
            if let Some(provider) = stats.upgrade() {
                let stats = provider.stats();
                tell("non_finite", stats.non_finite);
                tell("negative", stats.negative);
                tell("callback_panicked", stats.callback_panics);
                tell("callback_late", stats.late_callbacks);
            }
            tell("otlp_rejected", exports.rejected());
            if let Some(scraper) = scraper.get().and_then(Weak::upgrade) {
                scraper
                    .dropped()
                    .for_each(|(reason, points)| tell(reason.as_str(), points));
            }
        })
        .build();
}
