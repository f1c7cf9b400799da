//! Tables for people.

use std::io::{self, Write};

use comfy_table::{Table, presets};

use super::Failure;

/// Prints rows under headings. The last heading stands even when there is no row.
pub(super) fn print(headings: &[&str], rows: Vec<Vec<String>>) -> Result<(), Failure> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(headings.iter().copied());
    for row in rows {
        table.add_row(row);
    }
    for line in table.lines() {
        writeln!(io::stdout(), "{}", line.trim())?;
    }
    Ok(())
}
