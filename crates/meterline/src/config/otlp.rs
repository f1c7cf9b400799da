//! `telemetry.otlp`: push to a collector.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::values;

/// Push to an OTLP collector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OtlpConfig {
    /// The collector's URL; `None` is no push.
    pub endpoint: Option<String>,
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
