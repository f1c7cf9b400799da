use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, LazyLock, OnceLock};

use axum::Router;
use meterline_exposition::{TranslationOptions, TranslationStrategy};
use meterline_http::{Convention, HttpMetricsLayer};
use meterline_otlp::FlushError;
use meterline_sdk::{ExemplarFilter, InvalidView, MeterProvider, MeterProviderBuilder, Resource};
use opentelemetry::metrics::{Meter, MeterProvider as _, NoopMeterProvider};
use opentelemetry::{InstrumentationScope, KeyValue};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::bearer::{BearerCheck, BearerRefusal};
use crate::config::{
    self, Auth, Exemplars, ListenAddr, MetricsConfig, OtlpError, TelemetryConfig, Translation,
    ViewConfig, otel,
};
use crate::push::{ExportMetrics, Push};
use crate::routes::routes;
use crate::runtime;
use crate::scrape::{Scraper, ScraperOptions, Section};
use crate::self_metrics::{self, PageMetrics, ScraperSlot};
use crate::server::{BindError, Server};
use crate::tls::{Tls, TlsError};

/// The scope of the metrics this crate adds.
const SCOPE: &str = "meterline";

/// Whether a provider of ours is the global one.
static INSTALLED: AtomicBool = AtomicBool::new(false);

/// A service's metrics, from instruments to endpoints and to a collector.
///
/// It records when there are scrape endpoints (`metrics.enabled`) or somewhere to push to
/// (`otlp.endpoint`). With neither it does nothing at all: no provider is set, the layer only passes
/// requests on, and there are no routes, so that the paths answer 404.
pub struct Telemetry {
    recording: Option<Recording>,
    config: MetricsConfig,
    bearer: Option<BearerCheck>,
    listener: Mutex<Option<Listener>>,
    listen_addr: Option<SocketAddr>,
}

/// What there is only while something is recorded.
struct Recording {
    provider: MeterProvider,
    /// What the scrape endpoints show, if there are any.
    scraper: Option<Arc<Scraper>>,
    http_layer: HttpMetricsLayer,
    push: Option<Push>,
}

/// The metrics' own server, in a task of its own.
struct Listener {
    stop: CancellationToken,
    task: JoinHandle<bool>,
}

/// Configures and builds a [`Telemetry`].
#[must_use = "nothing happens until `build`"]
pub struct TelemetryBuilder {
    config: TelemetryConfig,
    global: bool,
    bearer: Option<BearerCheck>,
    sections: Vec<(String, Section)>,
}

