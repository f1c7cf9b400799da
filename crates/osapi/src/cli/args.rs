//! What can be typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use meterline_exposition::parse::Syntax;
use uuid::Uuid;

use meterline::config::values::parse_duration;

use crate::access::Permission;
use crate::config::Sources;
use crate::metrics::catalogue;
use crate::queue::JobState;

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
        after_help = "Examples:\n  osapi bench jobs\n  osapi bench jobs --jobs 10000 --callers 64 --json"
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
        after_help = "Examples:\n  osapi check metrics.prom\n  osapi check http://127.0.0.1:8080/metrics --format openmetrics\n  osapi check - --json --deny-warnings"
    )]
    Check(CheckArgs),
    /// Make and check the tokens the API asks for where it has a signing key.
    #[command(
        after_help = "Examples:\n  osapi token create --config osapi.yaml --permission job:read --permission job:write\n  osapi token verify --config osapi.yaml -"
    )]
    Token(TokenArgs),
    /// Print recording rules and alerts for Prometheus, for the configured namespace.
    #[command(
        after_help = "Examples:\n  osapi rules > /etc/prometheus/rules/osapi.yml\n  osapi rules --set telemetry.metrics.namespace=acme"
    )]
    Rules(ConfigArgs),
    /// Print Grafana dashboards, for the configured namespace.
    #[command(
        after_help = "Examples:\n  osapi dashboards jobs > jobs.json\n  osapi dashboards --dir /var/lib/grafana/dashboards"
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

/// Where the configuration comes from.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct ConfigArgs {
    /// YAML file with the configuration.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Set one key; may be given several times. Wins over the file and the environment.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
}

impl ConfigArgs {
    /// The layers these flags and the environment make.
    pub(super) fn sources(&self, verbose: u8) -> Sources {
        let level = match verbose {
            0 => None,
            1 => Some(("-v", "log.level", "debug".to_owned())),
            _ => Some(("-vv", "log.level", "trace".to_owned())),
        };
        Sources {
            file: self.config.clone(),
            set: self.set.clone(),
            flags: level.into_iter().collect(),
            ..Sources::default()
        }
        .with_environment()
    }
}

#[derive(Debug, Args)]
pub(super) struct DashboardsArgs {
    /// Only this one: http, jobs, nats or runtime. Without a name all of them, as a JSON array.
    #[arg(value_name = "NAME", conflicts_with = "dir")]
    pub(super) name: Option<String>,
    /// Write each to a file of this directory instead, as NAME.json.
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    #[command(flatten)]
    pub(super) config: ConfigArgs,
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

#[derive(Debug, Args)]
pub(super) struct ConfigCommandArgs {
    #[command(subcommand)]
    pub(super) command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Print every key with its value and where that came from.
    #[command(
        after_help = "Examples:\n  osapi config show\n  osapi config show --as up --config osapi.yaml --json"
    )]
    Show {
        #[command(flatten)]
        config: ConfigArgs,
        /// As the command of this name would see it.
        #[arg(long = "as", value_name = "COMMAND", value_enum, default_value_t = Process::Api)]
        process: Process,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Say whether the configuration is fine.
    #[command(
        after_help = "Examples:\n  osapi config check --config osapi.yaml\n  osapi config check --as worker --set worker.slots=8"
    )]
    Check {
        #[command(flatten)]
        config: ConfigArgs,
        /// As the command of this name would see it.
        #[arg(long = "as", value_name = "COMMAND", value_enum, default_value_t = Process::Api)]
        process: Process,
    },
}

