//! What can be typed: the commands here, their arguments below.

mod bench;
mod config;
mod job;
mod page;
mod server;
#[cfg(test)]
mod tests;
mod token;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

pub(super) use self::bench::{BenchArgs, BenchCommand, BenchHttpArgs, BenchJobsArgs};
pub(super) use self::config::{
    ConfigArgs, ConfigCommand, ConfigCommandArgs, DashboardsArgs, Process, RulesArgs,
};
pub(super) use self::job::{JobArgs, JobCommand, SubmitArgs};
pub(super) use self::page::{CheckArgs, MetricsArgs, PageArgs};
pub(super) use self::server::{WorkersArgs, WorkersCommand};
pub(super) use self::token::{CreateArgs, TokenArgs, TokenCommand, VerifyArgs};

/// An HTTP API that runs jobs on Linux hosts through workers, with its metrics.
#[derive(Debug, Parser)]
#[command(
    name = "osapi",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "Examples:\n  osapi up\n  osapi job submit node.hostname.get --wait\n  osapi config show --set worker.slots=8"
)]
pub(super) struct Cli {
    /// Say more: -v what is done and why, -vv everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Start everything in one process: API, workers, embedded queue.
    #[command(
        after_help = "Examples:\n  osapi up\n  osapi up --listen 127.0.0.1:0 --data-dir /var/lib/osapi\n  osapi up --workers 4 --set worker.slots=8"
    )]
    Up(UpArgs),
    /// Start the API server.
    #[command(
        after_help = "Examples:\n  osapi api --config osapi.yaml\n  osapi api --set api.listen=127.0.0.1:0"
    )]
    Api(ConfigArgs),
    /// Start a worker process.
    #[command(
        after_help = "Examples:\n  osapi worker --config osapi.yaml\n  osapi worker --set worker.name=w2 --set telemetry.metrics.listen=127.0.0.1:9092"
    )]
    Worker(ConfigArgs),
    /// Submit, follow and manage jobs through the API.
    #[command(
        after_help = "Examples:\n  osapi job submit network.dns.get --data '{\"name\":\"localhost\"}' --wait\n  osapi job list --status failed\n  osapi job watch 019f0000-0000-7000-8000-000000000000"
    )]
    Job(JobArgs),
    /// Show the fleet, or tell a worker to drain.
    #[command(
        after_help = "Examples:\n  osapi workers\n  osapi workers --json\n  osapi workers drain host-a"
    )]
    Workers(WorkersArgs),
    /// Put load on a running server, and tell how it fares.
    #[command(
        after_help = "Examples:\n  osapi bench jobs\n  osapi bench jobs --jobs 10000 --callers 64 --json\n  osapi bench http --path /job/status"
    )]
    Bench(BenchArgs),
    /// Show or check the effective configuration.
    #[command(
        after_help = "Examples:\n  osapi config show --config osapi.yaml\n  osapi config check --config osapi.yaml --set api.listen=127.0.0.1:9000"
    )]
    Config(ConfigCommandArgs),
    /// Scrape metrics once and show them as a table.
    #[command(
        after_help = "Examples:\n  osapi metrics\n  osapi metrics --watch --name osapi_jobs\n  osapi metrics http://127.0.0.1:9091/metrics --json"
    )]
    Metrics(MetricsArgs),
    /// Check a page of metrics, strictly: text, OpenMetrics or protobuf.
    ///
    /// Ends with 1 if the page breaks a rule of its format, or a scraper would lose samples.
    #[command(
        after_help = "Examples:\n  osapi check metrics.prom\n  osapi check http://127.0.0.1:8080/metrics --format openmetrics\n  osapi check https://jobs.example/metrics --ca ca.pem\n  osapi check - --json --deny-warnings"
    )]
    Check(CheckArgs),
    /// Make and check the tokens the API asks for where it has a signing key.
    #[command(
        after_help = "Examples:\n  osapi token create --config osapi.yaml --permission job:read --permission job:write\n  osapi token verify --config osapi.yaml -"
    )]
    Token(TokenArgs),
    /// Print recording rules and alerts for Prometheus, for the configured namespace.
    #[command(
        after_help = "Examples:\n  osapi rules > /etc/prometheus/rules/osapi.yml\n  osapi rules --out /etc/prometheus/rules\n  osapi rules --set telemetry.metrics.namespace=acme"
    )]
    Rules(RulesArgs),
    /// Print Grafana dashboards, for the configured namespace.
    #[command(
        after_help = "Examples:\n  osapi dashboards jobs > jobs.json\n  osapi dashboards --out /var/lib/grafana/dashboards"
    )]
    Dashboards(DashboardsArgs),
    /// Print a completion script.
    #[command(
        after_help = "Examples:\n  osapi completions bash > /etc/bash_completion.d/osapi\n  osapi completions fish > ~/.config/fish/completions/osapi.fish"
    )]
    Completions {
        /// For which shell.
        shell: Shell,
    },
}

#[derive(Debug, Args)]
pub(super) struct UpArgs {
    /// Address to listen on; port 0 takes any free one [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Option<String>,
    /// Directory for the queue and osapi.addr [default: ./osapi-data].
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// Workers to start, each with worker.slots slots.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(super) workers: u16,
    #[command(flatten)]
    pub(super) config: ConfigArgs,
}