/// Why telemetry could not be set up. Nothing was bound or installed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// There is a provider from an earlier call, and instruments may use it already.
    #[error("the global meter provider is already one of meterline's: set telemetry up once")]
    AlreadyInstalled,
    /// The own listener's address cannot be had.
    #[error("metrics: {0}")]
    Bind(#[from] BindError),
    /// The own listener's certificate cannot be used.
    #[error("metrics.tls: {0}")]
    Tls(#[from] TlsError),
    /// A certificate without a listener to use it: the application's listener is its own affair.
    #[error("metrics.tls is set, but not metrics.listen, whose certificate it is")]
    TlsWithoutListener,
    /// Scrapers are to show tokens, and nothing says which ones are good.
    #[error(
        "metrics.auth is bearer: say which tokens are good, by TelemetryBuilder::bearer_token or \
         TelemetryBuilder::bearer_check"
    )]
    NoBearerCheck,
    /// An own listener needs a tokio runtime to serve it.
    #[error("metrics.listen is set: build telemetry inside a tokio runtime")]
    NoRuntime,
    /// The HTTP layer's settings cannot work.
    #[error("metrics.http: {0}")]
    Http(#[from] meterline_http::BuildError),
    /// A view cannot be; its position counts from 1.
    #[error("metrics.views, number {0}: {1}")]
    View(usize, InvalidView),
    /// The push cannot be as configured.
    #[error("{0}")]
    Otlp(#[from] OtlpError),
    /// The push has no thread to run on.
    #[error("the push by OTLP cannot be started: {0}")]
    Push(io::Error),
    /// The environment sets something impossible.
    #[error("the environment's OTEL_ variables: {0}")]
    Environment(serde_json::Error),
}

/// What was lost while shutting down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShutdownError {
    /// The last export did not deliver everything.
    #[error("the last push: {0}")]
    Push(#[from] FlushError),
    /// Scrapes took too long.
    #[error("scrapes under way did not end in time and were cut off")]
    Scrapes,
}

impl Telemetry {
    /// From the standard `OTEL_*` variables. On unless `OTEL_SDK_DISABLED` or
    /// `OTEL_METRICS_EXPORTER` says otherwise; variables that make no sense are logged and ignored.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub fn from_env() -> Result<Self, BuildError> {
        let overrides = otel::overrides(&|name| std::env::var(name).ok());
        for warning in &overrides.warnings {
            tracing::warn!("{warning}");
        }
        let config = TelemetryConfig::default();
        let config = config.with(&overrides).map_err(BuildError::Environment)?;
        Self::builder().config(config).build()
    }

    /// A builder with the default configuration, and metrics on.
    pub fn builder() -> TelemetryBuilder {
        TelemetryBuilder {
            config: TelemetryConfig::default(),
            global: true,
            bearer: None,
            sections: Vec::new(),
        }
    }

    /// Whether anything is recorded.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.recording.is_some()
    }

    /// The provider, if metrics are on.
    #[must_use]
    pub fn provider(&self) -> Option<&MeterProvider> {
        self.recording.as_ref().map(|recording| &recording.provider)
    }

    /// A meter of the provider; one without effect if metrics are off.
    #[must_use]
    pub fn meter(&self, name: &'static str) -> Meter {
        match self.provider() {
            Some(provider) => provider.meter(name),
            None => NoopMeterProvider::new().meter(name),
        }
    }

    /// Has a series exist at zero before anything is recorded, so that `rate()` sees its first
    /// increment: see [`MeterProvider::declare`]. Whether there is one now; never with metrics off.
    pub fn declare(&self, scope: &str, instrument: &str, attributes: &[KeyValue]) -> bool {
        self.provider()
            .is_some_and(|provider| provider.declare(scope, instrument, attributes))
    }

    /// Ends a series because what it describes is gone: see [`MeterProvider::remove`]. Whether there
    /// was one.
    pub fn remove(&self, scope: &str, instrument: &str, attributes: &[KeyValue]) -> bool {
        self.provider()
            .is_some_and(|provider| provider.remove(scope, instrument, attributes))
    }

    /// The layer that measures HTTP requests. Add it outside the routes it shall see, and before
    /// [`routes`](Self::routes) are merged in: scrapes are not measured.
    #[must_use]
    pub fn http_layer(&self) -> HttpMetricsLayer {
        match &self.recording {
            Some(recording) => recording.http_layer.clone(),
            None => HttpMetricsLayer::off(),
        }
    }

    /// The metrics endpoints for the application's own listener: none if metrics are off, or have a
    /// listener of their own.
    pub fn routes<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        let recording = self.recording.as_ref();
        match recording.and_then(|recording| recording.scraper.as_ref()) {
            Some(scraper) if self.config.listen.is_none() => {
                routes(scraper, &self.config, self.bearer.as_ref())
            }
            _ => Router::new(),
        }
    }

    /// Where the own listener listens, if there is one; the real port if 0 was asked for.
    #[must_use]
    pub fn listen_addr(&self) -> Option<SocketAddr> {
        self.listen_addr
    }

    /// Pushes now what has been recorded until now; without a push it does nothing.
    ///
    /// # Errors
    /// If not everything was delivered, within `otlp.export_timeout` or twice that if an export is
    /// under way: a caller with less time puts a timeout of its own around it.
    pub async fn force_flush(&self) -> Result<(), FlushError> {
        match self.push() {
            Some(push) => push.force_flush().await,
            None => Ok(()),
        }
    }

    /// Pushes a last time, for five seconds at most, and then stops the own listener: call it last,
    /// when nothing is recorded any more, so that the last push and the last scrape have everything.
    ///
    /// # Errors
    /// If the last push did not deliver everything, or scrapes under way had to be cut off, after
    /// ten seconds. Everything has ended all the same.
    pub async fn shutdown(&self) -> Result<(), ShutdownError> {
        let pushed = match self.push() {
            Some(push) => push.shutdown().await,
            None => Ok(()),
        };
        let listener = self.listener.lock().take();
        if let Some(listener) = listener {
            listener.stop.cancel();
            if !listener.task.await.unwrap_or(false) {
                return Err(ShutdownError::Scrapes);
            }
        }
        Ok(pushed?)
    }

    fn push(&self) -> Option<&Push> {
        self.recording.as_ref()?.push.as_ref()
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry")
            .field("enabled", &self.is_enabled())
            .field("listen_addr", &self.listen_addr)
            .finish_non_exhaustive()
    }
}

