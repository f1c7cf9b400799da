//! Where the configuration comes from, and the commands that show it or print what follows from it.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::config::Sources;
use crate::metrics::catalogue;
use crate::monitoring;

/// Where the configuration comes from.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct ConfigArgs {
    /// YAML file with the configuration.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) config: Option<PathBuf>,
    /// Set one key; may be given several times. Wins over the file and the environment.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(in crate::cli) set: Vec<String>,
}

impl ConfigArgs {
    /// The layers these flags and the environment make.
    pub(in crate::cli) fn sources(&self, verbose: u8) -> Sources {
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
pub(in crate::cli) struct ConfigCommandArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ConfigCommand {
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
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// The commands that stay running; their defaults differ a little.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Process {
    Up,
    Api,
    Worker,
}

impl Process {
    /// Which rows of the metrics catalogue it exposes.
    pub(in crate::cli) fn exposing(self) -> catalogue::Process {
        match self {
            Self::Up => catalogue::Process::Both,
            Self::Api => catalogue::Process::Api,
            Self::Worker => catalogue::Process::Worker,
        }
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RulesArgs {
    /// Write them to rules.yml in this directory instead.
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) out: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) config: ConfigArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DashboardsArgs {
    /// Only this one. Without a name all of them, as a JSON array.
    #[arg(value_name = "NAME", conflicts_with = "out", value_parser = monitoring::DASHBOARDS)]
    pub(in crate::cli) name: Option<String>,
    /// Write each to a file of this directory instead, as NAME.json.
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) out: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) config: ConfigArgs,
}
