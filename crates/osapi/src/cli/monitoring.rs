//! `osapi rules` and `osapi dashboards`: what to load into Prometheus and Grafana.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde_json::Value;

use super::args::{ConfigArgs, DashboardsArgs, RulesArgs};
use super::{Failure, print_json};
use crate::monitoring::{self, Metrics};

fn metrics(config: &ConfigArgs, verbose: u8) -> Result<Metrics, Failure> {
    let loaded = config.sources(verbose).load()?;
    Metrics::of(&loaded.config.telemetry).map_err(|error| Failure::Other(error.to_string()))
}

pub(super) fn rules(args: &RulesArgs, verbose: u8) -> Result<(), Failure> {
    let rules = monitoring::rules(&metrics(&args.config, verbose)?);
    match &args.out {
        Some(dir) => write(dir, "rules.yml", &rules),
        None => Ok(io::stdout().write_all(rules.as_bytes())?),
    }
}

pub(super) fn dashboards(args: &DashboardsArgs, verbose: u8) -> Result<(), Failure> {
    let all = monitoring::dashboards(&metrics(&args.config, verbose)?);
    if let Some(dir) = &args.out {
        return all.iter().try_for_each(|one| {
            let mut text = serde_json::to_string_pretty(&one.json).map_err(io::Error::from)?;
            text.push('\n');
            write(dir, &format!("{}.json", one.name), &text)
        });
    }
    let wanted = args.name.as_deref();
    match all.iter().find(|one| wanted == Some(one.name)) {
        Some(one) => print_json(&one.json),
        None => print_json(&all.into_iter().map(|one| one.json).collect::<Vec<Value>>()),
    }
}

/// Writes a file, and says which.
fn write(dir: &Path, name: &str, text: &str) -> Result<(), Failure> {
    let path = dir.join(name);
    fs::create_dir_all(dir)
        .and_then(|()| fs::write(&path, text))
        .map_err(|error| Failure::Other(format!("cannot write {}: {error}", path.display())))?;
    Ok(writeln!(io::stdout(), "{}", path.display())?)
}
