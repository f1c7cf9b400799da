//! How the layer is set up, and what a set-up may not be.

use std::borrow::Cow;
use std::sync::Arc;

use http::Method;
use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry::{InstrumentationScope, global};
use thiserror::Error;

use crate::layer::HttpMetricsLayer;
use crate::recorder::Recorder;
use crate::route::{RequestHead, RouteSource};

/// The semantic conventions' buckets for durations, in seconds.
const SEMCONV_BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
/// The default buckets of the classic Prometheus client libraries, in seconds.
const CLASSIC_BUCKETS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Powers of four from 256 bytes to 16 MiB; the conventions advise none.
const BODY_SIZE_BUCKETS: [f64; 9] = [
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
];
/// RFC 9110, PATCH (RFC 5789) and QUERY, the most frequent first.
const KNOWN_METHODS: [&str; 10] = [
    "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "QUERY",
];
/// How many methods the caller may list.
const MAX_METHODS: usize = 100;
/// The most series that may be kept ready, whatever is asked for.
const MAX_SERIES: usize = u16::MAX as usize / 2;

/// Which names the metrics have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Convention {
    /// The OpenTelemetry semantic conventions: `http.server.request.duration` and its relatives.
    #[default]
    Semconv,
    /// The names most Prometheus dashboards know: `http_requests_total`, `http_request_duration_seconds` and
    /// `http_requests_in_flight` for the prefix `http`.
    Classic {
        /// What the names begin with; letters, digits and `_`, a letter first.
        prefix: String,
    },
    /// Both at once, for a migration.
    Both {
        /// The prefix of the classic names.
        prefix: String,
    },
}

/// Why [`HttpMetricsBuilder::build`] refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Buckets that are not finite or do not increase: an SDK would drop the whole histogram silently.
    #[error("{0} must be finite numbers, each greater than the one before")]
    Buckets(&'static str),
    /// A prefix no instrument name may have.
    #[error(
        "classic prefix {0:?} must begin with a letter and go on with letters, digits or '_', 200 at most"
    )]
    Prefix(String),
    /// A method no request could have.
    #[error("known method {0:?} is not an HTTP method")]
    Method(String),
    /// A list of methods longer than any protocol needs.
    #[error("{0} known methods are too many, the limit is {MAX_METHODS}")]
    TooManyMethods(usize),
}

/// Everything the builder collects and the recorder needs.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) convention: Convention,
    buckets: Option<Vec<f64>>,
    pub(crate) body_sizes: bool,
    pub(crate) body_size_buckets: Vec<f64>,
    pub(crate) exclude: Vec<String>,
    pub(crate) route: RouteSource,
    pub(crate) max_series: usize,
    pub(crate) scheme: Cow<'static, str>,
    pub(crate) bind: bool,
}

impl Config {
    pub(crate) fn semconv_buckets(&self) -> Vec<f64> {
        self.buckets
            .clone()
            .unwrap_or_else(|| SEMCONV_BUCKETS.to_vec())
    }

    pub(crate) fn classic_buckets(&self) -> Vec<f64> {
        self.buckets
            .clone()
            .unwrap_or_else(|| CLASSIC_BUCKETS.to_vec())
    }
}

/// Sets up an [`HttpMetricsLayer`]; get one from [`HttpMetricsLayer::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct HttpMetricsBuilder {
    meter: Option<Meter>,
    config: Config,
    methods: Vec<String>,
}

impl HttpMetricsBuilder {
    pub(crate) fn new() -> Self {
        Self {
            meter: None,
            config: Config {
                convention: Convention::default(),
                buckets: None,
                body_sizes: true,
                body_size_buckets: BODY_SIZE_BUCKETS.to_vec(),
                exclude: Vec::new(),
                route: RouteSource::default(),
                max_series: 1000,
                scheme: Cow::Borrowed("http"),
                bind: true,
            },
            methods: KNOWN_METHODS.map(str::to_owned).to_vec(),
        }
    }

    /// Creates the instruments from this meter.
    pub fn meter(mut self, meter: Meter) -> Self {
        self.meter = Some(meter);
        self
    }

    /// Creates the instruments from this provider, under this crate's own scope. Without this and
    /// [`meter`](Self::meter), the global provider at the time of [`build`](Self::build) serves.
    pub fn meter_provider(self, provider: &dyn MeterProvider) -> Self {
        self.meter(provider.meter_with_scope(scope()))
    }

    /// Which names the metrics have; the semantic conventions' by default.
    pub fn convention(mut self, convention: Convention) -> Self {
        self.config.convention = convention;
        self
    }

    /// The buckets of durations, in seconds, increasing. By default those each convention states.
    pub fn duration_buckets(mut self, seconds: impl Into<Vec<f64>>) -> Self {
        self.config.buckets = Some(seconds.into());
        self
    }

    /// Whether body sizes are measured (semantic conventions only); they are by default.
    pub fn body_sizes(mut self, on: bool) -> Self {
        self.config.body_sizes = on;
        self
    }

    /// The buckets of body sizes, in bytes, increasing. By default powers of four from 256 bytes to 16 MiB.
    pub fn body_size_buckets(mut self, bytes: impl Into<Vec<f64>>) -> Self {
        self.config.body_size_buckets = bytes.into();
        self
    }

    /// Leaves requests to exactly these paths out of every metric, also out of the active requests. Adds to earlier
    /// calls. The path is the one this layer sees: inside a nested axum router, without the prefix.
    pub fn exclude<P: Into<String>>(mut self, paths: impl IntoIterator<Item = P>) -> Self {
        self.config
            .exclude
            .extend(paths.into_iter().map(Into::into));
        self
    }

