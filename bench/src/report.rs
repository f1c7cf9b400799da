//! `RESULTS.md`: what was measured, as tables, and whether the budgets are met.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::harness::Samples;

/// What is written when all sections have run.
pub(crate) struct Report {
    others: f64,
    sections: String,
    budgets: Vec<[String; 4]>,
}

/// Contenders as rows; for each column a value, and what part of it ours is.
pub(crate) struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<(String, Vec<Cell>)>,
}

#[derive(Clone, Default)]
struct Cell {
    value: String,
    ratio: String,
}

/// What a budget allows.
#[derive(Clone, Copy)]
pub(crate) enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

/// From so many threads of others on, they share the cores with us.
const BUSY: f64 = 0.5;

/// How a number is written.
type Write = fn(f64) -> String;

impl Report {
    pub(crate) fn new() -> Self {
        Self {
            others: others(),
            sections: String::new(),
            budgets: Vec::new(),
        }
    }

    pub(crate) fn section(&mut self, title: &str, about: &str) {
        eprintln!("{title} ...");
        let _ = write!(self.sections, "\n## {title}\n\n{about}\n");
    }

    pub(crate) fn table(&mut self, table: Table) {
        self.sections.push_str(&table.markdown());
    }

    /// Notes whether a budget is met.
    pub(crate) fn budget(&mut self, what: &str, measured: f64, limit: Limit, write: Write) {
        let (allowed, met) = match limit {
            Limit::AtMost(most) => (format!("at most {}", write(most)), measured <= most),
            Limit::AtLeast(least) => (format!("at least {}", write(least)), measured >= least),
        };
        let verdict = if met { "met" } else { "**MISSED**" };
        let measured = write(measured);
        eprintln!("    {what}: {measured}, {allowed}: {verdict}");
        self.budgets
            .push([what.to_owned(), allowed, measured, verdict.to_owned()]);
    }

    /// The whole file.
    pub(crate) fn markdown(&self) -> String {
        let missed = self.budgets.iter().filter(|row| row[3] != "met").count();
        let mut out = format!(
            "# Results\n\nWritten by `cargo xtask bench`; [README.md](README.md) says what is \
             measured and how.\n\n{}{}\n\n## Budgets\n\nThe bar of the design; {missed} of {} \
             missed. What is against something else is a ratio within one run.\n\n\
             | what | budget | measured | |\n|---|---|---|---|\n",
            machine(),
            self.quiet(),
            self.budgets.len()
        );
        for [what, allowed, measured, verdict] in &self.budgets {
            let _ = writeln!(out, "| {what} | {allowed} | {measured} | {verdict} |");
        }
        out + &self.sections
    }

    /// Whether the machine had other work when the benchmarks began.
    fn quiet(&self) -> String {
        let others = self.others;
        if others < BUSY {
            return String::new();
        }
        format!(
            " **The machine was busy** ({others:.1} threads of others ran when this began): threads \
             waited for cores, so two of them seldom met, and what needs two cores shows little; \
             run this again on a quiet one."
        )
    }
}

impl Table {
    pub(crate) fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            columns: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Adds what each of these contenders took: the median, the least, and the ratio of the
    /// contender at `ours` to it.
    pub(crate) fn column(
        &mut self,
        heading: &str,
        names: &[String],
        samples: &[Samples],
        ours: usize,
        write: Write,
    ) {
        self.columns.push(heading.to_owned());
        for (name, one) in names.iter().zip(samples) {
            let value = taken(one, write);
            let ratio = times(samples[ours].ratio(one));
            self.cell(name, Cell { value, ratio });
        }
    }

    /// Adds what each of these took, where there is nothing to compare it with.
    pub(crate) fn plain_column(
        &mut self,
        heading: &str,
        names: &[String],
        samples: &[Samples],
        write: Write,
    ) {
        self.columns.push(heading.to_owned());
        for (name, one) in names.iter().zip(samples) {
            let value = taken(one, write);
            self.cell(name, Cell::plain(value));
        }
    }

    /// Adds a column of values that are written already, each with its row.
    pub(crate) fn values(&mut self, heading: &str, rows: &[(&str, String)]) {
        self.columns.push(heading.to_owned());
        for (name, value) in rows {
            self.cell(name, Cell::plain(value.clone()));
        }
    }

    /// Adds a row with one value.
    pub(crate) fn single(&mut self, name: &str, value: String) {
        if self.columns.is_empty() {
            self.columns.push("measured".to_owned());
        }
        self.cell(name, Cell::plain(value));
    }

