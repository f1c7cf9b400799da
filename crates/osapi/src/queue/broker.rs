//! The connection to a broker, for health reports and `/metrics.json`.

use serde::{Deserialize, Serialize};

/// How a queue's connection to its broker is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BrokerStatus {
    /// Its addresses, without users and passwords.
    pub url: String,
    /// The server's version, once it was reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether it can be reached.
    pub connected: bool,
    /// How often the connection was made again.
    pub reconnects: u64,
    /// Messages it did not take.
    pub publish_failures: u64,
}
