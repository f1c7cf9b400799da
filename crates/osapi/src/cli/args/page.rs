//! `osapi metrics` and `osapi check`: pages of metrics.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use meterline_exposition::parse::Syntax;
use url::Url;

use super::server::url;
use crate::cli::client::Access;

/// How a page is fetched and read.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct PageArgs {
    /// Ask for and read this format, whatever the answer says it is.
    #[arg(long, value_enum)]
    pub(in crate::cli) format: Option<PageFormat>,
    /// Token sent with the request.
    #[arg(long, value_name = "TOKEN")]
    pub(in crate::cli) token: Option<String>,
    /// Authorities to trust for https, in PEM, in place of the system's.
    #[arg(long, env = "OSAPI_CA", value_name = "FILE")]
    pub(in crate::cli) ca: Option<PathBuf>,
    /// Give up a request after so long.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = positive_time)]
    pub(in crate::cli) timeout: Duration,
    /// Print JSON.
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

impl PageArgs {
    /// How a page is fetched; its token goes with the request.
    pub(in crate::cli) fn access(&self, https: bool) -> Access {
        Access {
            ca: self.ca.clone(),
            https,
            ..Access::default()
        }
    }
}

fn page_url(given: &str) -> Result<Url, String> {
    url(given, &["http", "https"])
}

fn positive_time(given: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(given).map_err(|error| error.to_string())?;
    if time < Duration::from_millis(100) || time > Duration::from_secs(3600) {
        return Err("expected 100ms to 1h".to_owned());
    }
    Ok(time)
}

/// The formats that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum PageFormat {
    /// Prometheus text 0.0.4.
    Text,
    /// Prometheus text 1.0.0, with quoted UTF-8 names.
    TextUtf8,
    /// OpenMetrics text 1.0.0.
    Openmetrics,
    /// Delimited protobuf, io.prometheus.client.MetricFamily.
    Protobuf,
}

impl From<PageFormat> for Syntax {
    fn from(format: PageFormat) -> Self {
        match format {
            PageFormat::Text => Self::Text,
            PageFormat::TextUtf8 => Self::TextUtf8,
            PageFormat::Openmetrics => Self::OpenMetrics,
            PageFormat::Protobuf => Self::Protobuf,
        }
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct CheckArgs {
    /// A file, a URL, or - for standard input.
    #[arg(value_name = "FILE|URL|-")]
    pub(in crate::cli) page: String,
    /// End with 1 on warnings, too.
    #[arg(long)]
    pub(in crate::cli) deny_warnings: bool,
    #[command(flatten)]
    pub(in crate::cli) read: PageArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct MetricsArgs {
    /// What to scrape; of a URL without a path, /metrics.
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:8080/metrics", value_parser = page_url)]
    pub(in crate::cli) url: Url,
    /// Scrape again and again, and show rates.
    #[arg(long)]
    pub(in crate::cli) watch: bool,
    /// How often to scrape.
    #[arg(long, value_name = "TIME", default_value = "2s", requires = "watch", value_parser = positive_time)]
    pub(in crate::cli) interval: Duration,
    /// Only families whose names contain this.
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) name: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) read: PageArgs,
}
