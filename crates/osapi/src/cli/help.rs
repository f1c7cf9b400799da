//! What wrong usage is told beyond what the parser says by itself.

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::args::Cli;

/// Adds the commands there are to the error of one there is not.
pub(super) fn with_commands(
    mut error: clap::Error,
    typed: impl Iterator<Item = String>,
) -> clap::Error {
    let wrong = match (error.kind(), error.get(ContextKind::InvalidSubcommand)) {
        (ErrorKind::InvalidSubcommand, Some(ContextValue::String(wrong))) => wrong.clone(),
        _ => return error,
    };
    let mut command = Cli::command();
    for word in typed.skip(1).take_while(|word| *word != wrong) {
        if let Some(sub) = command.find_subcommand(&word) {
            command = sub.clone();
        }
    }
    let names: Vec<&str> = command
        .get_subcommands()
        .map(clap::Command::get_name)
        .collect();
    let tip = format!("the commands are {}", names.join(", "));
    let mut tips = match error.remove(ContextKind::Suggested) {
        Some(ContextValue::StyledStrs(tips)) => tips,
        _ => Vec::new(),
    };
    tips.push(tip.into());
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    error
}
