//! `osapi config`: the effective configuration, and where each value came from.

use std::io::{self, Write};

use serde_json::json;

use super::args::{ConfigArgs, ConfigCommand, ConfigCommandArgs, Process};
use super::{Failure, print_json, serve};
use crate::config::Loaded;

pub(super) fn run(args: &ConfigCommandArgs, verbose: u8) -> Result<(), Failure> {
    match &args.command {
        ConfigCommand::Show {
            config,
            process,
            json,
        } => {
            let loaded = load(config, *process, verbose)?;
            if *json {
                print_json(&loaded.to_json())
            } else {
                Ok(io::stdout().write_all(loaded.to_text().as_bytes())?)
            }
        }
        ConfigCommand::Check {
            config,
            process,
            json,
        } => {
            let loaded = load(config, *process, verbose)?;
            loaded.check_files()?;
            if *json {
                return print_json(&json!({ "fine": true, "warnings": loaded.warnings }));
            }
            Ok(writeln!(io::stdout(), "the configuration is fine")?)
        }
    }
}

fn load(config: &ConfigArgs, process: Process, verbose: u8) -> Result<Loaded, Failure> {
    let loaded = serve::sources(config, process, verbose).load()?;
    for warning in &loaded.warnings {
        writeln!(io::stderr(), "osapi: warning: {warning}")?;
    }
    Ok(loaded)
}
