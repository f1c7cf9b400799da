//! Everything osapi can be told, with every default.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use meterline::config::values::{self, ListenAddr};
use meterline::config::{TelemetryConfig, TlsFiles};
use serde::{Deserialize, Deserializer, Serialize, de};

/// Everything osapi can be told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Turns metrics on where `telemetry.metrics.enabled` does not say.
    #[serde(deserialize_with = "values::switch")]
    pub debug: bool,
    /// What is logged, and how.
    pub log: LogConfig,
    /// The HTTP API.
    pub api: ApiConfig,
    /// Where jobs are kept, and how they are retried.
    pub queue: QueueConfig,
    /// What runs jobs.
    pub worker: WorkerConfig,
    /// Metrics and traces.
    pub telemetry: TelemetryConfig,
}

impl Default for Config {
    fn default() -> Self {
        let telemetry = TelemetryConfig {
            service_name: "osapi".to_owned(),
            ..TelemetryConfig::default()
        };
        Self {
            debug: false,
            log: LogConfig::default(),
            api: ApiConfig::default(),
            queue: QueueConfig::default(),
            worker: WorkerConfig::default(),
            telemetry,
        }
    }
}

impl Config {
    /// Whether the scrape endpoints are served: an explicit value wins, `debug` decides otherwise.
    #[must_use]
    pub fn metrics_enabled(&self) -> bool {
        self.telemetry.metrics.enabled.unwrap_or(self.debug)
    }

    /// The directory that holds the queue's database, and `osapi.addr` beside it.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        match self.queue.sqlite.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        }
    }
}

/// What is logged, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// The least severe level that is logged.
    pub level: LogLevel,
    /// One line of text, or one JSON object, per event.
    pub format: LogFormat,
}

/// How severe an event has to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What went wrong.
    Error,
    /// And what may go wrong.
    Warn,
    /// And what happens.
    #[default]
    Info,
    /// And why.
    Debug,
    /// And everything else.
    Trace,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

/// The HTTP API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiConfig {
    /// Where it listens. Beyond loopback only with a signing key or `insecure`.
    pub listen: ListenAddr,
    /// Listens beyond loopback without authentication.
    #[serde(deserialize_with = "values::switch")]
    pub insecure: bool,
    /// HS256 secret of the tokens; `None` on loopback is an open API.
    pub signing_key: Option<Secret>,
    /// File that holds it instead.
    pub signing_key_file: Option<PathBuf>,
    /// TLS.
    pub tls: Option<TlsFiles>,
    /// The largest request body.
    #[serde(deserialize_with = "values::whole::<_, _, 1024, 67_108_864>")]
    pub max_body_bytes: usize,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080"
                .parse()
                .expect("the default address is an address"),
            insecure: false,
            signing_key: None,
            signing_key_file: None,
            tls: None,
            max_body_bytes: 1_048_576,
        }
    }
}

impl ApiConfig {
    /// Whether requests need a token.
    #[must_use]
    pub fn has_key(&self) -> bool {
        self.signing_key.is_some() || self.signing_key_file.is_some()
    }
}

/// Where jobs are kept, and how they are retried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueueConfig {
    /// Which engine.
    pub backend: Backend,
    /// The embedded one.
    pub sqlite: SqliteConfig,
    /// The one for many machines.
    pub nats: NatsConfig,
    /// After this long without a heartbeat a worker's jobs start anew elsewhere.
    #[serde(
        deserialize_with = "lease",
        serialize_with = "values::duration::serialize"
    )]
    pub lease: Duration,
    /// How often a job is tried.
    #[serde(deserialize_with = "values::whole::<_, _, 1, 1000>")]
    pub max_attempts: u32,
    /// How long between attempts.
    pub retry: RetryConfig,
    /// Waiting jobs beyond which new ones are refused.
    #[serde(deserialize_with = "values::whole::<_, _, 1, 1_000_000_000>")]
    pub max_waiting: u64,
    /// A job that waited this long fails; `None` is never.
    #[serde(with = "values::optional_duration")]
    pub start_timeout: Option<Duration>,
    /// How long finished jobs are kept.
    #[serde(with = "values::duration")]
    pub retention: Duration,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            backend: Backend::Sqlite,
            sqlite: SqliteConfig::default(),
            nats: NatsConfig::default(),
            lease: Duration::from_secs(30),
            max_attempts: 5,
            retry: RetryConfig::default(),
            max_waiting: 1_000_000,
            start_timeout: None,
            retention: Duration::from_hours(24),
        }
    }
}

/// A lease shorter than a second would expire between two heartbeats on a busy machine.
fn lease<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let lease = values::duration::deserialize(from)?;
    if (Duration::from_secs(1)..=Duration::from_hours(1)).contains(&lease) {
        return Ok(lease);
    }
    Err(de::Error::custom("expected a duration from 1s to 1h"))
}