    /// The methods recorded by name, replacing the default list (RFC 9110, PATCH and QUERY); any other is `_OTHER`.
    /// Case matters. Blank entries are ignored, so that a split `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS` can be
    /// given as it is.
    pub fn known_methods<M: AsRef<str>>(mut self, methods: impl IntoIterator<Item = M>) -> Self {
        let trimmed = methods
            .into_iter()
            .map(|method| method.as_ref().trim().to_owned());
        self.methods = trimmed.filter(|method| !method.is_empty()).collect();
        self
    }

    /// Finds a request's route, where axum's `MatchedPath` does not serve. Called once per request, when it comes in;
    /// `None` means unmatched. See [`RequestHead`] for what must never be returned.
    pub fn route<F>(mut self, extract: F) -> Self
    where
        F: for<'a> Fn(&RequestHead<'a>) -> Option<Cow<'a, str>> + Send + Sync + 'static,
    {
        self.config.route = RouteSource::Custom(Arc::new(extract));
        self
    }

    /// How many series (and how many routes) are kept ready: 1000 by default, 32,767 at most. Beyond it requests are recorded all the
    /// same, only more slowly; how many series there may be in all is the SDK's cardinality limit.
    pub fn max_cached_series(mut self, limit: usize) -> Self {
        self.config.max_series = limit.min(MAX_SERIES);
        self
    }

    /// `url.scheme`: `http` by default, `https` behind TLS. It is configured because what a client says in
    /// `X-Forwarded-Proto` is not to be trusted with a label.
    pub fn scheme(mut self, scheme: impl Into<Cow<'static, str>>) -> Self {
        self.config.scheme = scheme.into();
        self
    }

    /// Whether to record through bound instruments, which the cargo feature `bound` brings and turns on. Set it to
    /// `false` where that feature came with another dependency, but this layer's SDK cannot bind: the official one
    /// without its own `experimental_metrics_bound_instruments` would silently record nothing.
    #[cfg(feature = "bound")]
    pub fn bind(mut self, on: bool) -> Self {
        self.config.bind = on;
        self
    }

    /// Creates the instruments.
    ///
    /// Build a layer once and clone it: what a built layer records with (some 100 KB by default) stays allocated for
    /// the rest of the program, so that requests on different threads share no reference count.
    ///
    /// # Errors
    ///
    /// Buckets, a prefix or a method that cannot be used, see [`BuildError`].
    pub fn build(self) -> Result<HttpMetricsLayer, BuildError> {
        check_buckets(
            "duration buckets",
            self.config.buckets.as_deref().unwrap_or_default(),
        )?;
        check_buckets("body size buckets", &self.config.body_size_buckets)?;
        check_prefix(&self.config.convention)?;
        let methods = parse_methods(&self.methods)?;
        let meter = self
            .meter
            .unwrap_or_else(|| global::meter_with_scope(scope()));
        Ok(HttpMetricsLayer::from_recorder(Recorder::new(
            &meter,
            self.config,
            methods,
        )))
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
        .with_version(env!("CARGO_PKG_VERSION"))
        .build()
}

fn check_buckets(what: &'static str, buckets: &[f64]) -> Result<(), BuildError> {
    let increasing = buckets.windows(2).all(|pair| pair[0] < pair[1]);
    if increasing && buckets.iter().all(|bucket| bucket.is_finite()) {
        Ok(())
    } else {
        Err(BuildError::Buckets(what))
    }
}

fn check_prefix(convention: &Convention) -> Result<(), BuildError> {
    let (Convention::Classic { prefix } | Convention::Both { prefix }) = convention else {
        return Ok(());
    };
    let valid = prefix.len() <= 200
        && prefix.starts_with(|first: char| first.is_ascii_alphabetic())
        && prefix
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if valid {
        Ok(())
    } else {
        Err(BuildError::Prefix(prefix.clone()))
    }
}

fn parse_methods(methods: &[String]) -> Result<Vec<Method>, BuildError> {
    if methods.len() > MAX_METHODS {
        return Err(BuildError::TooManyMethods(methods.len()));
    }
    let parse = |name: &String| {
        Method::from_bytes(name.as_bytes()).map_err(|_| BuildError::Method(name.clone()))
    };
    methods.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(builder: HttpMetricsBuilder) -> BuildError {
        builder.build().map(drop).unwrap_err()
    }

    #[test]
    fn what_an_sdk_would_drop_silently_is_refused_loudly() {
        let builder = HttpMetricsBuilder::new;
        assert_eq!(
            error(builder().duration_buckets([1.0, 1.0])),
            BuildError::Buckets("duration buckets")
        );
        assert_eq!(
            error(builder().body_size_buckets([f64::NAN])),
            BuildError::Buckets("body size buckets")
        );
        assert_eq!(
            error(builder().known_methods(["GET", "BAD METHOD"])),
            BuildError::Method("BAD METHOD".into())
        );
        assert_eq!(
            error(builder().known_methods(vec!["GET"; 101])),
            BuildError::TooManyMethods(101)
        );
        for prefix in ["", "1http", "http-x", "hütte", &"x".repeat(201)] {
            let convention = Convention::Classic {
                prefix: prefix.into(),
            };
            assert_eq!(
                error(builder().convention(convention)),
                BuildError::Prefix(prefix.into())
            );
        }
    }

    #[test]
    fn every_default_can_be_built() {
        HttpMetricsBuilder::new().build().unwrap();
        HttpMetricsBuilder::new()
            .duration_buckets([])
            .known_methods(["GET ", "", " FETCH"])
            .build()
            .unwrap();
    }
}
