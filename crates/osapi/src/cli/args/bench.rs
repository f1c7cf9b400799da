//! `osapi bench`.

use clap::{Args, Subcommand};

use super::server::{ServerArgs, json};

#[derive(Debug, Args)]
pub(in crate::cli) struct BenchArgs {
    #[command(flatten)]
    pub(in crate::cli) server: ServerArgs,
    #[command(subcommand)]
    pub(in crate::cli) command: BenchCommand,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum BenchCommand {
    /// Submit jobs and wait for them: throughput, and how long each step took.
    #[command(
        after_help = "Examples:\n  osapi bench jobs\n  osapi bench jobs --jobs 10000 --callers 64 --json"
    )]
    Jobs(BenchJobsArgs),
    /// Ask for one path again and again: answers per second, and how long each took.
    #[command(
        after_help = "Examples:\n  osapi bench http\n  osapi bench http --path /job/status --requests 20000 --callers 64 --json"
    )]
    Http(BenchHttpArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct BenchHttpArgs {
    /// How many requests.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(in crate::cli) requests: u64,
    /// How many callers at a time, each with a connection of its own.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(in crate::cli) callers: u16,
    /// What to ask for.
    #[arg(long, value_name = "PATH", default_value = "/health", value_parser = path)]
    pub(in crate::cli) path: String,
}

fn path(given: &str) -> Result<String, String> {
    // Two slashes would name another server.
    if given.starts_with('/') && !given.starts_with("//") {
        Ok(given.to_owned())
    } else {
        Err("expected a path such as /job/status".to_owned())
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct BenchJobsArgs {
    /// How many jobs.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(in crate::cli) jobs: u64,
    /// How many callers at a time.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(in crate::cli) callers: u16,
    /// What each job does.
    #[arg(long, default_value = "node.hostname.get")]
    pub(in crate::cli) operation: String,
    /// The operation's input, as JSON.
    #[arg(long, default_value = "{}", value_parser = json)]
    pub(in crate::cli) data: serde_json::Value,
}