    /// Fills the last column of a row.
    fn cell(&mut self, name: &str, cell: Cell) {
        let known = self.rows.iter().position(|(row, _)| row == name);
        let row = known.unwrap_or_else(|| {
            self.rows.push((name.to_owned(), Vec::new()));
            self.rows.len() - 1
        });
        let cells = &mut self.rows[row].1;
        cells.resize_with(self.columns.len() - 1, Cell::default);
        cells.push(cell);
    }

    fn markdown(&self) -> String {
        let compared = self.compared();
        let mut out = format!("\n### {}\n\n| ", self.title);
        for (heading, &compared) in self.columns.iter().zip(&compared) {
            let _ = write!(out, "| {heading} ");
            out.push_str(if compared { "| ours ÷ it " } else { "" });
        }
        out.push_str("|\n|---");
        for &compared in &compared {
            out.push_str(if compared { "|---:|---:" } else { "|---:" });
        }
        out.push_str("|\n");
        for (name, cells) in &self.rows {
            let _ = write!(out, "| {name} ");
            for (column, &compared) in compared.iter().enumerate() {
                let Cell { value, ratio } = cells.get(column).cloned().unwrap_or_default();
                let _ = write!(out, "| {value} ");
                if compared {
                    let _ = write!(out, "| {ratio} ");
                }
            }
            out.push_str("|\n");
        }
        out
    }

    /// Which columns have ratios.
    fn compared(&self) -> Vec<bool> {
        let has_ratio = |column: usize| {
            let mut cells = self.rows.iter().filter_map(|(_, cells)| cells.get(column));
            cells.any(|cell| !cell.ratio.is_empty())
        };
        (0..self.columns.len()).map(has_ratio).collect()
    }
}

/// The median, and in brackets the least if it was measured more than once.
fn taken(samples: &Samples, write: Write) -> String {
    let median = write(samples.median());
    match samples.rounds() {
        1 => median,
        _ => format!("{median} ({})", write(samples.least())),
    }
}

impl Cell {
    fn plain(value: String) -> Self {
        Self {
            value,
            ratio: String::new(),
        }
    }
}

/// Cores, processor, compiler, commit: what the numbers depend on.
fn machine() -> String {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let compiler = said("rustc", &["--version"]);
    let commit = said("git", &["rev-parse", "--short=12", "HEAD"]);
    let changed = !said("git", &["status", "--porcelain", "--", "../crates", "src"]).is_empty();
    let changed = if changed { ", with changes" } else { "" };
    format!("{cores} cores, {model}; {compiler}; commit {commit}{changed}.")
}

/// How many threads of others want to run, on average over a second; none where the system does not
/// say. The load average would still remember the compiler that built this.
fn others() -> f64 {
    const SAMPLES: u32 = 50;
    let running = || {
        thread::sleep(Duration::from_millis(20));
        let load = fs::read_to_string("/proc/loadavg").ok()?;
        let running = load.split([' ', '/']).nth(3)?;
        running.parse::<u32>().ok()
    };
    // This thread is one of them.
    let others = (0..SAMPLES).map(|_| running().map_or(0, |all| all.saturating_sub(1)));
    f64::from(others.sum::<u32>()) / f64::from(SAMPLES)
}

/// What a program prints, run in this directory; nothing if it cannot be run.
fn said(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let said = command.current_dir(directory).args(arguments).output();
    let said = said.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&said).trim().to_owned()
}

/// "1 thread", "2 threads".
pub(crate) fn many(threads: usize) -> String {
    format!("{threads} thread{}", if threads == 1 { "" } else { "s" })
}

/// A ratio.
pub(crate) fn times(ratio: f64) -> String {
    match ratio {
        ..0.0095 => format!("{ratio:.4} x"),
        ..0.995 => format!("{ratio:.2} x"),
        ..99.5 => format!("{ratio:.1} x"),
        _ => format!("{ratio:.0} x"),
    }
}

pub(crate) fn nanoseconds(value: f64) -> String {
    format!("{} ns", rounded(value))
}

pub(crate) fn microseconds(value: f64) -> String {
    format!("{} µs", rounded(value))
}

pub(crate) fn milliseconds(value: f64) -> String {
    format!("{} ms", rounded(value))
}

pub(crate) fn bytes(value: f64) -> String {
    format!("{value:.0} B")
}

/// A part of a whole.
pub(crate) fn percent(part: f64) -> String {
    format!("{:.1} %", 100.0 * part)
}

pub(crate) fn per_second(value: f64) -> String {
    format!("{value:.0}/s")
}

/// Three digits are all that such a machine can promise.
fn rounded(value: f64) -> String {
    match value.abs() {
        ..1.0 => format!("{value:.3}"),
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
