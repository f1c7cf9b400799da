//! `osapi rules` and `osapi dashboards`: what to load into Prometheus and Grafana.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde_json::Value;

use super::args::{ConfigArgs, DashboardsArgs};
use super::{Failure, print_json};
use crate::monitoring::{self, Dashboard, Metrics};

fn metrics(config: &ConfigArgs, verbose: u8) -> Result<Metrics, Failure> {
    let loaded = config.sources(verbose).load()?;
    Metrics::of(&loaded.config.telemetry).map_err(|error| Failure::Other(error.to_string()))
}

pub(super) fn rules(config: &ConfigArgs, verbose: u8) -> Result<(), Failure> {
    let rules = monitoring::rules(&metrics(config, verbose)?);
    Ok(io::stdout().write_all(rules.as_bytes())?)
}

pub(super) fn dashboards(args: &DashboardsArgs, verbose: u8) -> Result<(), Failure> {
    let all = monitoring::dashboards(&metrics(&args.config, verbose)?);
    if let Some(dir) = &args.dir {
        return all.iter().try_for_each(|one| write(dir, one));
    }
    let Some(name) = &args.name else {
        return print_json(&all.into_iter().map(|one| one.json).collect::<Vec<Value>>());
    };
    match all.iter().find(|one| one.name == name) {
        Some(one) => print_json(&one.json),
        None => {
            let names: Vec<_> = all.iter().map(|one| one.name).collect();
            let known = names.join(", ");
            Err(Failure::Other(format!(
                "there is no dashboard {name:?}: one of {known}"
            )))
        }
    }
}

fn write(dir: &Path, dashboard: &Dashboard) -> Result<(), Failure> {
    let path = dir.join(format!("{}.json", dashboard.name));
    let mut text = serde_json::to_string_pretty(&dashboard.json).map_err(io::Error::from)?;
    text.push('\n');
    fs::create_dir_all(dir)
        .and_then(|()| fs::write(&path, text))
        .map_err(|error| Failure::Other(format!("cannot write {}: {error}", path.display())))?;
    Ok(writeln!(io::stdout(), "{}", path.display())?)
}
