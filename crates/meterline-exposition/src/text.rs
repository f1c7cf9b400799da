//! The text formats, Prometheus' own and OpenMetrics, which share everything but details.

mod histogram;

use std::time::SystemTime;

use meterline_sdk::{Exemplar, Number};

use crate::dropped::{DropReason, Dropped};
use crate::escape::escape_into;
use crate::escaping::is_legacy;
use crate::exemplar::exemplar_labels;
use crate::families::{Block, Families, Family, Kind, NumberBlock, NumberRow};
use crate::name::Naming;
use crate::number::{write_number, write_time};
use crate::page::Page;

/// More than any number takes.
const NUMBER_BYTES: usize = 24;

/// Which text format is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// 0.0.4 and 1.0.0 ("Exposition formats", text-based format): they differ in whether names may
    /// be quoted, which the names decide. No exemplars and no creation times: there is no room.
    Prometheus,
    /// OpenMetrics 0.0.1 and 1.0.0.
    OpenMetrics,
}

/// What is the same for all lines of a page.
#[derive(Clone, Copy)]
struct Style {
    dialect: Dialect,
    naming: Naming,
    created: bool,
}

/// Writes the families. No timestamps on samples: the OpenTelemetry specification advises against it.
pub(crate) fn write_text(
    families: &Families<'_>,
    dialect: Dialect,
    page: &mut Page<'_>,
) -> Dropped {
    let openmetrics = dialect == Dialect::OpenMetrics;
    let style = Style {
        dialect,
        naming: families.naming(),
        created: openmetrics && families.shows_created(),
    };
    let mut dropped = Dropped::default();
    for family in families.iter() {
        write_header(&family, dialect, page.out);
        for block in family.blocks() {
            match block {
                Block::Numbers(block) if openmetrics && family.kind() == Kind::Counter => {
                    let left_out = write_totals(&family, &block, style, page);
                    dropped.add(DropReason::InvalidValue, left_out);
                }
                Block::Numbers(block) => write_numbers(&block, page),
                Block::Histograms(block) => histogram::write(&family, &block, style, page),
            }
        }
    }
    if openmetrics {
        page.out.extend_from_slice(b"# EOF\n");
    }
    dropped
}

fn write_header(family: &Family<'_>, dialect: Dialect, out: &mut Vec<u8>) {
    let (name, kind, unit) = match dialect {
        Dialect::Prometheus => (family.name(), family.kind().as_str(), ""),
        Dialect::OpenMetrics => {
            let (name, kind) = family.openmetrics();
            (name, kind, family.named_unit())
        }
    };
    let mut quoted = String::new();
    let name = if is_legacy(name, true) {
        name
    } else {
        quoted.push('"');
        escape_into(&mut quoted, name, true);
        quoted.push('"');
        &quoted
    };
    let mut help = String::new();
    if !family.help().is_empty() {
        help.extend(["# HELP ", name, " "]);
        escape_into(&mut help, family.help(), dialect == Dialect::OpenMetrics);
        help.push('\n');
    }
    // The order each specification shows.
    if dialect == Dialect::Prometheus {
        extend(out, &[&help, "# TYPE ", name, " ", kind, "\n"]);
        return;
    }
    extend(out, &["# TYPE ", name, " ", kind, "\n"]);
    if !unit.is_empty() {
        extend(out, &["# UNIT ", name, " ", unit, "\n"]);
    }
    extend(out, &[&help]);
}

fn write_numbers(block: &NumberBlock<'_>, page: &mut Page<'_>) {
    page.reserve(block.bytes() + block.len() * NUMBER_BYTES);
    block.lines().for_each(|(line, number)| {
        page.out.extend_from_slice(line);
        write_line_end(page.out, number);
        page.may_end_chunk();
    });
}

