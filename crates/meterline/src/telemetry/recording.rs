use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use meterline_exposition::{TranslationOptions, TranslationStrategy};
use meterline_http::{Convention, HttpMetricsLayer};
use meterline_sdk::{ExemplarFilter, MeterProvider};
use opentelemetry::InstrumentationScope;
use opentelemetry::metrics::{Meter, MeterProvider as _};
use tokio::runtime::Handle;

use super::builder::{BuildError, InCode};
use super::resource::resource;
use crate::config::{self, Exemplars, MetricsConfig, TelemetryConfig, Translation};
use crate::push::{ExportMetrics, Push};
use crate::runtime;
use crate::scrape::{Scraper, ScraperOptions, Section};
use crate::self_metrics::{self, PageMetrics, ScraperSlot};

/// The scope of the metrics this crate adds.
const SCOPE: &str = "meterline";

/// What there is only while something is recorded.
pub(super) struct Recording {
    pub(super) provider: MeterProvider,
    /// What the scrape endpoints show, if there are any.
    pub(super) scraper: Option<Arc<Scraper>>,
    pub(super) http_layer: HttpMetricsLayer,
    /// Whether somebody has asked for the layer.
    pub(super) http_measured: AtomicBool,
    pub(super) push: Option<Arc<Push>>,
}

impl Recording {
    pub(super) fn new(
        config: &TelemetryConfig,
        in_code: InCode,
        scraped: bool,
    ) -> Result<Self, BuildError> {
        let metrics = &config.metrics;
        let exporter = config.otlp.exporter()?;
        let provider = provider(config, &in_code)?;
        let exporter = exporter.map(|exporter| (exporter, Push::reader(&config.otlp, &provider)));
        let http_layer = http_layer(metrics, in_code.scheme, &provider)?;
        let scope = InstrumentationScope::builder(SCOPE).with_version(env!("CARGO_PKG_VERSION"));
        let meter = provider.meter_with_scope(scope.build());
        #[cfg(target_os = "linux")]
        if metrics.process {
            crate::process::observe(&meter);
        }
        if let Some(handle) = Handle::try_current().ok().filter(|_| metrics.tokio) {
            runtime::observe(&meter, &handle);
        }

        let slot: ScraperSlot = Arc::new(OnceLock::new());
        let exports = ExportMetrics::new(&meter);
        self_metrics::observe(&meter, &provider.downgrade(), &slot, &exports);
        let scraper = scraped.then(|| scraper(metrics, &provider, &meter, in_code.sections));
        if let Some(scraper) = &scraper {
            // The slot is ours and still empty.
            let _ = slot.set(Arc::downgrade(scraper));
        }
        let push =
            exporter.map(|(exporter, reader)| Push::start(&config.otlp, exporter, reader, exports));
        let push = push.transpose().map_err(BuildError::Push)?.map(Arc::new);
        if let Some(push) = &push {
            provider.add_push(push);
        }
        Ok(Self {
            provider,
            scraper,
            http_layer,
            http_measured: AtomicBool::new(false),
            push,
        })
    }
}

fn exemplar_filter(exemplars: Exemplars) -> ExemplarFilter {
    match exemplars {
        Exemplars::Off => ExemplarFilter::Off,
        Exemplars::TraceBased => ExemplarFilter::TraceBased,
        Exemplars::Always => ExemplarFilter::Always,
    }
}

fn provider(config: &TelemetryConfig, in_code: &InCode) -> Result<MeterProvider, BuildError> {
    let metrics = &config.metrics;
    let deadline = in_code
        .callback_deadline
        .unwrap_or(metrics.callback_deadline);
    let window = in_code.callback_window.or(metrics.callback_window);
    let mut builder = MeterProvider::builder()
        .with_resource(resource(config))
        .with_cardinality_limit(metrics.cardinality_limit)
        .with_exemplars(exemplar_filter(metrics.exemplars))
        .with_series_ttl(metrics.series_ttl)
        .with_callback_deadline(deadline)
        .with_callback_window(window.unwrap_or_default());
    for (at, view) in metrics.views.iter().enumerate() {
        let view = view
            .view()
            .map_err(|error| BuildError::View(at + 1, error))?;
        builder = builder.with_view(view);
    }
    for view in &in_code.views {
        builder = builder.with_view(view.clone());
    }
    Ok(builder.build())
}

fn scraper(
    metrics: &MetricsConfig,
    provider: &MeterProvider,
    meter: &Meter,
    sections: Vec<(String, Section)>,
) -> Arc<Scraper> {
    let pages = PageMetrics::new(meter);
    let options = ScraperOptions {
        most_at_once: metrics.max_concurrent_scrapes,
        longest: metrics.scrape_timeout,
        sections,
        made: Box::new(move |made| pages.record(made)),
    };
    Arc::new(Scraper::new(
        provider.clone(),
        translation(metrics),
        options,
    ))
}

fn translation(metrics: &MetricsConfig) -> TranslationOptions {
    let mut options = TranslationOptions::default();
    options.strategy = match metrics.translation {
        Translation::UnderscoresWithSuffixes => TranslationStrategy::UnderscoresWithSuffixes,
        Translation::UnderscoresWithoutSuffixes => TranslationStrategy::UnderscoresWithoutSuffixes,
        Translation::Utf8WithSuffixes => TranslationStrategy::Utf8WithSuffixes,
        Translation::None => TranslationStrategy::None,
    };
    options.scope_labels = metrics.scope_labels;
    options.target_info = metrics.target_info;
    options.created_timestamps = metrics.created_timestamps;
    options.resource_labels.clone_from(&metrics.resource_labels);
    options
}

fn http_layer(
    metrics: &MetricsConfig,
    scheme: Option<&'static str>,
    provider: &MeterProvider,
) -> Result<HttpMetricsLayer, BuildError> {
    let http = &metrics.http;
    let prefix = || http.classic_prefix.clone();
    let convention = match http.convention {
        config::Convention::Semconv => Convention::Semconv,
        config::Convention::Classic => Convention::Classic { prefix: prefix() },
        config::Convention::Both => Convention::Both { prefix: prefix() },
    };
    let own_paths = std::iter::once(&metrics.path).chain(&metrics.json_path);
    let mut layer = HttpMetricsLayer::builder()
        .meter_provider(provider)
        .convention(convention)
        .body_sizes(http.body_sizes)
        .exclude(http.exclude.iter().chain(own_paths).cloned());
    if let Some(scheme) = scheme {
        layer = layer.scheme(scheme);
    }
    if let Some(buckets) = &http.buckets {
        layer = layer.duration_buckets(buckets.clone());
    }
    if let Some(methods) = &http.known_methods {
        layer = layer.known_methods(methods);
    }
    Ok(layer.build()?)
}
