//! OpenMetrics text, versions 0.0.1 and 1.0.0: the grammar of the specification, and those of its
//! other rules that one can see in a page.

mod family;
mod point;

use std::collections::HashSet;
use std::iter;

use super::cursor::{Cursor, number, quoted, shown};
use super::labels::{Dialect, braces, metric_name};
use super::page::place;
use super::text::not_a_number;
use super::{Exemplar, Limits, Page, Rule, Stop, Suffix, Syntax, Type};

use family::{Current, Line, suffixes};

const DIALECT: Dialect = Dialect {
    quoted: true,
    openmetrics: true,
};

/// Code points of an exemplar's label names and values together.
const EXEMPLAR_LENGTH: usize = 128;

pub(super) fn parse(cursor: Cursor<'_>, limits: Limits) -> Result<Page<'_>, Stop> {
    let mut parser = Parser {
        cursor,
        limits,
        page: Page::new(Syntax::OpenMetrics),
        samples: 0,
        current: None,
        names: HashSet::new(),
    };
    loop {
        match parser.cursor.peek() {
            None => {
                let why = "the page does not end with # EOF; add that line (is the page cut off?)";
                return parser.cursor.stop(Rule::Eof, why);
            }
            Some(b'\n') => {
                let why = "there is an empty line; OpenMetrics has none, remove it";
                return parser.cursor.stop(Rule::Line, why);
            }
            Some(b'#') => {
                if parser.eof()? {
                    parser.close()?;
                    return Ok(parser.page);
                }
                parser.metadata()?;
            }
            Some(_) => parser.sample()?,
        }
    }
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    limits: Limits,
    page: Page<'a>,
    samples: usize,
    /// What is known of the last family.
    current: Option<Current>,
    /// The names of families, and those their samples may have.
    names: HashSet<String>,
}

impl<'a> Parser<'a> {
    fn eof(&mut self) -> Result<bool, Stop> {
        let Some(after) = self.cursor.rest().strip_prefix("# EOF") else {
            return Ok(false);
        };
        match after {
            "" | "\n" => Ok(true),
            _ if after.starts_with('\n') => {
                let at = self.cursor.at() + "# EOF\n".len();
                let why = "there is more after # EOF; end the page there";
                Err(Stop::new(at, Rule::Eof, why))
            }
            _ => Ok(false),
        }
    }

    fn metadata(&mut self) -> Result<(), Stop> {
        let begin = self.cursor.at();
        self.cursor.eat(b'#');
        let spaced = self.cursor.eat(b' ');
        let keyword = self.cursor.token();
        if !spaced || !matches!(keyword, "HELP" | "TYPE" | "UNIT") {
            let why = "a line beginning with # is # HELP, # TYPE, # UNIT or # EOF; OpenMetrics has no comments, remove it";
            return Err(Stop::new(begin, Rule::Line, why));
        }
        self.one_space(keyword)?;
        let name = metric_name(&mut self.cursor, DIALECT)?;
        self.one_space("the metric name")?;
        let current = self
            .current
            .as_ref()
            .and_then(|_| self.page.families.last());
        if current.is_none_or(|family| family.name != name) {
            self.close()?;
            self.open(name, begin);
        }
        let at = self.cursor.at();
        let help = if keyword == "HELP" {
            Some(self.cursor.help(true, true)?)
        } else {
            None
        };
        let word = self.cursor.line();
        if let (Some(current), Some(family)) = (&mut self.current, self.page.families.last_mut()) {
            let line = Line { begin, at, keyword };
            current.describe(family, line, help, word)?;
        }
        self.cursor.end_of_line()
    }

    fn one_space(&mut self, after: &str) -> Result<(), Stop> {
        if self.cursor.eat(b' ') {
            return Ok(());
        }
        let found = shown(self.cursor.rest());
        let why = format!("expected one space after {after}, found {found}");
        self.cursor.stop(Rule::Line, why)
    }

    fn open(&mut self, name: std::borrow::Cow<'a, str>, begin: usize) {
        self.page.families.push(super::Family::new(name, begin));
        self.current = Some(Current::default());
    }

    /// Checks what can be said of a family once it is complete.
    fn close(&mut self) -> Result<(), Stop> {
        let (Some(current), Some(family)) = (self.current.take(), self.page.families.last()) else {
            return Ok(());
        };
        current.finish(family)?;
        let begin = family.offset as usize;
        let others = suffixes(family.kind).iter().copied();
        let others = others.filter(|suffix| *suffix != Suffix::None);
        for suffix in iter::once(Suffix::None).chain(others) {
            let name = format!("{}{}", family.name, suffix.as_str());
            let shown = quoted(&name);
            if !self.names.insert(name) {
                let why = format!(
                    "another family above is or has {shown}; rename one, or move the lines of one family together"
                );
                return Err(Stop::new(begin, Rule::Clash, why));
            }
        }
        Ok(())
    }

    fn sample(&mut self) -> Result<(), Stop> {
        let begin = self.cursor.at();
        if self.samples == self.limits.samples {
            let why = format!(
                "there are more than {} samples; raise the limit",
                self.samples
            );
            return self.cursor.stop(Rule::Limit, why);
        }
        self.samples += 1;
        let outer = match self.cursor.peek() {
            Some(b'{') => None,
            _ => Some(metric_name(
                &mut self.cursor,
                Dialect {
                    quoted: false,
                    ..DIALECT
                },
            )?),
        };
        let start = place(self.page.labels.len());
        let mut labels = start..start;
        let mut inner = None;
        if self.cursor.peek() == Some(b'{') {
            let read = braces(
                &mut self.cursor,
                DIALECT,
                self.limits,
                &mut self.page.labels,
            )?;
            (inner, labels) = (read.name, read.labels);
        }
        let ((Some(name), None) | (None, Some(name))) = (outer, inner) else {
            let why = "a sample has one metric name, before the braces, or quoted inside";
            return Err(Stop::new(begin, Rule::MetricName, why));
        };
        let suffix = match self.suffix(&name) {
            Some(suffix) => suffix,
            None => {
                self.close()?;
                self.open(name, begin);
                Suffix::None
            }
        };
        let Some(family) = self.page.families.last_mut() else {
            return Ok(());
        };
        let bound = family::bound(family, suffix, begin, &mut self.page.labels, &mut labels)?;
        self.one_space("the name and labels")?;
        let value = self.value()?;
        let (timestamp, exemplar) = self.after_value()?;
        self.cursor.end_of_line()?;
        let sample = super::Sample {
            suffix,
            bound,
            value: super::Value::Number(value),
            timestamp,
            exemplar,
            offset: place(begin),
            labels,
            page: std::marker::PhantomData,
        };
        if let (Some(current), Some(family)) = (&mut self.current, self.page.families.last_mut()) {
            family.samples.push(sample);
            current.add(family, &self.page.labels)?;
        }
        Ok(())
    }

    /// What a name adds to that of the current family, if it may.
    fn suffix(&self, name: &str) -> Option<Suffix> {
        self.current.as_ref()?;
        let family = self.page.families.last()?;
        let rest = name.strip_prefix(&*family.name)?;
        let allowed = suffixes(family.kind).iter().copied();
        allowed.into_iter().find(|suffix| suffix.as_str() == rest)
    }

    fn value(&mut self) -> Result<f64, Stop> {
        let at = self.cursor.at();
        let token = self.cursor.token();
        number(token).ok_or_else(|| not_a_number(at, token))
    }

    fn timestamp(&mut self) -> Result<f64, Stop> {
        let at = self.cursor.at();
        let token = self.cursor.token();
        match number(token) {
            Some(time) if time.is_finite() => Ok(time),
            _ => {
                let token = quoted(token);
                let why = format!("{token} is not a timestamp; write seconds since 1970");
                Err(Stop::new(at, Rule::Timestamp, why))
            }
        }
    }

    fn after_value(&mut self) -> Result<(Option<f64>, Option<Box<Exemplar>>), Stop> {
        let mut timestamp = None;
        if matches!(self.cursor.peek(), None | Some(b'\n' | b'\r')) {
            return Ok((None, None));
        }
        self.one_space("the value")?;
        if self.cursor.peek() != Some(b'#') {
            timestamp = Some(self.timestamp()?);
            if !self.cursor.eat(b' ') {
                return Ok((timestamp, None));
            }
        }
        self.exemplar().map(|exemplar| (timestamp, Some(exemplar)))
    }

    fn exemplar(&mut self) -> Result<Box<Exemplar>, Stop> {
        let begin = self.cursor.at();
        if !self.cursor.eat(b'#') {
            let found = shown(self.cursor.rest());
            let why = format!("expected the end of the line or # and an exemplar, found {found}");
            return self.cursor.stop(Rule::Line, why);
        }
        self.one_space("#")?;
        if self.cursor.peek() != Some(b'{') {
            let why = "an exemplar begins with its labels in braces, which may be empty";
            return self.cursor.stop(Rule::Exemplar, why);
        }
        let read = braces(
            &mut self.cursor,
            DIALECT,
            self.limits,
            &mut self.page.labels,
        )?;
        if read.name.is_some() {
            let why = "an exemplar has labels only; remove the metric name";
            return Err(Stop::new(begin, Rule::Exemplar, why));
        }
        let labels = read.labels;
        let own = self.page.range(&labels).iter();
        let length: usize = own
            .map(|label| label.name.chars().count() + label.value.chars().count())
            .sum();
        if length > EXEMPLAR_LENGTH {
            let why = format!(
                "the labels of the exemplar have {length} characters; shorten them to {EXEMPLAR_LENGTH}"
            );
            return Err(Stop::new(begin, Rule::Exemplar, why));
        }
        self.one_space("the labels of the exemplar")?;
        let value = self.value()?;
        let timestamp = if self.cursor.eat(b' ') {
            Some(self.timestamp()?)
        } else {
            None
        };
        Ok(Box::new(Exemplar {
            value,
            timestamp,
            labels,
        }))
    }
}

/// Whether samples of a type with this suffix may carry exemplars.
fn takes_exemplars(kind: Type, suffix: Suffix) -> bool {
    match kind {
        Type::Counter => suffix == Suffix::Total,
        Type::Histogram | Type::GaugeHistogram => suffix == Suffix::Bucket,
        _ => false,
    }
}
