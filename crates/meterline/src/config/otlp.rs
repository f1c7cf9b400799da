//! `telemetry.otlp`: push to a collector.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use meterline_otlp::{Exporter, ExporterError, ExporterOptions};
use serde::{Deserialize, Serialize};

use super::values;

/// Push to an OTLP collector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OtlpConfig {
    /// The collector's URL, of which metrics go to `/v1/metrics` (with gRPC only host and port
    /// count); `None` is no push, unless there is a `metrics_endpoint`.
    pub endpoint: Option<String>,
    /// The URL for metrics, used as it is, where it differs from the other signals'; it wins.
    pub metrics_endpoint: Option<String>,
    /// How it is spoken to.
    pub protocol: OtlpProtocol,
    /// Time from one export to the next.
    #[serde(with = "values::duration")]
    pub interval: Duration,
    /// How long one request may take.
    #[serde(with = "values::duration")]
    pub timeout: Duration,
    /// How long one export may take, with its retries.
    #[serde(with = "values::duration")]
    pub export_timeout: Duration,
    /// Certificates.
    pub tls: Option<OtlpTls>,
    /// Whether points count from the start or from the export before.
    pub temporality: Temporality,
    /// How request bodies are compressed.
    pub compression: Compression,
    /// Headers sent along, often secrets.
    pub headers: BTreeMap<String, String>,
    /// Which histogram instruments get when nothing else is asked for.
    pub histogram_aggregation: HistogramAggregation,
}

impl Default for OtlpConfig {
    fn default() -> Self {
        Self {
            endpoint: None,
            metrics_endpoint: None,
            protocol: OtlpProtocol::HttpProtobuf,
            interval: Duration::from_mins(1),
            timeout: Duration::from_secs(10),
            export_timeout: Duration::from_secs(30),
            tls: None,
            temporality: Temporality::Cumulative,
            compression: Compression::Gzip,
            headers: BTreeMap::new(),
            histogram_aggregation: HistogramAggregation::ExplicitBucketHistogram,
        }
    }
}

/// A key below `otlp` whose value cannot be used, and why. Never shows a header's value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct OtlpError {
    /// The key, such as `otlp.endpoint`.
    pub key: &'static str,
    /// What is wrong.
    pub reason: String,
}

impl OtlpConfig {
    /// Whether there is somewhere to push to.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.endpoint.is_some() || self.metrics_endpoint.is_some()
    }

    /// Whether this can work: that there are such URLs, headers and certificates. Connects nowhere.
    ///
    /// # Errors
    /// The first key that cannot.
    pub fn check(&self) -> Result<(), OtlpError> {
        self.exporter().map(drop)
    }

    /// What pushes as configured, if there is somewhere to push to.
    pub(crate) fn exporter(&self) -> Result<Option<Exporter>, OtlpError> {
        let Some(options) = self.exporter_options() else {
            return Ok(None);
        };
        let exporter = Exporter::new(options).map_err(|error| OtlpError {
            key: match error {
                ExporterError::Header { .. } => "otlp.headers",
                ExporterError::Certificate { .. } => "otlp.tls",
                _ if self.metrics_endpoint.is_some() => "otlp.metrics_endpoint",
                _ => "otlp.endpoint",
            },
            reason: error.to_string(),
        })?;
        Ok(Some(exporter))
    }

    fn exporter_options(&self) -> Option<ExporterOptions> {
        let endpoint = match (&self.metrics_endpoint, &self.endpoint) {
            (Some(endpoint), _) => endpoint.clone(),
            (None, Some(endpoint)) => self.for_metrics(endpoint),
            (None, None) => return None,
        };
        let mut options = match self.protocol {
            OtlpProtocol::Grpc => ExporterOptions::grpc(endpoint),
            OtlpProtocol::HttpProtobuf => ExporterOptions::http(endpoint),
        };
        options.timeout = self.timeout;
        options.compression = match self.compression {
            Compression::None => meterline_otlp::Compression::None,
            Compression::Gzip => meterline_otlp::Compression::Gzip,
        };
        let headers = self.headers.iter();
        options.headers = headers
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if let Some(tls) = &self.tls {
            options.tls.ca.clone_from(&tls.ca);
            options.tls.cert.clone_from(&tls.cert);
            options.tls.key.clone_from(&tls.key);
        }
        Some(options)
    }

    /// An endpoint for all signals as that for metrics (OTLP exporter specification, "Endpoint URLs
    /// for OTLP/HTTP").
    fn for_metrics(&self, endpoint: &str) -> String {
        match self.protocol {
            OtlpProtocol::Grpc => endpoint.to_owned(),
            OtlpProtocol::HttpProtobuf => {
                format!("{}/v1/metrics", endpoint.trim_end_matches('/'))
            }
        }
    }
}

