//! Delimited protobuf messages `io.prometheus.client.MetricFamily`.
//!
//! Field numbers are those of the public schema `io/prometheus/client/metrics.proto`. Fields it does
//! not have are skipped, as protobuf asks.

mod histogram;
mod wire;

use std::borrow::Cow;
use std::marker::PhantomData;
use std::ops::Range;

use super::cursor::quoted;
use super::page::place;
use super::{
    Exemplar, Family, Label, Limits, Page, Rule, Sample, Stop, Suffix, Syntax, Type, Value,
};
use wire::{Field, Message};

/// How many times the page's limit all samples' labels may take, if they were not shared.
const SHARING: usize = 16;

pub(super) fn parse(page: &[u8], limits: Limits) -> Result<Page<'_>, Stop> {
    let mut parser = Parser {
        limits,
        page: Page::new(Syntax::Protobuf),
        numbers: 0,
        width: 0,
        label_bytes: 0,
    };
    let mut stream = Message::new(page);
    while !stream.is_end() {
        let begin = stream.at();
        let message = stream.delimited()?;
        parser.family(message, begin)?;
    }
    Ok(parser.page)
}

struct Parser<'a> {
    limits: Limits,
    page: Page<'a>,
    /// Samples and native buckets so far.
    numbers: usize,
    /// Bytes of the labels of the metric that is being read.
    width: usize,
    /// Bytes of labels so far, once for each sample that has them. Samples of one metric share its
    /// labels, and whoever looks at each sample's labels shall not be at it forever.
    label_bytes: usize,
}

/// What all samples of one metric share.
#[derive(Clone)]
struct Common {
    labels: Range<u32>,
    timestamp: Option<f64>,
    offset: u32,
}

impl Common {
    fn sample<'a>(&self, suffix: Suffix, value: f64) -> Sample<'a> {
        Sample {
            suffix,
            bound: None,
            value: Value::Number(value),
            timestamp: self.timestamp,
            exemplar: None,
            offset: self.offset,
            labels: self.labels.clone(),
            page: PhantomData,
        }
    }
}

impl<'a> Parser<'a> {
    fn family(&mut self, mut message: Message<'a>, begin: usize) -> Result<(), Stop> {
        let mut family = Family::new(Cow::Borrowed(""), begin);
        family.kind = Type::Counter;
        let mut metrics = Vec::new();
        while let Some(field) = message.field()? {
            match field.number {
                1 => family.name = Cow::Borrowed(field.text()?),
                2 => family.help = Some(Cow::Borrowed(field.text()?)),
                3 => {
                    family.kind = kind(&field)?;
                    family.typed = family.kind != Type::Unknown;
                }
                4 => {
                    self.width = 0;
                    self.spend(1, field.at)?;
                    metrics.push(field.message()?);
                }
                5 => {
                    let unit = field.text()?;
                    family.unit = (!unit.is_empty()).then_some(Cow::Borrowed(unit));
                }
                _ => {}
            }
        }
        if family.name.is_empty() {
            let why = "the family has no name (field 1); give it one";
            return Err(Stop::new(begin, Rule::MetricName, why));
        }
        for metric in metrics {
            self.metric(&mut family, metric)?;
        }
        self.page.families.push(family);
        Ok(())
    }

    /// Counts what takes memory.
    fn spend(&mut self, numbers: usize, at: usize) -> Result<(), Stop> {
        self.numbers += numbers;
        self.label_bytes = self.label_bytes.saturating_add(numbers * self.width);
        if self.label_bytes / SHARING > self.limits.bytes {
            let why = "there are too many buckets with long labels; raise the limit";
            return Err(Stop::new(at, Rule::Limit, why));
        }
        if self.numbers > self.limits.samples {
            let why = format!(
                "there are more than {} samples and buckets; raise the limit",
                self.limits.samples
            );
            return Err(Stop::new(at, Rule::Limit, why));
        }
        Ok(())
    }

    fn metric(&mut self, family: &mut Family<'a>, mut message: Message<'a>) -> Result<(), Stop> {
        let begin = message.at();
        let start = self.page.labels.len();
        let mut timestamp = None;
        let mut data = None;
        let wanted = match family.kind {
            Type::Gauge => 2,
            Type::Counter => 3,
            Type::Summary => 4,
            Type::Unknown => 5,
            _ => 7,
        };
        while let Some(field) = message.field()? {
            match field.number {
                1 => self.label(&field)?,
                6 => timestamp = Some(field.int64()? as f64 / 1e3),
                number if number == wanted => {
                    let before = data.replace(field.message()?);
                    if before.is_some() {
                        let why = "the metric has two values; give it one";
                        return Err(Stop::new(field.at, Rule::Wire, why));
                    }
                }
                2..=5 | 7 => {
                    let why = format!(
                        "the metric has a value in field {}, but the family {} is of type {} (field {wanted})",
                        field.number,
                        quoted(&family.name),
                        family.kind
                    );
                    return Err(Stop::new(field.at, Rule::Type, why));
                }
                _ => {}
            }
        }
        let common = Common {
            labels: self.sorted(start, begin)?,
            timestamp,
            offset: place(begin),
        };
        let own = self.page.range(&common.labels).iter();
        self.width = own
            .map(|label| 8 + label.name.len() + label.value.len())
            .sum();
        let Some(data) = data else {
            let why = format!(
                "a metric of the {} {} has no value (field {wanted})",
                family.kind,
                quoted(&family.name)
            );
            return Err(Stop::new(begin, Rule::Wire, why));
        };
        match family.kind {
            Type::Counter => self.counter(family, &common, data),
            Type::Summary => self.summary(family, &common, data),
            Type::Gauge | Type::Unknown => {
                family
                    .samples
                    .push(common.sample(Suffix::None, gauge(data)?));
                Ok(())
            }
            _ => self.histogram(family, &common, data),
        }
    }

