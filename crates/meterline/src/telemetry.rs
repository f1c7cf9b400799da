mod builder;
mod recording;
mod resource;

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::SeqCst;

use axum::Router;
use meterline_http::HttpMetricsLayer;
use meterline_otlp::FlushError;
use meterline_sdk::MeterProvider;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, MeterProvider as _, NoopMeterProvider};
use parking_lot::Mutex;

pub use self::builder::{BuildError, TelemetryBuilder};
#[cfg(feature = "traces")]
pub(crate) use self::resource::resource;

use self::builder::Listener;
use self::recording::Recording;
use crate::bearer::BearerCheck;
use crate::config::{MetricsConfig, TelemetryConfig, otel};
use crate::push::Push;
use crate::routes::routes;

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
        TelemetryBuilder::new()
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
            Some(recording) => {
                recording.http_measured.store(true, SeqCst);
                recording.http_layer.clone()
            }
            None => HttpMetricsLayer::off(),
        }
    }

    /// The metrics endpoints for the application's own listener: none if metrics are off, or have a
    /// listener of their own. `Router::merge` them last, after [`http_layer`](Self::http_layer) is on.
    pub fn routes<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        let Some(recording) = &self.recording else {
            return Router::new();
        };
        let routes = match &recording.scraper {
            Some(scraper) if self.config.listen.is_none() => {
                routes(scraper, &self.config, self.bearer.as_ref())
            }
            _ => Router::new(),
        };
        // Of two routers that answer 404 by default `merge` keeps the second one's answer, which would
        // take the requests that no route matches away from the layer of the first.
        if recording.http_measured.load(SeqCst) {
            routes.layer(recording.http_layer.clone())
        } else {
            routes
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
        self.recording.as_ref()?.push.as_deref()
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
