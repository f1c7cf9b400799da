//! `telemetry.traces`: spans.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::otlp::{Compression, OtlpProtocol, OtlpTls};
use super::values;

/// Whether spans are exported, and where to. What is not set is as in [`OtlpConfig`](super::OtlpConfig).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TracesConfig {
    /// Off unless set.
    #[serde(deserialize_with = "values::switch")]
    pub enabled: bool,
    /// Where spans alone go, path included; `None` is the collector that metrics are pushed to.
    pub endpoint: Option<String>,
    /// How the collector is spoken to.
    pub protocol: Option<OtlpProtocol>,
    /// How long one request may take.
    #[serde(with = "values::optional_duration")]
    pub timeout: Option<Duration>,
    /// Certificates.
    pub tls: Option<OtlpTls>,
    /// How request bodies are compressed.
    pub compression: Option<Compression>,
    /// Headers sent along, often secrets.
    pub headers: Option<BTreeMap<String, String>>,
}