    fn label(&mut self, field: &Field<'a>) -> Result<(), Stop> {
        let mut message = field.message()?;
        let (mut name, mut value) = ("", "");
        while let Some(field) = message.field()? {
            match field.number {
                1 => name = field.text()?,
                2 => value = field.text()?,
                _ => {}
            }
        }
        if name.is_empty() || name == "__name__" {
            let name = quoted(name);
            let why = format!("{name} cannot be the name of a label; rename it");
            return Err(Stop::new(field.at, Rule::LabelName, why));
        }
        if self.page.labels.len() == self.limits.labels {
            let why = format!(
                "there are more than {} labels; raise the limit",
                self.limits.labels
            );
            return Err(Stop::new(field.at, Rule::Limit, why));
        }
        self.page.labels.push(Label {
            name: Cow::Borrowed(name),
            value: Cow::Borrowed(value),
        });
        Ok(())
    }

    fn sorted(&mut self, start: usize, begin: usize) -> Result<Range<u32>, Stop> {
        let own = &mut self.page.labels[start..];
        own.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        if let Some(pair) = own.windows(2).find(|pair| pair[0].name == pair[1].name) {
            let why = format!("label {} stands twice; remove one", quoted(&pair[0].name));
            return Err(Stop::new(begin, Rule::LabelTwice, why));
        }
        Ok(place(start)..place(self.page.labels.len()))
    }

    fn counter(
        &mut self,
        family: &mut Family<'a>,
        common: &Common,
        mut message: Message<'a>,
    ) -> Result<(), Stop> {
        let mut sample = common.sample(Suffix::None, 0.0);
        let mut created = None;
        while let Some(field) = message.field()? {
            match field.number {
                1 => sample.value = Value::Number(field.double()?),
                2 => sample.exemplar = Some(Box::new(self.exemplar(&field)?)),
                3 => created = Some(timestamp(&field)?),
                _ => {}
            }
        }
        family.samples.push(sample);
        self.created(family, common, created)
    }

    fn created(
        &mut self,
        family: &mut Family<'a>,
        common: &Common,
        created: Option<f64>,
    ) -> Result<(), Stop> {
        if let Some(created) = created {
            self.spend(1, common.offset as usize)?;
            family.samples.push(common.sample(Suffix::Created, created));
        }
        Ok(())
    }

    fn summary(
        &mut self,
        family: &mut Family<'a>,
        common: &Common,
        mut message: Message<'a>,
    ) -> Result<(), Stop> {
        let (mut count, mut sum, mut created) = (0, 0.0, None);
        while let Some(field) = message.field()? {
            match field.number {
                1 => count = field.uint64()?,
                2 => sum = field.double()?,
                3 => {
                    self.spend(1, field.at)?;
                    let mut quantile = field.message()?;
                    let mut sample = common.sample(Suffix::None, 0.0);
                    sample.offset = place(field.at);
                    sample.bound = Some(0.0);
                    while let Some(field) = quantile.field()? {
                        match field.number {
                            1 => sample.bound = Some(field.double()?),
                            2 => sample.value = Value::Number(field.double()?),
                            _ => {}
                        }
                    }
                    family.samples.push(sample);
                }
                4 => created = Some(timestamp(&field)?),
                _ => {}
            }
        }
        self.spend(2, common.offset as usize)?;
        family.samples.push(common.sample(Suffix::Sum, sum));
        family
            .samples
            .push(common.sample(Suffix::Count, count as f64));
        self.created(family, common, created)
    }

    fn exemplar(&mut self, field: &Field<'a>) -> Result<Exemplar, Stop> {
        let mut message = field.message()?;
        let begin = message.at();
        let start = self.page.labels.len();
        let (mut value, mut time) = (0.0, None);
        while let Some(field) = message.field()? {
            match field.number {
                1 => self.label(&field)?,
                2 => value = field.double()?,
                3 => time = Some(timestamp(&field)?),
                _ => {}
            }
        }
        Ok(Exemplar {
            value,
            timestamp: time,
            labels: self.sorted(start, begin)?,
        })
    }
}

fn kind(field: &Field<'_>) -> Result<Type, Stop> {
    Ok(match field.varint()? {
        0 => Type::Counter,
        1 => Type::Gauge,
        2 => Type::Summary,
        3 => Type::Unknown,
        4 => Type::Histogram,
        5 => Type::GaugeHistogram,
        unknown => {
            let why = format!("{unknown} is not a type; types are 0 to 5");
            return Err(Stop::new(field.at, Rule::Type, why));
        }
    })
}

/// The value of a gauge or of an untyped metric.
fn gauge(mut message: Message<'_>) -> Result<f64, Stop> {
    let mut value = 0.0;
    while let Some(field) = message.field()? {
        if field.number == 1 {
            value = field.double()?;
        }
    }
    Ok(value)
}

/// A `google.protobuf.Timestamp`, in seconds.
fn timestamp(field: &Field<'_>) -> Result<f64, Stop> {
    let mut message = field.message()?;
    let (mut seconds, mut nanos) = (0, 0);
    while let Some(field) = message.field()? {
        match field.number {
            1 => seconds = field.int64()?,
            2 => nanos = field.int64()?,
            _ => {}
        }
    }
    if !(0..1_000_000_000).contains(&nanos) {
        let why = format!("a timestamp has {nanos} nanoseconds; 0 to 999999999 are allowed");
        return Err(Stop::new(field.at, Rule::Timestamp, why));
    }
    Ok(seconds as f64 + nanos as f64 / 1e9)
}