/// Writes the points of an OpenMetrics counter; tells how many had to be left out.
fn write_totals(
    family: &Family<'_>,
    block: &NumberBlock<'_>,
    style: Style,
    page: &mut Page<'_>,
) -> usize {
    let mut left_out = 0;
    let (stem, kind) = family.openmetrics();
    if kind == "unknown" {
        write_numbers(block, page);
        return 0;
    }
    if !style.created && !block.has_exemplars() {
        page.reserve(block.bytes() + block.len() * NUMBER_BYTES);
        block.lines().for_each(|(line, number)| {
            if !is_total(number) {
                left_out += 1;
                return;
            }
            page.out.extend_from_slice(line);
            write_line_end(page.out, number);
            page.may_end_chunk();
        });
        return left_out;
    }
    let created = Head::new(stem, "_created");
    for row in block.iter() {
        if !is_total(row.value) {
            left_out += 1;
            continue;
        }
        page.out.extend_from_slice(row.line.as_bytes());
        write_number(page.out, row.value);
        if let Some(exemplar) = latest(&row) {
            write_exemplar(page.out, exemplar, style.naming);
        }
        page.out.push(b'\n');
        if let Some(start) = row.start().filter(|_| style.created) {
            created.write(page.out, row.labels.as_str());
            write_time_end(page.out, start);
        }
        page.may_end_chunk();
    }
    left_out
}

/// Whether OpenMetrics lets a counter or a part of a histogram have this value.
fn is_total(number: Number) -> bool {
    match number {
        Number::U64(_) => true,
        Number::I64(value) => value >= 0,
        Number::F64(value) => value >= 0.0,
    }
}

fn latest<'a>(row: &NumberRow<'a>) -> Option<&'a Exemplar> {
    let numbers = row.exemplars().filter(|e| !e.value.as_f64().is_nan());
    numbers.max_by_key(|exemplar| exemplar.time)
}

fn write_exemplar(out: &mut Vec<u8>, exemplar: &Exemplar, naming: Naming) {
    let mut labels = String::new();
    exemplar_labels(exemplar, naming, |name, value| {
        if !labels.is_empty() {
            labels.push(',');
        }
        if is_legacy(name, false) {
            labels.push_str(name);
        } else {
            labels.push('"');
            escape_into(&mut labels, name, true);
            labels.push('"');
        }
        labels.push_str("=\"");
        escape_into(&mut labels, value, true);
        labels.push('"');
    });
    extend(out, &[" # {", &labels, "} "]);
    write_number(out, exemplar.value);
    out.push(b' ');
    write_time(out, exemplar.time);
}

/// How the lines of a sample begin: its name, in the braces if it needs quotes.
struct Head(String);

impl Head {
    fn new(name: &str, suffix: &str) -> Self {
        let legacy = is_legacy(name, true);
        let mut head = if legacy {
            String::new()
        } else {
            "{\"".to_owned()
        };
        if legacy {
            head.push_str(name);
        } else {
            escape_into(&mut head, name, true);
        }
        head.push_str(suffix);
        if !legacy {
            head.push('"');
        }
        Self(head)
    }

    /// Up to where a further label may follow.
    fn open(&self, out: &mut Vec<u8>, labels: &str) {
        let quoted = self.0.starts_with('{');
        extend(out, &[&self.0, if quoted { "," } else { "{" }, labels]);
        if !labels.is_empty() {
            out.push(b',');
        }
    }

    /// Up to the value.
    fn write(&self, out: &mut Vec<u8>, labels: &str) {
        match (self.0.starts_with('{'), labels.is_empty()) {
            (false, true) => extend(out, &[&self.0, " "]),
            (false, false) => extend(out, &[&self.0, "{", labels, "} "]),
            (true, true) => extend(out, &[&self.0, "} "]),
            (true, false) => extend(out, &[&self.0, ",", labels, "} "]),
        }
    }
}

fn write_line_end(out: &mut Vec<u8>, number: Number) {
    write_number(out, number);
    out.push(b'\n');
}

fn write_time_end(out: &mut Vec<u8>, time: SystemTime) {
    write_time(out, time);
    out.push(b'\n');
}

fn extend(out: &mut Vec<u8>, texts: &[&str]) {
    for text in texts {
        out.extend_from_slice(text.as_bytes());
    }
}