impl TelemetryBuilder {
    /// Replaces the whole configuration. `metrics.enabled` unset means on.
    pub fn config(mut self, config: TelemetryConfig) -> Self {
        self.config = config;
        self
    }

    /// The resource attribute `service.name`.
    pub fn service_name(mut self, name: impl Into<String>) -> Self {
        self.config.service_name = name.into();
        self
    }

    /// Whether to make the provider the global one (the default). Without it, take meters from
    /// [`Telemetry::meter`]; several can then live side by side.
    pub fn global(mut self, global: bool) -> Self {
        self.global = global;
        self
    }

    /// Adds a member to the JSON page beside `metrics`, told anew for each page. It runs on a
    /// blocking thread.
    pub fn json_section(
        mut self,
        name: impl Into<String>,
        tell: impl Fn() -> serde_json::Value + Send + Sync + 'static,
    ) -> Self {
        self.sections.push((name.into(), Box::new(tell)));
        self
    }

    /// Shows the metrics only to scrapers that send this token (`Authorization: Bearer`), on whichever
    /// listener they are. In Prometheus it is `authorization: { credentials: ... }`.
    pub fn bearer_token(mut self, token: impl Into<String>) -> Self {
        self.bearer = Some(BearerCheck::token(token.into()));
        self
    }

    /// Shows the metrics only to scrapers whose token `check` approves of. It is asked for each
    /// request, on a thread that serves, and so must not block.
    pub fn bearer_check(
        mut self,
        check: impl Fn(&str) -> Result<(), BearerRefusal> + Send + Sync + 'static,
    ) -> Self {
        self.bearer = Some(BearerCheck::new(check));
        self
    }

    /// Sets everything up. Do so once: what the HTTP layer needs is never freed.
    ///
    /// # Errors
    /// See [`BuildError`]; nothing was bound or installed then.
    pub fn build(self) -> Result<Telemetry, BuildError> {
        let global = self.global && self.is_enabled();
        if global && INSTALLED.swap(true, SeqCst) {
            return Err(BuildError::AlreadyInstalled);
        }
        let built = self.set_up();
        match &built {
            Ok(Telemetry {
                recording: Some(recording),
                ..
            }) if global => {
                opentelemetry::global::set_meter_provider(recording.provider.clone());
            }
            Ok(_) => {}
            Err(_) if global => INSTALLED.store(false, SeqCst),
            Err(_) => {}
        }
        built
    }

    fn is_enabled(&self) -> bool {
        self.is_scraped() || self.config.otlp.is_enabled()
    }

    fn is_scraped(&self) -> bool {
        self.config.metrics.enabled.unwrap_or(true)
    }