#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    #[command(subcommand)]
    pub(super) command: TokenCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Print a new token.
    #[command(
        after_help = "Examples:\n  osapi token create --config osapi.yaml --subject alice --permission job:read --permission job:write\n  osapi token create --permission metrics:read --expires 365d"
    )]
    Create(CreateArgs),
    /// Say what a token allows; exit 1 if it is not good.
    #[command(
        after_help = "Examples:\n  osapi token verify --config osapi.yaml eyJ0eXAi\n  osapi token verify --json -"
    )]
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// What its bearer may do; may be given several times: job:read, job:write, health:read,
    /// worker:write, metrics:read.
    #[arg(long, required = true, value_name = "PERMISSION")]
    pub(super) permission: Vec<Permission>,
    /// How long it is good for, such as 12h or 30d.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration)]
    pub(super) expires: Duration,
    /// Who bears it.
    #[arg(long, value_name = "NAME", default_value = "osapi")]
    pub(super) subject: String,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) config: ConfigArgs,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The token; - reads it from standard input, where no list of processes shows it.
    pub(super) token: String,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) config: ConfigArgs,
}

fn duration(given: &str) -> Result<Duration, String> {
    parse_duration(given)
        .ok_or_else(|| "expected a duration with its unit, such as 12h or 30d".to_owned())
}

/// The commands that stay running; their defaults differ a little.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Process {
    Up,
    Api,
    Worker,
}

impl Process {
    /// Which rows of the metrics catalogue it exposes.
    pub(super) fn exposing(self) -> catalogue::Process {
        match self {
            Self::Up => catalogue::Process::Both,
            Self::Api => catalogue::Process::Api,
            Self::Worker => catalogue::Process::Worker,
        }
    }
}

/// Where the API is.
#[derive(Clone, Debug, Args)]
pub(super) struct ServerArgs {
    /// URL of the API.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        default_value = "http://127.0.0.1:8080",
        value_parser = server_url
    )]
    pub(super) server: reqwest::Url,
    /// Token for an API that asks for one; better given as OSAPI_TOKEN, which no list of processes
    /// shows.
    #[arg(
        long,
        global = true,
        value_name = "TOKEN",
        env = "OSAPI_TOKEN",
        hide_env_values = true
    )]
    pub(super) token: Option<String>,
    /// Print JSON.
    #[arg(long, global = true)]
    pub(super) json: bool,
}

fn server_url(given: &str) -> Result<reqwest::Url, String> {
    // HOST:PORT is a URL too, of a scheme called HOST.
    let url = reqwest::Url::parse(given).ok();
    let url = url.filter(|url| url.scheme() == "http" && url.has_host());
    url.ok_or_else(|| "expected a URL such as http://127.0.0.1:8080".to_owned())
}

#[derive(Debug, Args)]
pub(super) struct JobArgs {
    #[command(flatten)]
    pub(super) server: ServerArgs,
    #[command(subcommand)]
    pub(super) command: JobCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum JobCommand {
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
        #[arg(long)]
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

#[derive(Debug, Args)]
pub(super) struct SubmitArgs {
    /// What to do, such as node.hostname.get.
    pub(super) operation: String,
    /// The operation's input.
    #[arg(long, value_name = "JSON", default_value = "{}", value_parser = json)]
    pub(super) data: serde_json::Value,
    /// Who is to do it: _any, _all or a host name.
    #[arg(long, value_name = "HOST", default_value = "_any")]
    pub(super) target: String,
    /// The same key makes the same job, once.
    #[arg(long, value_name = "KEY")]
    pub(super) idempotency_key: Option<String>,
    /// Follow the job until it ends, and print its record.
    #[arg(long)]
    pub(super) wait: bool,
}

fn json(given: &str) -> Result<serde_json::Value, String> {
    serde_json::from_str(given).map_err(|error| format!("not JSON: {error}"))
}

#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    #[command(flatten)]
    pub(super) server: ServerArgs,
    #[command(subcommand)]
    pub(super) command: BenchCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum BenchCommand {
    /// Submit jobs and wait for them: throughput, and how long each step took.
    #[command(
        after_help = "Examples:\n  osapi bench jobs\n  osapi bench jobs --jobs 10000 --callers 64 --json"
    )]
    Jobs(BenchJobsArgs),
}

