use std::io;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use axum::Router;
use meterline_sdk::{InvalidView, View};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Telemetry;
use super::recording::Recording;
use crate::bearer::{BearerCheck, BearerRefusal};
use crate::config::{Auth, ListenAddr, OtlpError, TelemetryConfig};
use crate::routes::routes;
use crate::scrape::Section;
use crate::server::{BindError, Server};
use crate::tls::{Tls, TlsError};

/// Whether a provider of ours is the global one.
static INSTALLED: AtomicBool = AtomicBool::new(false);

/// Configures and builds a [`Telemetry`].
#[must_use = "nothing happens until `build`"]
pub struct TelemetryBuilder {
    config: TelemetryConfig,
    global: bool,
    bearer: Option<BearerCheck>,
    in_code: InCode,
}

/// What only code can say of what is recorded and shown, beside the configuration.
#[derive(Default)]
pub(super) struct InCode {
    pub(super) sections: Vec<(String, Section)>,
    pub(super) views: Vec<View>,
    pub(super) callback_deadline: Option<Duration>,
    pub(super) callback_window: Option<Duration>,
    /// `url.scheme` of requests.
    pub(super) scheme: Option<&'static str>,
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

impl TelemetryBuilder {
    pub(super) fn new() -> Self {
        Self {
            config: TelemetryConfig::default(),
            global: true,
            bearer: None,
            in_code: InCode::default(),
        }
    }

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
        self.in_code.sections.push((name.into(), Box::new(tell)));
        self
    }

    /// `url.scheme` of the requests that the HTTP layer measures: `http` unless said otherwise, as the layer
    /// cannot see whether TLS is around it.
    pub fn url_scheme(mut self, scheme: &'static str) -> Self {
        self.in_code.scheme = Some(scheme);
        self
    }

    /// Adds a view, after those of the configuration. Each that selects an instrument makes a metric of its own, for
    /// scrapes and pushes alike.
    ///
    /// ```
    /// use meterline::Telemetry;
    /// use meterline::sdk::View;
    ///
    /// let bounds = [0.1, 1.0, 10.0];
    /// let view = View::builder("shop.checkout.duration").buckets(bounds).build()?;
    /// let telemetry = Telemetry::builder().view(view).global(false).build()?;
    /// # drop(telemetry);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn view(mut self, view: View) -> Self {
        self.in_code.views.push(view);
        self
    }

    /// How long a callback of an observable instrument may take, instead of what the configuration says: see
    /// [`MeterProviderBuilder::with_callback_deadline`](meterline_sdk::MeterProviderBuilder::with_callback_deadline).
    pub fn callback_deadline(mut self, deadline: Duration) -> Self {
        self.in_code.callback_deadline = Some(deadline);
        self
    }

    /// For how long scrapes and the push share what callbacks said, instead of what the configuration says: see
    /// [`MeterProviderBuilder::with_callback_window`](meterline_sdk::MeterProviderBuilder::with_callback_window).
    pub fn callback_window(mut self, window: Duration) -> Self {
        self.in_code.callback_window = Some(window);
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
        let recording = Recording::new(&self.config, self.in_code, scraped)?;
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

/// The metrics' own server, in a task of its own.
pub(super) struct Listener {
    pub(super) stop: CancellationToken,
    pub(super) task: JoinHandle<bool>,
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