    fn set_up(self) -> Result<Telemetry, BuildError> {
        let (enabled, scraped) = (self.is_enabled(), self.is_scraped());
        let (config, bearer) = (self.config.metrics.clone(), self.bearer);
        if !enabled {
            let listener = Mutex::new(None);
            return Ok(Telemetry {
                recording: None,
                config,
                bearer,
                listen_addr: None,
                listener,
            });
        }
        if scraped && config.auth == Auth::Bearer && bearer.is_none() {
            return Err(BuildError::NoBearerCheck);
        }
        if config.tls.is_some() && config.listen.is_none() {
            return Err(BuildError::TlsWithoutListener);
        }
        let tls = config.tls.as_ref().map(Tls::load).transpose()?;
        let recording = Recording::new(&self.config, self.sections, scraped)?;
        let (mut listen_addr, mut listener) = (None, None);
        if let Some((listen, scraper)) = config.listen.as_ref().zip(recording.scraper.as_ref()) {
            let server = bind(listen)?.with_tls(tls);
            listen_addr = Some(server.address());
            let routes = routes(scraper, &config, bearer.as_ref());
            listener = Some(Listener::start(server, routes));
        }
        Ok(Telemetry {
            recording: Some(recording),
            config,
            bearer,
            listen_addr,
            listener: Mutex::new(listener),
        })
    }
}

fn bind(addr: &ListenAddr) -> Result<Server, BuildError> {
    let _runtime = Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
    Ok(Server::bind(addr)?)
}

impl Listener {
    fn start(server: Server, routes: Router) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let task = tokio::spawn(async move { server.serve(routes, stopped).await });
        Self { stop, task }
    }
}

impl Recording {
    fn new(
        config: &TelemetryConfig,
        sections: Vec<(String, Section)>,
        scraped: bool,
    ) -> Result<Self, BuildError> {
        let metrics = &config.metrics;
        let exporter = config.otlp.exporter()?;
        let provider = MeterProvider::builder()
            .with_resource(resource(config))
            .with_cardinality_limit(metrics.cardinality_limit)
            .with_exemplars(exemplar_filter(metrics.exemplars))
            .with_series_ttl(metrics.series_ttl);
        let provider = with_views(provider, &metrics.views)?.build();
        let exporter = exporter.map(|exporter| (exporter, Push::reader(&config.otlp, &provider)));
        let http_layer = http_layer(metrics, &provider)?;
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
        let scraper = scraped.then(|| scraper(metrics, &provider, &meter, sections));
        if let Some(scraper) = &scraper {
            // The slot is ours and still empty.
            let _ = slot.set(Arc::downgrade(scraper));
        }
        let push =
            exporter.map(|(exporter, reader)| Push::start(&config.otlp, exporter, reader, exports));
        let push = push.transpose().map_err(BuildError::Push)?;
        Ok(Self {
            provider,
            scraper,
            http_layer,
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

fn with_views(
    provider: MeterProviderBuilder,
    views: &[ViewConfig],
) -> Result<MeterProviderBuilder, BuildError> {
    views
        .iter()
        .enumerate()
        .try_fold(provider, |provider, (at, view)| {
            let view = view
                .view()
                .map_err(|error| BuildError::View(at + 1, error))?;
            Ok(provider.with_view(view))
        })
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

/// This process; metrics and traces name the same one.
static INSTANCE: LazyLock<Uuid> = LazyLock::new(Uuid::new_v4);

/// The attributes the OpenTelemetry resource specification asks for, and the configured ones.
pub(crate) fn resource(config: &TelemetryConfig) -> Resource {
    let mut attributes = vec![
        KeyValue::new("telemetry.sdk.language", "rust"),
        KeyValue::new("telemetry.sdk.name", "meterline"),
        KeyValue::new("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
    ];
    // Replicas of one service are told apart by it; who gives one has its own way to.
    attributes.push(KeyValue::new("service.instance.id", INSTANCE.to_string()));
    let configured = config.resource.iter();
    attributes.extend(configured.map(|(key, value)| KeyValue::new(key.clone(), value.clone())));
    attributes.push(KeyValue::new("service.name", config.service_name.clone()));
    Resource::new(&attributes)
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
    if let Some(buckets) = &http.buckets {
        layer = layer.duration_buckets(buckets.clone());
    }
    if let Some(methods) = &http.known_methods {
        layer = layer.known_methods(methods);
    }
    Ok(layer.build()?)
}
