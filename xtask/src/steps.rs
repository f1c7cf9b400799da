use std::env;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use xtask::tools::workspace;

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Reach for no network.
    pub(crate) offline: bool,
    /// Whether what cannot be run may be left out: only offline, and never in CI.
    pub(crate) may_skip: bool,
}

impl Options {
    pub(crate) fn new(offline: bool) -> Self {
        let ci = env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
        Self {
            offline,
            may_skip: offline && !ci,
        }
    }
}

/// Runs one step after the other, each whatever became of those before, and sums up at the end.
#[derive(Debug)]
pub(crate) struct Steps {
    pub(crate) options: Options,
    done: Vec<Done>,
}

#[derive(Debug)]
struct Done {
    name: String,
    took: Duration,
    outcome: Result<(), Fault>,
}

#[derive(Debug)]
enum Fault {
    Failed(String),
    Skipped(String),
}

impl Steps {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            done: Vec::new(),
        }
    }

    /// Runs a program; its failure is the step's.
    pub(crate) fn run(&mut self, name: &str, command: &mut Command) {
        self.step(name, || succeed(command));
    }

    /// Does anything that can fail, in words.
    pub(crate) fn step<T>(
        &mut self,
        name: &str,
        act: impl FnOnce() -> Result<T, String>,
    ) -> Option<T> {
        announce(name);
        let started = Instant::now();
        let outcome = act();
        let (outcome, value) = match outcome {
            Ok(value) => (Ok(()), Some(value)),
            Err(why) => {
                println!("    FAILED: {why}");
                (Err(Fault::Failed(why)), None)
            }
        };
        self.done.push(Done {
            name: name.to_owned(),
            took: started.elapsed(),
            outcome,
        });
        value
    }

    /// Notes that something was not done, and why. It shows at the end; it fails nothing.
    pub(crate) fn skip(&mut self, name: &str, why: &str) {
        announce(name);
        println!("    SKIPPED: {why}");
        self.done.push(Done {
            name: name.to_owned(),
            took: Duration::ZERO,
            outcome: Err(Fault::Skipped(why.to_owned())),
        });
    }

    /// Prints what took how long and what became of it.
    pub(crate) fn finish(self) -> ExitCode {
        println!();
        let (mut failed, mut skipped) = (0, 0);
        for Done {
            name,
            took,
            outcome,
        } in &self.done
        {
            let outcome = match outcome {
                Ok(()) => "ok".to_owned(),
                Err(Fault::Failed(why)) => {
                    failed += 1;
                    format!("FAILED: {why}")
                }
                Err(Fault::Skipped(why)) => {
                    skipped += 1;
                    format!("SKIPPED: {why}")
                }
            };
            println!("{:>7.1} s  {name}: {outcome}", took.as_secs_f64());
        }
        let all = self.done.len();
        let total: Duration = self.done.iter().map(|done| done.took).sum();
        println!(
            "{:>7.1} s  {all} steps, {failed} failed, {skipped} skipped",
            total.as_secs_f64()
        );
        if failed > 0 {
            return ExitCode::FAILURE;
        }
        ExitCode::SUCCESS
    }
}

/// Cargo in the workspace: the one that runs this program, if it said which that is.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(workspace()).args(arguments);
    command
}

/// Runs a program to its end.
///
/// # Errors
/// In words, naming the program and its arguments, if it cannot be run or does not succeed.
pub(crate) fn succeed(command: &mut Command) -> Result<(), String> {
    let status = command.status();
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let status = status.map_err(|error| format!("{name} cannot be run: {error}"))?;
    if status.success() {
        return Ok(());
    }
    let arguments: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
    Err(format!("{name} {}: {status}", arguments.join(" ")))
}

fn announce(name: &str) {
    println!("==> {name}");
    // What the step's programs print comes after its name; a closed terminal is no reason to stop.
    let _ = io::stdout().flush();
}
