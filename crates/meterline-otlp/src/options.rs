use std::path::PathBuf;
use std::time::Duration;

use http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, TE, TRANSFER_ENCODING,
    USER_AGENT,
};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use crate::grpc;

const NO_URL: &str = "is not a URL with http:// or https://";

/// Where requests go, and how.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExporterOptions {
    /// The collector: an `http://` or `https://` URL. With [`Protocol::HttpProtobuf`] it is used as it
    /// is, path included (usually `/v1/metrics`); with [`Protocol::Grpc`] only host and port count.
    pub endpoint: String,
    /// How the collector is spoken to.
    pub protocol: Protocol,
    /// What the requests carry.
    pub signal: Signal,
    /// How long one request may take, connecting included. 10 s by default.
    pub timeout: Duration,
    /// How requests are compressed.
    pub compression: Compression,
    /// Sent along with every request; often secrets, so they are shown nowhere.
    pub headers: Vec<(String, String)>,
    /// Certificates, for `https`.
    pub tls: TlsOptions,
}

/// How a collector is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Binary protobuf in HTTP/1.1 requests.
    #[default]
    HttpProtobuf,
    /// gRPC: HTTP/2, also without TLS.
    Grpc,
}

/// What requests carry. The [`Encoder`](crate::Encoder) makes those of metrics; those of spans come from elsewhere and
/// are delivered all the same. Over HTTP the endpoint alone tells one from the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signal {
    /// `ExportMetricsServiceRequest`.
    #[default]
    Metrics,
    /// `ExportTraceServiceRequest`.
    Traces,
}

/// How requests are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    #[default]
    Gzip,
}

/// Certificates, as PEM files; read once, when the exporter is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsOptions {
    /// Whom to trust; `None` is the system's store.
    pub ca: Option<PathBuf>,
    /// Our own certificate, with those between it and its authority.
    pub cert: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
}

