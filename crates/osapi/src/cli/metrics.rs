//! `osapi metrics`: a page of metrics as a table.

mod json;
mod summary;

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use meterline_exposition::parse::{Page, Syntax};
use tokio::time::MissedTickBehavior;
use url::Url;

use super::args::MetricsArgs;
use super::client::{self, Client};
use super::page::{self, Fetched, visible};
use super::table::{self, Screen, cut};
use super::{Failure, print_json};
use summary::{Row, Totals};

pub(super) async fn run(client: Client, mut args: MetricsArgs) -> Result<(), Failure> {
    if args.url.path() == "/" {
        args.url.set_path("/metrics");
    }
    if args.watch {
        return watch(&client, &args).await;
    }
    let fetched = fetch(&client, &args).await?;
    let page = parsed(&fetched, &args.url)?;
    if args.read.json {
        return print_json(&json::page(&page, args.name.as_deref()));
    }
    let rows = summary::rows(&page, args.name.as_deref(), None);
    let mut out = io::stdout().lock();
    for line in lines(&rows, false, Screen::now()) {
        writeln!(out, "{line}")?;
    }
    if rows.is_empty() {
        writeln!(io::stderr(), "osapi: {}", nothing(&page, &args))?;
    }
    Ok(())
}

fn nothing(page: &Page<'_>, args: &MetricsArgs) -> String {
    match &args.name {
        Some(name) if !page.families.is_empty() => {
            format!(
                "none of the {} families has {:?} in its name",
                page.families.len(),
                name
            )
        }
        _ => "the page is empty".to_owned(),
    }
}

async fn fetch(client: &Client, args: &MetricsArgs) -> Result<Fetched, Failure> {
    // Which has units, exemplars and native histograms.
    page::fetch(client, &args.url, Syntax::Protobuf, &args.read).await
}

fn parsed<'p>(fetched: &'p Fetched, url: &Url) -> Result<Page<'p>, Failure> {
    Page::parse(&fetched.bytes, fetched.syntax).map_err(|fault| {
        let fault = visible(&fault.to_string());
        Failure::Other(format!(
            "{}: the {} page is broken: {fault}; osapi check says more",
            client::shown(url),
            fetched.syntax
        ))
    })
}

/// Until the process is ended. The first scrape must succeed; later ones may fail meanwhile.
async fn watch(client: &Client, args: &MetricsArgs) -> Result<(), Failure> {
    let mut ticks = tokio::time::interval(args.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before: Option<(Instant, Totals)> = None;
    loop {
        ticks.tick().await;
        let now = Instant::now();
        let scraped = match fetch(client, args).await {
            Ok(fetched) => parsed(&fetched, &args.url).map(|page| {
                let since = before
                    .as_ref()
                    .map(|(then, totals)| (now.duration_since(*then), totals));
                let shown = shown(&page, args, since);
                (shown, Totals::of(&page))
            }),
            Err(failure) => Err(failure),
        };
        match scraped {
            Ok((shown, totals)) => {
                print(shown?, args.read.json)?;
                before = Some((now, totals));
            }
            Err(failure) if before.is_none() => return Err(failure),
            Err(failure) => {
                let why = failure.message().unwrap_or_default();
                writeln!(io::stderr(), "osapi: {why}; trying again")?;
            }
        }
    }
}

fn shown(
    page: &Page<'_>,
    args: &MetricsArgs,
    since: Option<(Duration, &Totals)>,
) -> Result<Vec<String>, Failure> {
    let name = args.name.as_deref();
    if args.read.json {
        let text = serde_json::to_string(&json::page(page, name)).map_err(io::Error::from)?;
        return Ok(vec![text]);
    }
    let screen = Screen::now();
    let rows = summary::rows(page, name, since);
    let mut lines = lines(&rows, true, screen);
    if let Some(height) = screen.height {
        // One line for the title, and one for what does not fit.
        let room = height.saturating_sub(2).max(1);
        if lines.len() > room {
            let hidden = lines.len() - room;
            lines.truncate(room);
            lines.push(format!("... {hidden} more; --name TEXT shows fewer"));
        }
    }
    lines.insert(
        0,
        format!(
            "{} every {}",
            client::shown(&args.url),
            humantime::format_duration(args.interval)
        ),
    );
    Ok(lines)
}

/// In place on a terminal, one after the other elsewhere.
fn print(lines: Vec<String>, json: bool) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let place = out.is_terminal() && !json;
    // Home; each line clears what stood on it, and the end all below.
    let (begin, after, end) = if place {
        ("\x1b[H", "\x1b[K", "\x1b[J")
    } else {
        ("", "", "")
    };
    let mut text = begin.to_owned();
    for line in lines {
        text += &line;
        text += after;
        text.push('\n');
    }
    text += end;
    if !place && !json {
        text.push('\n');
    }
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// The least that is worth showing of a help text.
const LEAST_HELP: usize = 16;

/// The table, no line of it wider than the screen.
fn lines(rows: &[Row], rates: bool, screen: Screen) -> Vec<String> {
    let table = |help: Option<usize>, screen: Screen| {
        let mut headings = vec!["NAME", "TYPE", "SERIES"];
        headings.extend(rates.then_some("RATE"));
        headings.push("VALUE");
        headings.extend(help.map(|_| "HELP"));
        let rows = rows.iter().map(|row| {
            let mut cells: Vec<table::Cell> = vec![
                row.name.as_str().into(),
                row.kind.to_string().into(),
                row.series.to_string().into(),
            ];
            cells.extend(rates.then(|| row.rate.as_str().into()));
            cells.push(row.value.as_str().into());
            cells.extend(help.map(|room| cut(&visible(&row.help), room).into()));
            cells
        });
        table::lines(&headings, rows.collect(), screen)
    };
    let Some(width) = screen.width else {
        return table(Some(usize::MAX), screen);
    };
    let bare = table(
        None,
        Screen {
            width: None,
            ..screen
        },
    );
    // Two blanks before the column.
    let room = width.saturating_sub(table::width(&bare) + 2);
    table((room >= LEAST_HELP).then_some(room), screen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_fit_the_screen() {
        let text = "# HELP a_total Something that is counted, described at some length.\n\
                    # TYPE a_total counter\na_total 3\n";
        let page = Page::parse(text.as_bytes(), Syntax::Text).unwrap();
        let rows = summary::rows(&page, None, None);
        for width in 1..120 {
            let screen = Screen {
                width: Some(width),
                height: None,
            };
            for line in lines(&rows, true, screen) {
                assert!(
                    console::measure_text_width(&line) <= width,
                    "{width}: {line}"
                );
            }
        }
        let all = lines(
            &rows,
            false,
            Screen {
                width: None,
                height: None,
            },
        );
        assert!(all[1].ends_with("at some length."), "{all:?}");
    }
}
