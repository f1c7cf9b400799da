//! Where the API is, and what is said to it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use url::Url;

use crate::cli::client::Access;

/// Where the API is.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct ServerArgs {
    /// URL of the API.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        default_value = "http://127.0.0.1:8080",
        value_parser = server_url
    )]
    pub(in crate::cli) server: Url,
    /// Token for an API that asks for one; better given as OSAPI_TOKEN, which no list of processes
    /// shows.
    #[arg(
        long,
        global = true,
        value_name = "TOKEN",
        env = "OSAPI_TOKEN",
        hide_env_values = true
    )]
    pub(in crate::cli) token: Option<String>,
    /// Authorities to trust for https, in PEM, in place of the system's.
    #[arg(long, global = true, value_name = "FILE", env = "OSAPI_CA")]
    pub(in crate::cli) ca: Option<PathBuf>,
    /// Print JSON.
    #[arg(long, global = true)]
    pub(in crate::cli) json: bool,
}

impl ServerArgs {
    /// How the API is spoken to.
    pub(in crate::cli) fn access(&self) -> Access {
        Access {
            token: self.token.clone(),
            ca: self.ca.clone(),
            https: self.server.scheme() == "https",
        }
    }
}

fn server_url(given: &str) -> Result<Url, String> {
    url(given, &["http", "https"])
}

/// A URL of one of these schemes.
pub(super) fn url(given: &str, schemes: &[&str]) -> Result<Url, String> {
    // HOST:PORT is a URL too, of a scheme called HOST.
    let url = Url::parse(given).ok();
    let url = url.filter(|url| schemes.contains(&url.scheme()) && url.has_host());
    url.ok_or_else(|| "expected a URL such as http://127.0.0.1:8080".to_owned())
}

pub(super) fn json(given: &str) -> Result<serde_json::Value, String> {
    serde_json::from_str(given).map_err(|error| format!("not JSON: {error}"))
}

#[derive(Debug, Args)]
pub(in crate::cli) struct WorkersArgs {
    #[command(flatten)]
    pub(in crate::cli) server: ServerArgs,
    #[command(subcommand)]
    pub(in crate::cli) command: Option<WorkersCommand>,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum WorkersCommand {
    /// Tell a worker to finish what it has and take no more.
    #[command(
        after_help = "Examples:\n  osapi workers drain host-a\n  osapi workers drain host-a --json"
    )]
    Drain {
        /// The worker.
        name: String,
    },
    /// Tell a worker to take work again.
    #[command(
        after_help = "Examples:\n  osapi workers undrain host-a\n  osapi workers undrain host-a --json"
    )]
    Undrain {
        /// The worker.
        name: String,
    },
}
