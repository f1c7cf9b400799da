//! The Prometheus text formats 0.0.4 and 1.0.0, as their description and Prometheus' own parser
//! have them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::marker::PhantomData;

use super::cursor::{Cursor, number, quoted, shown};
use super::labels::{Braces, Dialect, braces, metric_name};
use super::page::place;
use super::{Family, Limits, Page, Rule, Sample, Stop, Suffix, Syntax, Type, Value};

pub(super) fn parse<'a>(
    cursor: Cursor<'a>,
    syntax: Syntax,
    limits: Limits,
) -> Result<Page<'a>, Stop> {
    let mut parser = Parser {
        cursor,
        dialect: Dialect {
            quoted: syntax == Syntax::TextUtf8,
            openmetrics: false,
        },
        limits,
        page: Page::new(syntax),
        samples: 0,
        index: HashMap::new(),
        current: None,
        scattered: Vec::new(),
    };
    loop {
        parser.cursor.skip_blanks();
        match parser.cursor.peek() {
            None => return Ok(parser.page),
            Some(b'\n') => parser.cursor.end_of_line()?,
            Some(b'#') => parser.comment()?,
            Some(_) => parser.sample()?,
        }
    }
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    dialect: Dialect,
    limits: Limits,
    page: Page<'a>,
    samples: usize,
    /// Families by name.
    index: HashMap<Cow<'a, str>, usize>,
    /// The family of the line before.
    current: Option<usize>,
    /// Per family, whether it is known to be scattered.
    scattered: Vec<bool>,
}

impl<'a> Parser<'a> {
    fn comment(&mut self) -> Result<(), Stop> {
        let begin = self.cursor.at();
        self.cursor.eat(b'#');
        self.cursor.skip_blanks();
        let keyword = self.cursor.token();
        if keyword != "HELP" && keyword != "TYPE" {
            self.cursor.line();
            return self.cursor.end_of_line();
        }
        self.cursor.skip_blanks();
        if matches!(self.cursor.peek(), None | Some(b'\n')) {
            let why =
                format!("# {keyword} is not followed by a metric name; add it or remove the line");
            return self.cursor.stop(Rule::Metadata, why);
        }
        let at = self.cursor.at();
        let name = metric_name(&mut self.cursor, self.dialect)?;
        if !matches!(self.cursor.peek(), None | Some(b' ' | b'\t' | b'\n')) {
            let found = shown(self.cursor.rest());
            let why = format!("the metric name goes on with {found}, which it cannot contain");
            return self.cursor.stop(Rule::MetricName, why);
        }
        self.not_a_part(&name, at)?;
        let family = self.family(name, begin);
        self.cursor.skip_blanks();
        match keyword {
            "HELP" => self.help(family, begin)?,
            _ => self.kind(family, begin)?,
        }
        self.cursor.end_of_line()
    }

    fn help(&mut self, family: usize, begin: usize) -> Result<(), Stop> {
        let help = self.cursor.help(false, false)?;
        let family = &mut self.page.families[family];
        if family.help.replace(help).is_some() {
            let why = format!(
                "there is a second HELP for {}; keep one",
                quoted(&family.name)
            );
            return Err(Stop::new(begin, Rule::Metadata, why));
        }
        Ok(())
    }

    fn kind(&mut self, family: usize, begin: usize) -> Result<(), Stop> {
        let at = self.cursor.at();
        let word = self.cursor.line();
        let family = &mut self.page.families[family];
        if family.typed || !family.samples.is_empty() {
            let name = quoted(&family.name);
            let why = if family.typed {
                format!("there is a second TYPE for {name}; keep one")
            } else {
                format!("TYPE comes after samples of {name}; move it before them")
            };
            return Err(Stop::new(begin, Rule::Metadata, why));
        }
        family.typed = true;
        family.kind = match word {
            "counter" => Type::Counter,
            "gauge" => Type::Gauge,
            "histogram" => Type::Histogram,
            "summary" => Type::Summary,
            "untyped" => Type::Unknown,
            _ => {
                let why = format!(
                    "{} is not a type; use counter, gauge, histogram, summary or untyped",
                    quoted(word)
                );
                return Err(Stop::new(at, Rule::Type, why));
            }
        };
        Ok(())
    }

    /// Refuses metadata for what are samples of a family seen before.
    fn not_a_part(&self, name: &str, at: usize) -> Result<(), Stop> {
        if self.index.contains_key(name) {
            return Ok(());
        }
        match self.whole(name) {
            None => Ok(()),
            Some((family, _)) => {
                let family = &self.page.families[family];
                let why = format!(
                    "{} is a sample of the {} {} above; rename one of them",
                    quoted(name),
                    family.kind,
                    quoted(&family.name)
                );
                Err(Stop::new(at, Rule::Clash, why))
            }
        }
    }

    /// The histogram or summary that samples of this name belong to.
    fn whole(&self, name: &str) -> Option<(usize, Suffix)> {
        [Suffix::Count, Suffix::Sum, Suffix::Bucket]
            .into_iter()
            .find_map(|suffix| {
                let base = name.strip_suffix(suffix.as_str())?;
                let family = *self.index.get(base)?;
                let belongs = match self.page.families[family].kind {
                    Type::Histogram => true,
                    Type::Summary => suffix != Suffix::Bucket,
                    _ => false,
                };
                belongs.then_some((family, suffix))
            })
    }