/// How a collector is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OtlpProtocol {
    /// gRPC.
    #[serde(rename = "grpc")]
    Grpc,
    /// Protobuf in HTTP requests.
    #[default]
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
}

/// Whether points count from the start or from the export before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Temporality {
    /// From the start.
    #[default]
    Cumulative,
    /// From the export before, where the specification's delta preference says so.
    Delta,
    /// Delta for synchronous counters and histograms, cumulative for the rest.
    LowMemory,
}

/// How request bodies are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    #[default]
    Gzip,
}

/// The histogram of instruments no view speaks of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HistogramAggregation {
    /// Given bounds.
    #[default]
    ExplicitBucketHistogram,
    /// Base-2 exponential.
    Base2ExponentialBucketHistogram,
}

/// Certificates for the connection to a collector, PEM files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OtlpTls {
    /// Whom to trust; `None` is the system's store.
    pub ca: Option<PathBuf>,
    /// Our own certificate.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent_to(change: impl FnOnce(&mut OtlpConfig)) -> Option<String> {
        let mut config = OtlpConfig::default();
        change(&mut config);
        config.exporter_options().map(|options| options.endpoint)
    }

    #[test]
    fn the_general_endpoint_is_extended_and_the_one_for_metrics_is_not() {
        let to = |text: &str| Some(text.to_owned());
        assert_eq!(sent_to(|_| {}), None);
        for (given, expected) in [
            ("http://c:4318", "http://c:4318/v1/metrics"),
            ("http://c:4318/", "http://c:4318/v1/metrics"),
            ("https://c/prefix/", "https://c/prefix/v1/metrics"),
        ] {
            assert_eq!(sent_to(|config| config.endpoint = to(given)), to(expected));
        }
        let both = sent_to(|config| {
            config.endpoint = to("http://c:4318");
            config.metrics_endpoint = to("http://m/");
        });
        assert_eq!(both, to("http://m/"));
        let grpc = sent_to(|config| {
            config.endpoint = to("http://c:4317");
            config.protocol = OtlpProtocol::Grpc;
        });
        assert_eq!(grpc, to("http://c:4317"));
    }

    #[test]
    fn what_cannot_be_used_is_named_by_its_key() {
        let key = |change: fn(&mut OtlpConfig)| {
            let mut config = OtlpConfig {
                endpoint: Some("http://c".to_owned()),
                ..OtlpConfig::default()
            };
            change(&mut config);
            config.check().map_err(|error| error.key)
        };
        assert_eq!(key(|_| {}), Ok(()));
        assert_eq!(
            key(|config| config.endpoint = Some("c:4318".to_owned())),
            Err("otlp.endpoint")
        );
        assert_eq!(
            key(|config| config.metrics_endpoint = Some("ftp://c".to_owned())),
            Err("otlp.metrics_endpoint")
        );
        assert_eq!(
            key(|config| config.headers = [("a b".to_owned(), "c".to_owned())].into()),
            Err("otlp.headers")
        );
        let missing = |config: &mut OtlpConfig| {
            config.tls = Some(OtlpTls {
                ca: Some("/nowhere/ca.pem".into()),
                ..OtlpTls::default()
            });
        };
        assert_eq!(key(missing), Err("otlp.tls"));
    }
}
