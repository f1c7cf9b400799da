//! `osapi token`.

use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use meterline::config::values::parse_duration;

use super::ConfigArgs;
use crate::access::Permission;

#[derive(Debug, Args)]
pub(in crate::cli) struct TokenArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: TokenCommand,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum TokenCommand {
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
pub(in crate::cli) struct CreateArgs {
    /// What its bearer may do; may be given several times.
    #[arg(long, required = true, value_name = "PERMISSION", value_parser = permission())]
    pub(in crate::cli) permission: Vec<Permission>,
    /// How long it is good for, such as 12h or 30d.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration)]
    pub(in crate::cli) expires: Duration,
    /// Who bears it.
    #[arg(long, value_name = "NAME", default_value = "osapi")]
    pub(in crate::cli) subject: String,
    /// Print JSON.
    #[arg(long)]
    pub(in crate::cli) json: bool,
    #[command(flatten)]
    pub(in crate::cli) config: ConfigArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyArgs {
    /// The token; - reads it from standard input, where no list of processes shows it.
    pub(in crate::cli) token: String,
    /// Print JSON.
    #[arg(long)]
    pub(in crate::cli) json: bool,
    #[command(flatten)]
    pub(in crate::cli) config: ConfigArgs,
}

/// Permissions by their names, which help and completions then know.
fn permission() -> impl TypedValueParser<Value = Permission> {
    let names = PossibleValuesParser::new(Permission::ALL.map(Permission::as_str));
    names.try_map(|name| name.parse::<Permission>())
}

fn duration(given: &str) -> Result<Duration, String> {
    parse_duration(given)
        .ok_or_else(|| "expected a duration with its unit, such as 12h or 30d".to_owned())
}