    /// The family of this name, made if need be.
    fn family(&mut self, name: Cow<'a, str>, begin: usize) -> usize {
        let family = match self.index.get(&name) {
            Some(family) => *family,
            None => {
                let family = self.page.families.len();
                self.index.insert(name.clone(), family);
                self.page.families.push(Family::new(name, begin));
                self.scattered.push(false);
                self.current = Some(family);
                family
            }
        };
        self.enter(family, begin);
        family
    }

    fn enter(&mut self, family: usize, begin: usize) {
        if self.current != Some(family) && !std::mem::replace(&mut self.scattered[family], true) {
            self.page.scattered.push((family, place(begin)));
        }
        self.current = Some(family);
    }

    fn sample_family(&mut self, name: Cow<'a, str>, begin: usize) -> (usize, Suffix) {
        if let Some(current) = self.current
            && self.page.families[current].name == name
        {
            return (current, Suffix::None);
        }
        if !self.index.contains_key(&name)
            && let Some((family, suffix)) = self.whole(&name)
        {
            self.enter(family, begin);
            return (family, suffix);
        }
        (self.family(name, begin), Suffix::None)
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
        let start = self.page.labels.len();
        let outer = match self.cursor.peek() {
            Some(b'{') if self.dialect.quoted => None,
            // Only inside of braces can names be quoted.
            Some(b'"') => Some(metric_name(
                &mut self.cursor,
                Dialect {
                    quoted: false,
                    ..self.dialect
                },
            )?),
            _ => Some(metric_name(&mut self.cursor, self.dialect)?),
        };
        self.cursor.skip_blanks();
        let mut labels = Braces {
            name: None,
            labels: place(start)..place(start),
        };
        if self.cursor.peek() == Some(b'{') {
            let all = &mut self.page.labels;
            labels = braces(&mut self.cursor, self.dialect, self.limits, all)?;
        }
        let name = match (outer, labels.name.take()) {
            (Some(name), None) | (None, Some(name)) => name,
            (None, None) => {
                let why = "there is no metric name; write it before the braces, or quoted inside";
                return Err(Stop::new(begin, Rule::MetricName, why));
            }
            (Some(_), Some(_)) => {
                let why = "there are two metric names, before the braces and inside; keep one";
                return Err(Stop::new(begin, Rule::MetricName, why));
            }
        };
        let (family, suffix) = self.sample_family(name, begin);
        let bound = self.bound(family, suffix, begin, &mut labels)?;
        let (value, timestamp) = self.value()?;
        self.cursor.end_of_line()?;
        self.page.families[family].samples.push(Sample {
            suffix,
            bound,
            value: Value::Number(value),
            timestamp,
            exemplar: None,
            offset: place(begin),
            labels: labels.labels,
            page: PhantomData,
        });
        Ok(())
    }

    /// Takes `le` of a bucket and `quantile` of a summary out of the labels.
    fn bound(
        &mut self,
        family: usize,
        suffix: Suffix,
        begin: usize,
        labels: &mut Braces<'a>,
    ) -> Result<Option<f64>, Stop> {
        let name = match (self.page.families[family].kind, suffix) {
            (Type::Histogram, Suffix::Bucket) => "le",
            (Type::Summary, Suffix::None) => "quantile",
            _ => return Ok(None),
        };
        take_bound(&mut self.page.labels, &mut labels.labels, name, begin)
    }

    fn value(&mut self) -> Result<(f64, Option<f64>), Stop> {
        self.cursor.skip_blanks();
        let at = self.cursor.at();
        let token = self.cursor.token();
        let Some(value) = number(token) else {
            return Err(not_a_number(at, token));
        };
        self.cursor.skip_blanks();
        if matches!(self.cursor.peek(), None | Some(b'\n')) {
            return Ok((value, None));
        }
        let at = self.cursor.at();
        let token = self.cursor.token();
        let Ok(milliseconds) = token.parse::<i64>() else {
            let why = format!(
                "{} is not a timestamp; write whole milliseconds since 1970, or leave it out",
                quoted(token)
            );
            return Err(Stop::new(at, Rule::Timestamp, why));
        };
        self.cursor.skip_blanks();
        Ok((value, Some(milliseconds as f64 / 1e3)))
    }
}

/// Takes the label that is a sample's bound out of its labels, which are the last of all.
pub(super) fn take_bound(
    all: &mut Vec<super::Label<'_>>,
    own: &mut std::ops::Range<u32>,
    name: &str,
    begin: usize,
) -> Result<Option<f64>, Stop> {
    let found = all[own.start as usize..].binary_search_by(|label| (*label.name).cmp(name));
    let Ok(found) = found else {
        return Ok(None);
    };
    let label = all.remove(own.start as usize + found);
    own.end -= 1;
    match number(&label.value) {
        Some(bound) => Ok(Some(bound)),
        None => {
            let value = quoted(&label.value);
            let why = format!("{name}={value} is not a number; {name} has to be one");
            Err(Stop::new(begin, Rule::Bound, why))
        }
    }
}

pub(super) fn not_a_number(at: usize, token: &str) -> Stop {
    let why = if token.is_empty() {
        "there is no value; write a number here".to_owned()
    } else {
        let token = quoted(token);
        format!("{token} is not a value; write a 64-bit number, NaN, +Inf or -Inf")
    };
    Stop::new(at, Rule::Number, why)
}
