//! `osapi job`.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use uuid::Uuid;

use super::server::{ServerArgs, json};
use crate::queue::JobState;

#[derive(Debug, Args)]
pub(in crate::cli) struct JobArgs {
    #[command(flatten)]
    pub(in crate::cli) server: ServerArgs,
    #[command(subcommand)]
    pub(in crate::cli) command: JobCommand,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum JobCommand {
    /// Submit a job and print its id.
    #[command(
        after_help = "Examples:\n  osapi job submit node.hostname.get --wait\n  osapi job submit sleep --data '{\"seconds\":2}' --idempotency-key nap-1\n  osapi job submit node.uptime.get --target _all --wait --json"
    )]
    Submit(SubmitArgs),
    /// List jobs, newest first.
    #[command(
        after_help = "Examples:\n  osapi job list --status failed\n  osapi job list --limit 100 --offset 100 --json"
    )]
    List {
        /// Only jobs in this state.
        #[arg(long, value_parser = state())]
        status: Option<JobState>,
        /// At most so many.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
        limit: u32,
        /// Leave out so many of the newest.
        #[arg(long, default_value_t = 0)]
        offset: u64,
    },
    /// Show everything about a job.
    #[command(
        after_help = "Examples:\n  osapi job get 019f0000-0000-7000-8000-000000000000\n  osapi job get 019f0000-0000-7000-8000-000000000000 --json"
    )]
    Get {
        /// The job.
        id: Uuid,
    },
    /// Follow a job until it ends; exit 1 unless it completes.
    #[command(
        after_help = "Examples:\n  osapi job watch 019f0000-0000-7000-8000-000000000000\n  osapi job watch 019f0000-0000-7000-8000-000000000000 --json"
    )]
    Watch {
        /// The job.
        id: Uuid,
    },
    /// Make a new job of one that has ended, and print its id.
    #[command(
        after_help = "Examples:\n  osapi job retry 019f0000-0000-7000-8000-000000000000\n  osapi job retry 019f0000-0000-7000-8000-000000000000 --server http://127.0.0.1:9000"
    )]
    Retry {
        /// The job.
        id: Uuid,
    },
    /// Cancel a job that has not ended; remove the record of one that has.
    #[command(
        after_help = "Examples:\n  osapi job delete 019f0000-0000-7000-8000-000000000000\n  osapi job delete 019f0000-0000-7000-8000-000000000000 --server http://127.0.0.1:9000"
    )]
    Delete {
        /// The job.
        id: Uuid,
    },
    /// Show what the queue holds.
    #[command(after_help = "Examples:\n  osapi job status\n  osapi job status --json")]
    Status,
}

/// States by their names, which help and completions then know.
fn state() -> impl TypedValueParser<Value = JobState> {
    let names = PossibleValuesParser::new(JobState::ALL.map(JobState::as_str));
    names.try_map(|name| name.parse::<JobState>())
}

#[derive(Debug, Args)]
pub(in crate::cli) struct SubmitArgs {
    /// What to do, such as node.hostname.get.
    pub(in crate::cli) operation: String,
    /// The operation's input.
    #[arg(long, value_name = "JSON", default_value = "{}", value_parser = json)]
    pub(in crate::cli) data: serde_json::Value,
    /// Who is to do it: _any, _all or a host name.
    #[arg(long, value_name = "HOST", default_value = "_any")]
    pub(in crate::cli) target: String,
    /// The same key makes the same job, once.
    #[arg(long, value_name = "KEY")]
    pub(in crate::cli) idempotency_key: Option<String>,
    /// Follow the job until it ends, and print its record.
    #[arg(long)]
    pub(in crate::cli) wait: bool,
}
