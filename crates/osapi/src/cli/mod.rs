//! The command line: what can be typed (`args`), and what each command does.
//!
//! Exit codes: 0 done, 2 wrong usage, 64 bad configuration, 1 everything else. Data goes to
//! standard output, everything else to standard error.

mod addr_file;
mod args;
mod bench;
mod check;
mod client;
mod config;
mod help;
mod job;
mod logging;
mod metrics;
mod monitoring;
mod names;
mod page;
mod process;
mod progress;
mod serve;
mod signals;
mod table;
mod token;
mod workers;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use self::args::{Cli, Command};
use crate::config::ConfigError;
use meterline::server::BindError;

/// Runs the program with the arguments of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let error = help::with_commands(error, std::env::args());
            // Help and version come this way too, with code 0; a closed pipe is nobody's fault.
            let code = error.exit_code();
            let _ = error.print();
            return ExitCode::from(u8::try_from(code).unwrap_or(2));
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(message) = failure.message() {
                let _ = writeln!(io::stderr(), "osapi: {message}");
            }
            failure.code()
        }
    }
}

/// Why a command did not do what it was asked.
enum Failure {
    /// The configuration is wrong; nothing was started.
    Config(ConfigError),
    /// Anything else, as one line for people.
    Other(String),
    /// The command has said itself what there is to say.
    Told,
}

impl Failure {
    fn message(&self) -> Option<String> {
        match self {
            Self::Config(error) => Some(error.to_string()),
            Self::Other(message) => Some(message.clone()),
            Self::Told => None,
        }
    }

    fn code(&self) -> ExitCode {
        match self {
            Self::Config(_) => ExitCode::from(64),
            Self::Other(_) | Self::Told => ExitCode::FAILURE,
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<BindError> for Failure {
    fn from(error: BindError) -> Self {
        Self::Other(error.to_string())
    }
}

impl From<crate::telemetry::StartError> for Failure {
    fn from(error: crate::telemetry::StartError) -> Self {
        Self::Other(error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // Whoever read our output has seen enough.
            io::ErrorKind::BrokenPipe => Self::Told,
            _ => Self::Other(error.to_string()),
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let verbose = cli.verbose;
    match cli.command {
        Command::Up(args) => serve::up(args, verbose),
        Command::Api(args) => serve::api(&args, verbose),
        Command::Worker(args) => serve::worker(&args, verbose),
        Command::Job(args) => client::run(verbose, args.server.access(), |client| {
            job::run(client, args)
        }),
        Command::Workers(args) => client::run(verbose, args.server.access(), |client| {
            workers::run(client, args)
        }),
        Command::Bench(args) => client::run(verbose, args.server.access(), |client| {
            bench::run(client, args)
        }),
        Command::Config(args) => config::run(&args, verbose),
        Command::Metrics(args) => {
            let access = args.read.access(args.url.scheme() == "https");
            client::run(verbose, access, |client| metrics::run(client, args))
        }
        Command::Check(args) => {
            let access = args.read.access(args.page.starts_with("https://"));
            client::run(verbose, access, |client| check::run(client, args))
        }
        Command::Token(args) => token::run(&args, verbose),
        Command::Rules(args) => monitoring::rules(&args, verbose),
        Command::Dashboards(args) => monitoring::dashboards(&args, verbose),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "osapi", &mut script);
            Ok(io::stdout().write_all(&script)?)
        }
    }
}

/// Prints a value as JSON, indented, with a newline.
fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(io::Error::from)?;
    Ok(writeln!(io::stdout(), "{text}")?)
}