/// Why an exporter cannot be made. None of these shows the value of a header.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExporterError {
    /// The endpoint cannot be used.
    #[error("the endpoint {0}")]
    Endpoint(&'static str),
    /// A header cannot be sent.
    #[error("the header {name:?} {why}")]
    Header {
        /// Which one.
        name: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A certificate or key cannot be used.
    #[error("{file}: {why}")]
    Certificate {
        /// The file, or what stands for it.
        file: String,
        /// What is wrong.
        why: String,
    },
}

impl ExporterOptions {
    /// Binary protobuf over HTTP, to this very URL.
    #[must_use]
    pub fn http(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            protocol: Protocol::HttpProtobuf,
            signal: Signal::default(),
            timeout: Duration::from_secs(10),
            compression: Compression::default(),
            headers: Vec::new(),
            tls: TlsOptions::default(),
        }
    }

    /// gRPC, to this host and port.
    #[must_use]
    pub fn grpc(endpoint: impl Into<String>) -> Self {
        Self {
            protocol: Protocol::Grpc,
            ..Self::http(endpoint)
        }
    }

    /// Whether endpoint and headers can be used.
    ///
    /// # Errors
    /// What cannot, without the values of headers.
    pub fn check(&self) -> Result<(), ExporterError> {
        self.uri()?;
        self.header_map().map(drop)
    }

    /// Where each request goes.
    pub(crate) fn uri(&self) -> Result<Uri, ExporterError> {
        let uri: Uri = self
            .endpoint
            .parse()
            .map_err(|_| ExporterError::Endpoint(NO_URL))?;
        let mut parts = uri.into_parts();
        if !parts
            .scheme
            .as_ref()
            .is_some_and(|s| *s == Scheme::HTTP || *s == Scheme::HTTPS)
        {
            return Err(ExporterError::Endpoint(NO_URL));
        }
        let host = parts.authority.as_ref();
        if host.is_none_or(|authority| authority.host().is_empty()) {
            return Err(ExporterError::Endpoint("names no host"));
        }
        if host.is_some_and(|authority| authority.as_str().contains('@')) {
            let why = "holds credentials: send them in a header";
            return Err(ExporterError::Endpoint(why));
        }
        if self.protocol == Protocol::Grpc {
            parts.path_and_query = Some(PathAndQuery::from_static(grpc::path(self.signal)));
        }
        Uri::from_parts(parts).map_err(|_| ExporterError::Endpoint(NO_URL))
    }

    /// The headers that are not the protocol's own.
    pub(crate) fn header_map(&self) -> Result<HeaderMap, ExporterError> {
        const AGENT: &str = concat!(
            "OTel-OTLP-Exporter-Meterline-Rust/",
            env!("CARGO_PKG_VERSION")
        );
        const OURS: [HeaderName; 7] = [
            CONNECTION,
            CONTENT_ENCODING,
            CONTENT_LENGTH,
            CONTENT_TYPE,
            HOST,
            TE,
            TRANSFER_ENCODING,
        ];
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        for (given, value) in &self.headers {
            let refuse = |why| {
                let name = given.clone();
                Err(ExporterError::Header { name, why })
            };
            let Ok(name) = HeaderName::try_from(given.as_str()) else {
                return refuse("is not a header's name");
            };
            if OURS.contains(&name) || name.as_str().starts_with("grpc-") {
                return refuse("belongs to the protocol and cannot be set");
            }
            let Ok(mut value) = HeaderValue::from_str(value) else {
                return refuse("has a value that cannot be sent");
            };
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(headers)
    }
}

impl std::fmt::Debug for ExporterOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("ExporterOptions")
            .field("endpoint", &self.endpoint)
            .field("protocol", &self.protocol)
            .field("signal", &self.signal)
            .field("timeout", &self.timeout)
            .field("compression", &self.compression)
            .field("headers", &names)
            .field("tls", &self.tls)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_header(name: &str, value: &str) -> Result<HeaderMap, ExporterError> {
        let mut options = ExporterOptions::http("http://c");
        options.headers = vec![(name.to_owned(), value.to_owned())];
        options.header_map()
    }

    #[test]
    fn endpoints_are_taken_as_they_are_but_for_grpc() {
        let http = ExporterOptions::http("https://c:4318/a/b?tenant=1").uri();
        assert_eq!(
            http.expect("it can be used").to_string(),
            "https://c:4318/a/b?tenant=1"
        );
        let grpc = ExporterOptions::grpc("http://[::1]:4317/ignored").uri();
        let expected = format!("http://[::1]:4317{}", grpc::path(Signal::Metrics));
        assert_eq!(grpc.expect("it can be used").to_string(), expected);
    }

    #[test]
    fn impossible_endpoints_are_refused_and_secrets_in_them_not_shown() {
        for endpoint in [
            "",
            "c:4318",
            "ftp://c",
            "http://",
            "/v1/metrics",
            "http://me:hush@c",
            "http://a b",
        ] {
            let error = ExporterOptions::http(endpoint).uri().expect_err(endpoint);
            assert!(
                matches!(error, ExporterError::Endpoint(_)),
                "{endpoint}: {error}"
            );
            assert!(!error.to_string().contains("hush"), "{error}");
        }
    }

    #[test]
    fn headers_are_checked_and_never_shown() {
        let headers = with_header("X-Api-Key", "hush").expect("it can be sent");
        assert_eq!(headers["x-api-key"], "hush");
        assert!(!format!("{headers:?}").contains("hush"));
        for (name, value) in [
            ("", "hush"),
            ("a b", "hush"),
            ("content-type", "hush"),
            ("TE", "hush"),
            ("grpc-timeout", "hush"),
            ("key", "hush\r\nx: y"),
        ] {
            let error = with_header(name, value).expect_err(name).to_string();
            assert!(error.contains(&format!("{name:?}")), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
        let mut options = ExporterOptions::http("http://c");
        options.headers = vec![("key".to_owned(), "hush".to_owned())];
        assert!(!format!("{options:?}").contains("hush"));
    }
}
