//! `osapi check`: whether a page of metrics is right.

use std::io::{self, BufWriter, Write};

use meterline_exposition::parse::{Fault, LintOptions, Page, Place, Severity, Syntax};
use serde_json::{Value, json};
use url::Url;

use super::args::CheckArgs;
use super::client::Client;
use super::page::{self, Fetched, visible};
use super::{Failure, print_json};

/// So many findings are shown; whoever has more has one mistake in many places.
const SHOWN: usize = 1_000;

pub(super) async fn run(client: Client, args: CheckArgs) -> Result<(), Failure> {
    let given = &*args.page;
    let fetched = if page::is_url(given) {
        let url = Url::parse(given)
            .map_err(|error| Failure::Other(format!("{}: {error}", visible(given))))?;
        page::fetch(&client, &url, Syntax::OpenMetrics, &args.read).await?
    } else {
        page::read(given, &args.read)?
    };
    let report = Report::new(&fetched);
    if args.read.json {
        print_json(&report.to_json(given))?;
    } else {
        report.print(if given == "-" { "<stdin>" } else { given })?;
    }
    match (report.errors, report.warnings) {
        (0, 0) => Ok(()),
        (0, _) if !args.deny_warnings => Ok(()),
        _ => Err(Failure::Told),
    }
}

/// All that is to be said about a page.
struct Report {
    syntax: Syntax,
    families: usize,
    samples: usize,
    errors: usize,
    warnings: usize,
    said: Vec<Said>,
}

struct Said {
    severity: Severity,
    rule: &'static str,
    family: Option<String>,
    place: Place,
    message: String,
}

impl Report {
    fn new(fetched: &Fetched) -> Self {
        let mut report = Self {
            syntax: fetched.syntax,
            families: 0,
            samples: 0,
            errors: 0,
            warnings: 0,
            said: Vec::new(),
        };
        match Page::parse(&fetched.bytes, fetched.syntax) {
            Ok(page) => report.lint(&page, &fetched.bytes),
            Err(fault) => report.fault(fault),
        }
        report
    }

    fn fault(&mut self, fault: Fault) {
        self.errors = 1;
        self.said.push(Said {
            severity: Severity::Error,
            rule: fault.rule.as_str(),
            family: None,
            place: fault.place,
            message: fault.message,
        });
    }

    fn lint(&mut self, page: &Page<'_>, bytes: &[u8]) {
        self.families = page.families.len();
        self.samples = page.families.iter().map(|f| f.samples.len()).sum();
        let mut places = page.places(bytes);
        for finding in page.lint(LintOptions::default()) {
            let severity = finding.severity();
            match severity {
                Severity::Error => self.errors += 1,
                Severity::Warning => self.warnings += 1,
            }
            if self.said.len() < SHOWN {
                self.said.push(Said {
                    severity,
                    rule: finding.lint.as_str(),
                    family: Some(finding.family),
                    place: places.at(finding.offset),
                    message: finding.message,
                });
            }
        }
    }

    /// One line each, as compilers write them, so that editors find the place.
    fn print(&self, name: &str) -> Result<(), Failure> {
        let name = visible(name);
        let mut out = BufWriter::new(io::stdout().lock());
        for said in &self.said {
            let place = match said.place {
                Place::Line { line, column } => format!("{line}:{column}"),
                Place::Byte(at) => format!("byte {at}"),
            };
            let family = said.family.as_ref();
            let family = family.map_or_else(String::new, |family| visible(family) + ": ");
            let (severity, rule, message) = (said.severity, said.rule, visible(&said.message));
            writeln!(
                out,
                "{name}:{place}: {severity}: {family}{message} [{rule}]"
            )?;
        }
        let hidden = self.errors + self.warnings - self.said.len();
        if hidden > 0 {
            writeln!(out, "{name}: and {hidden} more")?;
        }
        let counted = [
            counted(self.families, "family", "families"),
            counted(self.samples, "sample", "samples"),
            counted(self.errors, "error", "errors"),
            counted(self.warnings, "warning", "warnings"),
        ];
        writeln!(out, "{name}: {}, {}", self.syntax, counted.join(", "))?;
        Ok(out.flush()?)
    }

    fn to_json(&self, source: &str) -> Value {
        let said = self.said.iter().map(|said| {
            let mut value = json!({
                "severity": said.severity.as_str(),
                "rule": said.rule,
                "family": said.family,
                "message": said.message,
            });
            match said.place {
                Place::Line { line, column } => {
                    value["line"] = line.into();
                    value["column"] = column.into();
                }
                Place::Byte(at) => value["byte"] = at.into(),
            }
            value
        });
        json!({
            "source": source,
            "format": self.syntax.as_str(),
            "families": self.families,
            "samples": self.samples,
            "errors": self.errors,
            "warnings": self.warnings,
            "findings": said.collect::<Vec<_>>(),
        })
    }
}

fn counted(number: usize, one: &str, many: &str) -> String {
    let what = if number == 1 { one } else { many };
    format!("{number} {what}")
}
