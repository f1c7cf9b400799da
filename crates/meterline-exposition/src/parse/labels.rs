use std::borrow::Cow;
use std::ops::Range;

use super::cursor::{Cursor, quoted, shown};
use super::page::place;
use super::{Label, Limits, Rule, Stop};

/// What formats write differently around labels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialect {
    /// Names may be quoted.
    pub(super) quoted: bool,
    /// OpenMetrics: no blanks, no comma at the end, reserved names, lenient escapes.
    pub(super) openmetrics: bool,
}

/// Labels in braces.
pub(super) struct Braces<'a> {
    /// A metric name among them.
    pub(super) name: Option<Cow<'a, str>>,
    /// The labels, sorted.
    pub(super) labels: Range<u32>,
}

/// A metric name, with or without quotes.
pub(super) fn metric_name<'a>(
    cursor: &mut Cursor<'a>,
    dialect: Dialect,
) -> Result<Cow<'a, str>, Stop> {
    let at = cursor.at();
    if cursor.peek() == Some(b'"') {
        if !dialect.quoted {
            return cursor.stop(
                Rule::MetricName,
                "names cannot be quoted in text 0.0.4; use legal characters, or serve version=1.0.0",
            );
        }
        let name = cursor.quoted(dialect.openmetrics)?;
        if name.is_empty() {
            return Err(Stop::new(
                at,
                Rule::MetricName,
                "the metric name is empty; give it one",
            ));
        }
        return Ok(name);
    }
    let name = cursor.metric_name();
    if name.is_empty() {
        let found = shown(cursor.rest());
        return cursor.stop(
            Rule::MetricName,
            format!("expected a metric name ([a-zA-Z_:][a-zA-Z0-9_:]*), found {found}"),
        );
    }
    Ok(Cow::Borrowed(name))
}

/// Reads from the opening brace to behind the closing one.
pub(super) fn braces<'a>(
    cursor: &mut Cursor<'a>,
    dialect: Dialect,
    limits: Limits,
    all: &mut Vec<Label<'a>>,
) -> Result<Braces<'a>, Stop> {
    let opened = cursor.at();
    cursor.eat(b'{');
    let start = all.len();
    let mut name = None;
    let mut first = true;
    loop {
        blanks(cursor, dialect);
        // Behind a comma the text formats may close; OpenMetrics may close an empty set only.
        if cursor.peek() == Some(b'}') && (first || !dialect.openmetrics) {
            break;
        }
        first = false;
        term(cursor, dialect, &mut name, all)?;
        if all.len() > limits.labels {
            let why = format!(
                "there are more than {} labels; raise the limit",
                limits.labels
            );
            return cursor.stop(Rule::Limit, why);
        }
        blanks(cursor, dialect);
        match cursor.peek() {
            Some(b'}') => break,
            Some(b',') => cursor.eat(b','),
            None => return cut_off(cursor),
            _ => {
                let found = shown(cursor.rest());
                let why =
                    format!("expected a comma or a closing brace after the label, found {found}");
                return cursor.stop(Rule::Labels, why);
            }
        };
    }
    cursor.eat(b'}');
    let own = &mut all[start..];
    own.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    if let Some(pair) = own.windows(2).find(|pair| pair[0].name == pair[1].name) {
        let why = format!("label {} stands twice; remove one", quoted(&pair[0].name));
        return Err(Stop::new(opened, Rule::LabelTwice, why));
    }
    Ok(Braces {
        name,
        labels: place(start)..place(all.len()),
    })
}

fn blanks(cursor: &mut Cursor<'_>, dialect: Dialect) {
    if !dialect.openmetrics {
        cursor.skip_blanks();
    }
}

fn cut_off<T>(cursor: &Cursor<'_>) -> Result<T, Stop> {
    cursor.stop(Rule::LineEnd, "the page ends within labels; is it cut off?")
}

/// One label, or the metric's name in quotes.
fn term<'a>(
    cursor: &mut Cursor<'a>,
    dialect: Dialect,
    name: &mut Option<Cow<'a, str>>,
    all: &mut Vec<Label<'a>>,
) -> Result<(), Stop> {
    let at = cursor.at();
    let is_quoted = cursor.peek() == Some(b'"');
    let label = if is_quoted && dialect.quoted {
        cursor.quoted(dialect.openmetrics)?
    } else {
        Cow::Borrowed(cursor.label_name())
    };
    blanks(cursor, dialect);
    if is_quoted && dialect.quoted && cursor.peek() != Some(b'=') {
        if name.is_some() || label.is_empty() {
            let why = "there is more than one metric name here, or an empty one; keep one";
            return Err(Stop::new(at, Rule::MetricName, why));
        }
        *name = Some(label);
        return Ok(());
    }
    if cursor.is_end() {
        return cut_off(cursor);
    }
    check_name(cursor, at, dialect, &label)?;
    if !cursor.eat(b'=') {
        let found = shown(cursor.rest());
        return cursor.stop(
            Rule::Labels,
            format!("expected = after label {}, found {found}", quoted(&label)),
        );
    }
    blanks(cursor, dialect);
    let value = cursor.quoted(dialect.openmetrics)?;
    all.push(Label { name: label, value });
    Ok(())
}

fn check_name(cursor: &Cursor<'_>, at: usize, dialect: Dialect, label: &str) -> Result<(), Stop> {
    if label.is_empty() {
        let found = shown(cursor.rest());
        let why = match cursor.peek() {
            Some(b'"') => "label names cannot be quoted in text 0.0.4; use legal characters, or serve version=1.0.0".to_owned(),
            _ => format!("expected a label name ([a-zA-Z_][a-zA-Z0-9_]*), found {found}"),
        };
        return Err(Stop::new(at, Rule::LabelName, why));
    }
    let reserved = label == "__name__" || (dialect.openmetrics && label.starts_with("__"));
    if reserved {
        let label = quoted(label);
        let why = format!("label {label} is reserved; rename it so that it does not begin with __");
        return Err(Stop::new(at, Rule::LabelName, why));
    }
    Ok(())
}