/// Which engine keeps the jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// A file on this machine.
    #[default]
    Sqlite,
    /// NATS JetStream.
    Nats,
}

/// The embedded engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SqliteConfig {
    /// The database file; made with its directory when missing.
    #[serde(deserialize_with = "file")]
    pub path: PathBuf,
}

impl Default for SqliteConfig {
    fn default() -> Self {
        Self {
            path: PathBuf::from("osapi-data/queue.db"),
        }
    }
}

fn file<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    let path = PathBuf::from(values::text(from)?);
    if path.file_name().is_none() {
        return Err(de::Error::custom("expected the path of a file"));
    }
    Ok(path)
}

/// NATS JetStream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NatsConfig {
    /// Servers, separated by commas.
    pub url: String,
    /// File with credentials (a JWT and its key), or with the seed of an nkey alone.
    pub credentials: Option<PathBuf>,
    /// Prefix of streams, buckets and subjects.
    #[serde(deserialize_with = "nats_prefix")]
    pub prefix: String,
    /// Copies of each message.
    #[serde(deserialize_with = "values::whole::<_, _, 1, 5>")]
    pub replicas: u8,
    /// TLS, with what of it is given; with nothing given, by the authorities the system trusts.
    pub tls: Option<NatsTls>,
}

/// TLS to the broker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NatsTls {
    /// PEM file with the authorities to be trusted.
    pub ca: Option<PathBuf>,
    /// PEM file with a certificate to show; goes with `key`.
    pub cert: Option<PathBuf>,
    /// PEM file with its private key.
    pub key: Option<PathBuf>,
}

/// It begins names of streams and subjects, where little is allowed.
fn nats_prefix<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let prefix = values::text(from)?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
    if prefix.is_empty() || prefix.len() > 64 || !prefix.bytes().all(plain) {
        return Err(de::Error::custom(
            "expected 1 to 64 letters, digits, _ and -",
        ));
    }
    Ok(prefix)
}

impl Default for NatsConfig {
    fn default() -> Self {
        Self {
            url: "nats://127.0.0.1:4222".to_owned(),
            credentials: None,
            prefix: "osapi".to_owned(),
            replicas: 1,
            tls: None,
        }
    }
}

/// Exponential backoff with jitter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryConfig {
    /// Before the second attempt; doubled for each further one.
    #[serde(with = "values::duration")]
    pub base: Duration,
    /// The longest wait.
    #[serde(with = "values::duration")]
    pub max: Duration,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(1),
            max: Duration::from_mins(5),
        }
    }
}

/// What runs jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerConfig {
    /// How it is known; `None` is the host's name.
    #[serde(deserialize_with = "worker_name")]
    pub name: Option<String>,
    /// Jobs at a time.
    #[serde(deserialize_with = "values::whole::<_, _, 1, 1024>")]
    pub slots: u32,
    /// How long running jobs may take to end on shutdown.
    #[serde(with = "values::duration")]
    pub drain_timeout: Duration,
    /// Shown with the worker.
    pub labels: BTreeMap<String, String>,
    /// Programs `command.exec` may run, by name or absolute path; none when empty.
    #[serde(deserialize_with = "programs")]
    pub allow_commands: Vec<String>,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            name: None,
            slots: 4,
            drain_timeout: Duration::from_secs(30),
            labels: BTreeMap::new(),
            allow_commands: Vec::new(),
        }
    }
}

/// Names stand in URLs and metric labels, so they are kept plain.
fn worker_name<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let Some(name) = Option::<String>::deserialize(from)? else {
        return Ok(None);
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if name.is_empty() || name.len() > 253 || name.starts_with('_') || !name.bytes().all(plain) {
        return Err(de::Error::custom(
            "expected 1 to 253 letters, digits and . _ -, not starting with _",
        ));
    }
    Ok(Some(name))
}

/// A path relative to nothing in particular would allow another program than it seems to.
fn programs<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let programs = Vec::<String>::deserialize(from)?;
    let fits = |program: &str| {
        let path = Path::new(program);
        let plain = path
            .components()
            .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        let name = path.file_name().is_some() && !program.ends_with('/');
        name && plain && (path.is_absolute() || !program.contains('/')) && !program.contains('\0')
    };
    match programs.iter().find(|program| !fits(program)) {
        Some(program) => Err(de::Error::custom(format!(
            "{program:?} is neither the name of a program, such as uptime, nor an absolute path, \
             such as /usr/bin/uptime"
        ))),
        None => Ok(programs),
    }
}

/// Text that is never shown: not by `Debug`, not when serialized.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"***\"")
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str("***")
    }
}
