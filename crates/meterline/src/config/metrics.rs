//! `telemetry.metrics`: recording, the scrape endpoints, and what the HTTP layer measures.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::values::{self, ListenAddr};
use super::views::ViewConfig;

/// Recording and the scrape endpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// Whether the scrape endpoints are served; `None` leaves it to the program (osapi: its `debug`).
    #[serde(deserialize_with = "values::optional_switch")]
    pub enabled: Option<bool>,
    /// Where the Prometheus exposition is served.
    #[serde(deserialize_with = "values::url_path")]
    pub path: String,
    /// Where the JSON form is served; `None` is nowhere.
    #[serde(deserialize_with = "values::optional_url_path")]
    pub json_path: Option<String>,
    /// A listener of its own; `None` is the application's.
    pub listen: Option<ListenAddr>,
    /// Who may scrape.
    pub auth: Auth,
    /// Prefix of the application's own metrics.
    #[serde(deserialize_with = "values::name_prefix")]
    pub namespace: String,
    /// The exposition formats a scraper may negotiate, by preference.
    pub formats: Vec<Format>,
    /// How OpenTelemetry names become Prometheus names.
    pub translation: Translation,
    /// Whether each series carries `otel_scope_*` labels.
    #[serde(deserialize_with = "values::switch")]
    pub scope_labels: bool,
    /// Whether the resource is shown as `target_info`.
    #[serde(deserialize_with = "values::switch")]
    pub target_info: bool,
    /// Resource attributes copied onto every series.
    pub resource_labels: Vec<String>,
    /// Distinct attribute sets per instrument before the overflow series takes the rest.
    #[serde(deserialize_with = "values::whole::<_, _, 1, 10_000_000>")]
    pub cardinality_limit: usize,
    /// Idle time after which a series is forgotten; `None` is never.
    #[serde(with = "values::optional_duration")]
    pub series_ttl: Option<Duration>,
    /// How long a callback of an observable instrument may take; collections go on without it.
    #[serde(with = "values::duration")]
    pub callback_deadline: Duration,
    /// For how long what callbacks said to one reader (the scrape endpoints, the push) is good for
    /// the others too; `None` asks them anew for each.
    #[serde(with = "values::optional_duration")]
    pub callback_window: Option<Duration>,
    /// Which recordings may leave an exemplar.
    pub exemplars: Exemplars,
    /// Whether OpenMetrics text carries `_created` lines.
    #[serde(deserialize_with = "values::switch")]
    pub created_timestamps: bool,
    /// Pages that may be on their way to scrapers at once; each is made by itself.
    #[serde(deserialize_with = "values::whole::<_, _, 1, 1024>")]
    pub max_concurrent_scrapes: usize,
    /// How long one scrape may take; the scraper's own header wins when shorter.
    #[serde(with = "values::duration")]
    pub scrape_timeout: Duration,
    /// TLS for the listener of its own.
    pub tls: Option<TlsFiles>,
    /// Changes to single instruments, in order.
    pub views: Vec<ViewConfig>,
    /// What is measured of HTTP requests.
    pub http: HttpConfig,
    /// Whether the process's own metrics are collected.
    #[serde(deserialize_with = "values::switch")]
    pub process: bool,
    /// Whether the tokio runtime's metrics are collected.
    #[serde(deserialize_with = "values::switch")]
    pub tokio: bool,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self {
            enabled: None,
            path: "/metrics".to_owned(),
            json_path: Some("/metrics.json".to_owned()),
            listen: None,
            auth: Auth::None,
            namespace: "osapi".to_owned(),
            formats: vec![Format::Text, Format::Openmetrics, Format::Protobuf],
            translation: Translation::UnderscoresWithSuffixes,
            scope_labels: true,
            target_info: true,
            resource_labels: Vec::new(),
            cardinality_limit: 2000,
            series_ttl: None,
            callback_deadline: Duration::from_secs(5),
            callback_window: None,
            exemplars: Exemplars::TraceBased,
            created_timestamps: false,
            max_concurrent_scrapes: 4,
            scrape_timeout: Duration::from_secs(10),
            tls: None,
            views: Vec::new(),
            http: HttpConfig::default(),
            process: true,
            tokio: true,
        }
    }
}

/// Who may scrape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// Anybody who can connect.
    #[default]
    None,
    /// Bearers of a token with `metrics:read`.
    Bearer,
}

/// An exposition format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics text.
    Openmetrics,
    /// Prometheus protobuf, length-delimited.
    Protobuf,
}

/// How OpenTelemetry names become Prometheus names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Translation {
    /// Escaped to underscores, with unit and type suffixes.
    #[default]
    UnderscoresWithSuffixes,
    /// Escaped to underscores, no suffix added.
    UnderscoresWithoutSuffixes,
    /// As named, with unit and type suffixes.
    Utf8WithSuffixes,
    /// As named.
    None,
}

/// Which recordings may leave an exemplar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exemplars {
    /// None.
    Off,
    /// Those made inside a sampled span.
    #[default]
    TraceBased,
    /// All.
    Always,
}

/// Certificate and key of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// PEM file with the certificate chain.
    pub cert: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
}

/// What is measured of HTTP requests, and under which names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Whose names.
    pub convention: Convention,
    /// Prefix of the classic names: `http` gives `http_requests_total`.
    #[serde(deserialize_with = "values::name_prefix")]
    pub classic_prefix: String,
    /// Bounds of the duration histogram in seconds; `None` is the convention's own.
    #[serde(deserialize_with = "values::bounds")]
    pub buckets: Option<Vec<f64>>,
    /// Paths that are not measured. The metrics paths never are.
    pub exclude: Vec<String>,
    /// Whether body sizes are measured.
    #[serde(deserialize_with = "values::switch")]
    pub body_sizes: bool,
    /// Methods that appear under their own name, others as `_OTHER`; `None` is those of RFC 9110,
    /// PATCH and QUERY, as the semantic conventions list them.
    pub known_methods: Option<Vec<String>>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            convention: Convention::Semconv,
            classic_prefix: "http".to_owned(),
            buckets: None,
            exclude: vec!["/metrics".to_owned(), "/metrics.json".to_owned()],
            body_sizes: true,
            known_methods: None,
        }
    }
}

/// Whose names the HTTP metrics bear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Convention {
    /// The OpenTelemetry semantic conventions.
    #[default]
    Semconv,
    /// `http_requests_total` and its siblings.
    Classic,
    /// The two side by side.
    Both,
}
