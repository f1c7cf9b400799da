//! Tables for people: as wide as the terminal at most, and coloured only there.

use std::io::{self, Write};

use comfy_table::{Cell as Styled, Color, Table, presets};
use console::Term;

use super::Failure;
use super::page::visible;
use crate::queue::{JobState, WorkerState};

/// Between two columns.
const GAP: usize = 2;

/// What a colour says besides the words, which say it alone where there are no colours.
#[derive(Clone, Copy)]
enum Tone {
    Plain,
    Good,
    Busy,
    Bad,
}

/// A text, and how it looks.
pub(super) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    fn new(text: &str, tone: Tone) -> Self {
        let text = visible(text);
        Self { text, tone }
    }

    /// The text with the codes that colour it, where standard output shows colours.
    pub(super) fn painted(&self) -> String {
        let painted = console::style(&self.text);
        match self.tone {
            Tone::Plain => painted,
            Tone::Good => painted.green(),
            Tone::Busy => painted.yellow(),
            Tone::Bad => painted.red(),
        }
        .to_string()
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::new(text, Tone::Plain)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::new(&text, Tone::Plain)
    }
}

impl From<JobState> for Cell {
    fn from(state: JobState) -> Self {
        let tone = match state {
            JobState::Submitted => Tone::Plain,
            JobState::Processing | JobState::Retrying => Tone::Busy,
            JobState::Completed => Tone::Good,
            JobState::Failed | JobState::Cancelled => Tone::Bad,
        };
        Self::new(state.as_str(), tone)
    }
}

impl From<WorkerState> for Cell {
    fn from(state: WorkerState) -> Self {
        let tone = match state {
            WorkerState::Ready => Tone::Good,
            WorkerState::Draining => Tone::Busy,
            WorkerState::Lost => Tone::Bad,
        };
        Self::new(state.as_str(), tone)
    }
}

/// How much there is room for; `None` where nobody looks.
#[derive(Clone, Copy)]
pub(super) struct Screen {
    pub(super) width: Option<usize>,
    pub(super) height: Option<usize>,
}

impl Screen {
    pub(super) fn now() -> Self {
        let size = Term::stdout().size_checked();
        // A terminal that does not know its size says zero.
        let known = |cells: u16| Some(usize::from(cells)).filter(|cells| *cells > 0);
        Self {
            width: size.and_then(|(_, width)| known(width)),
            height: size.and_then(|(height, _)| known(height)),
        }
    }
}

/// Prints rows under headings. The headings stand even when there is no row.
pub(super) fn print(headings: &[&str], rows: Vec<Vec<Cell>>) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    for line in lines(headings, rows, Screen::now()) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// The lines of a table, none wider than the screen: what stands in the last columns is cut first.
pub(super) fn lines(headings: &[&str], rows: Vec<Vec<Cell>>, screen: Screen) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if console::colors_enabled() {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_header(headings.iter().copied());
    for row in rows {
        table.add_row(row.into_iter().map(styled));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP as u16));
    }
    table
        .lines()
        .map(|line| cut(line.trim_end(), screen.width.unwrap_or(usize::MAX)))
        .collect()
}

fn styled(cell: Cell) -> Styled {
    let styled = Styled::new(cell.text);
    match cell.tone {
        Tone::Plain => styled,
        Tone::Good => styled.fg(Color::Green),
        Tone::Busy => styled.fg(Color::Yellow),
        Tone::Bad => styled.fg(Color::Red),
    }
}

/// A line that fits, colours included.
pub(super) fn cut(line: &str, width: usize) -> String {
    console::truncate_str(line, width, "…").into_owned()
}

/// How wide lines are.
pub(super) fn width(lines: &[String]) -> usize {
    let widths = lines.iter().map(|line| console::measure_text_width(line));
    widths.max().unwrap_or_default()
}

/// Time since then, in its two largest units: `3m 4s`.
pub(super) fn ago(then: jiff::Timestamp) -> String {
    // The clock of the server may be ahead of ours.
    let seconds = jiff::Timestamp::now().duration_since(then).as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_fit_the_screen() {
        let rows = || {
            vec![vec![
                "019f".into(),
                JobState::Failed.into(),
                "日本日本".into(),
            ]]
        };
        for width in 1..40 {
            let screen = Screen {
                width: Some(width),
                height: None,
            };
            for line in lines(&["ID", "STATUS", "NAME"], rows(), screen) {
                assert!(
                    console::measure_text_width(&line) <= width,
                    "{width}: {line}"
                );
            }
        }
        let wide = Screen {
            width: None,
            height: None,
        };
        assert_eq!(
            lines(&["ID", "STATUS", "NAME"], rows(), wide),
            ["ID    STATUS  NAME", "019f  failed  日本日本"]
        );
    }

    #[test]
    fn times_in_two_units() {
        let second = |back: i64| jiff::Timestamp::now() - jiff::SignedDuration::from_secs(back);
        assert_eq!(ago(second(-5)), "0s");
        for (back, said) in [(64, "1m 4s"), (3 * 3600 + 60, "3h 1m"), (90_000, "1d 1h")] {
            assert_eq!(ago(second(back)), said);
        }
    }
}
