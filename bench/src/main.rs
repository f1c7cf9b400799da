//! Meterline's benchmarks, beside its peers: `cargo xtask bench [SECTION...]`.
//!
//! Without arguments every section runs, and the results are written to `RESULTS.md`; with some,
//! only those run, and their results are printed. Each benchmark asserts its answer.

mod aggregation;
mod allocation;
mod bystander;
mod client;
mod collector;
mod encode;
mod export;
mod formats;
mod harness;
mod http;
mod libraries;
mod lifetime;
mod memory;
mod otlp;
mod page;
mod queue;
mod queues;
mod readers;
mod record;
mod report;
mod scrape;
mod server;
mod viewers;

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use report::Report;

type Section = (&'static str, fn(&mut Report));

const SECTIONS: [Section; 15] = [
    ("record", record::run),
    ("readers", readers::run),
    ("aggregation", aggregation::run),
    ("encode", encode::run),
    ("formats", formats::run),
    ("otlp", otlp::run),
    ("export", export::run),
    ("memory", memory::run),
    ("lifetime", lifetime::run),
    ("http", http::run),
    ("scrape", scrape::run),
    ("queue", queue::run),
    ("queues", queues::run),
    ("server", server::run),
    ("viewers", viewers::run),
];

fn main() -> ExitCode {
    let wanted: Vec<String> = env::args().skip(1).collect();
    let known = |name: &String| SECTIONS.iter().any(|(section, _)| section == name);
    if let Some(unknown) = wanted.iter().find(|name| !known(name)) {
        let names = SECTIONS.map(|(name, _)| name).join(", ");
        eprintln!("there is no section {unknown}; there are: {names}");
        return ExitCode::from(2);
    }
    let mut report = Report::new();
    for (name, run) in SECTIONS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            run(&mut report);
        }
    }
    let results = report.markdown();
    if !wanted.is_empty() {
        println!("{results}");
        return ExitCode::SUCCESS;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("RESULTS.md");
    if let Err(error) = fs::write(&path, results) {
        eprintln!("{} cannot be written: {error}", path.display());
        return ExitCode::FAILURE;
    }
    println!("wrote {}", path.display());
    ExitCode::SUCCESS
}