#[derive(Debug, Args)]
pub(super) struct BenchJobsArgs {
    /// How many jobs.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(super) jobs: u64,
    /// How many callers at a time.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) callers: u16,
    /// What each job does.
    #[arg(long, default_value = "node.hostname.get")]
    pub(super) operation: String,
    /// The operation's input, as JSON.
    #[arg(long, default_value = "{}", value_parser = json)]
    pub(super) data: serde_json::Value,
}

#[derive(Debug, Args)]
pub(super) struct WorkersArgs {
    #[command(flatten)]
    pub(super) server: ServerArgs,
    #[command(subcommand)]
    pub(super) command: Option<WorkersCommand>,
}

#[derive(Debug, Subcommand)]
pub(super) enum WorkersCommand {
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

/// How a page is fetched and read.
#[derive(Clone, Debug, Args)]
pub(super) struct PageArgs {
    /// Ask for and read this format, whatever the answer says it is.
    #[arg(long, value_enum)]
    pub(super) format: Option<PageFormat>,
    /// Token sent with the request.
    #[arg(long, value_name = "TOKEN")]
    pub(super) token: Option<String>,
    /// Give up a request after so long.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = positive_time)]
    pub(super) timeout: Duration,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
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
pub(super) enum PageFormat {
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
pub(super) struct CheckArgs {
    /// A file, a URL, or - for standard input.
    #[arg(value_name = "FILE|URL|-")]
    pub(super) page: String,
    /// End with 1 on warnings, too.
    #[arg(long)]
    pub(super) deny_warnings: bool,
    #[command(flatten)]
    pub(super) read: PageArgs,
}

#[derive(Debug, Args)]
pub(super) struct MetricsArgs {
    /// What to scrape; of a URL without a path, /metrics.
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:8080/metrics", value_parser = server_url)]
    pub(super) url: reqwest::Url,
    /// Scrape again and again, and show rates.
    #[arg(long)]
    pub(super) watch: bool,
    /// How often to scrape.
    #[arg(long, value_name = "TIME", default_value = "2s", requires = "watch", value_parser = positive_time)]
    pub(super) interval: Duration,
    /// Only families whose names contain this.
    #[arg(long, value_name = "TEXT")]
    pub(super) name: Option<String>,
    #[command(flatten)]
    pub(super) read: PageArgs,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    /// The command and all below it, each with the words that lead to it.
    fn walk(
        command: &clap::Command,
        path: &[String],
        visit: &mut impl FnMut(&clap::Command, &[String]),
    ) {
        visit(command, path);
        for sub in command.get_subcommands() {
            let path = [path, &[sub.get_name().to_owned()]].concat();
            walk(sub, &path, visit);
        }
    }

    #[test]
    fn every_command_shows_examples_of_itself_that_parse() {
        let mut seen = Vec::new();
        walk(&Cli::command(), &[], &mut |command, path| {
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            let examples: Vec<&str> = help.lines().skip(1).map(str::trim).collect();
            assert!(
                help.starts_with("Examples:\n") && !examples.is_empty(),
                "{path:?}"
            );
            for example in examples {
                // Quotes stand around JSON only, which has no spaces here; `>` and `|` are the shell's.
                let line = example
                    .split(" > ")
                    .next()
                    .and_then(|line| line.split(" | ").next())
                    .unwrap_or_default()
                    .replace('\'', "");
                let words: Vec<&str> = line.split(' ').collect();
                assert!(
                    words[1..].starts_with(&path.iter().map(String::as_str).collect::<Vec<_>>()),
                    "{example}"
                );
                if let Err(error) = Cli::try_parse_from(&words) {
                    panic!("{example}: {error}");
                }
            }
            seen.push(path.join(" "));
        });
        for known in [
            "",
            "up",
            "job submit",
            "workers undrain",
            "config check",
            "check",
            "metrics",
            "completions",
        ] {
            assert!(
                seen.iter().any(|path| path == known),
                "{known:?} not in {seen:?}"
            );
        }
    }
}
