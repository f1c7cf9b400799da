use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use super::{Place, Syntax};

/// A page as it was read: families in the order of their first lines.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Page<'a> {
    /// The format it is written in.
    pub syntax: Syntax,
    /// The families, also those without samples.
    pub families: Vec<Family<'a>>,
    pub(super) labels: Vec<Label<'a>>,
    /// Families whose lines do not stand together, each with an offset where it goes on.
    pub(super) scattered: Vec<(usize, u32)>,
}

impl<'a> Page<'a> {
    pub(super) fn new(syntax: Syntax) -> Self {
        Self {
            syntax,
            families: Vec::new(),
            labels: Vec::new(),
            scattered: Vec::new(),
        }
    }

    /// The labels of a sample of this page, sorted by name; without `le` of buckets and `quantile`
    /// of summaries, which are its [`bound`](Sample::bound).
    #[must_use]
    pub fn labels(&self, sample: &Sample<'a>) -> &[Label<'a>] {
        self.range(&sample.labels)
    }

    /// The labels of an exemplar of this page, sorted by name.
    #[must_use]
    pub fn exemplar_labels(&self, exemplar: &Exemplar) -> &[Label<'a>] {
        self.range(&exemplar.labels)
    }

    pub(super) fn range(&self, range: &Range<u32>) -> &[Label<'a>] {
        &self.labels[range.start as usize..range.end as usize]
    }

    /// Tells where [offsets](Sample::offset) are, in the bytes that were parsed.
    #[must_use]
    pub fn places<'b>(&self, bytes: &'b [u8]) -> Places<'b> {
        Places {
            bytes,
            syntax: self.syntax,
            before: (0, 0),
        }
    }
}

/// Turns offsets into places; of ascending ones, each byte of the page is looked at once.
#[derive(Clone, Debug)]
pub struct Places<'b> {
    bytes: &'b [u8],
    syntax: Syntax,
    /// The start of a line, and how many lines are before it.
    before: (usize, usize),
}

impl Places<'_> {
    /// Where an offset is.
    pub fn at(&mut self, offset: u32) -> Place {
        let offset = (offset as usize).min(self.bytes.len());
        if self.syntax == Syntax::Protobuf {
            return Place::Byte(offset);
        }
        if offset < self.before.0 {
            self.before = (0, 0);
        }
        let (start, lines) = self.before;
        match Place::in_text(&self.bytes[start..offset]) {
            Place::Line { line, column } => {
                let between = &self.bytes[start..offset];
                let feed = between.iter().rposition(|byte| *byte == b'\n');
                let line = lines + line;
                self.before = (feed.map_or(start, |feed| start + feed + 1), line - 1);
                Place::Line { line, column }
            }
            place => place,
        }
    }
}

/// All samples of one name.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Family<'a> {
    /// The name: in OpenMetrics without `_total` and `_info`, else as on the lines.
    pub name: Cow<'a, str>,
    /// The type.
    pub kind: Type,
    /// Help, unescaped.
    pub help: Option<Cow<'a, str>>,
    /// The unit; text formats other than OpenMetrics have none.
    pub unit: Option<Cow<'a, str>>,
    /// The samples, in the page's order.
    pub samples: Vec<Sample<'a>>,
    /// Where it begins in the page, in bytes.
    pub offset: u32,
    /// Whether its type was given.
    pub typed: bool,
}

impl<'a> Family<'a> {
    pub(super) fn new(name: Cow<'a, str>, offset: usize) -> Self {
        Self {
            name,
            kind: Type::Unknown,
            help: None,
            unit: None,
            samples: Vec::new(),
            offset: place(offset),
            typed: false,
        }
    }
}

/// Offsets fit, because the page does.
pub(super) fn place(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}

/// The type of a family. Not every format has each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Type {
    /// A total that never goes down.
    Counter,
    /// A value that may go anywhere.
    Gauge,
    /// A distribution over buckets.
    Histogram,
    /// A distribution of what is now, not of what has been.
    GaugeHistogram,
    /// Quantiles computed by the program.
    Summary,
    /// Labels worth a metric of their own.
    Info,
    /// Booleans of which some are true.
    StateSet,
    /// Not said; `untyped` in the Prometheus formats.
    Unknown,
}

impl Type {
    /// The name of the type in OpenMetrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a sample's name has behind that of its family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Suffix {
    /// Nothing.
    None,
    /// `_total` of an OpenMetrics counter.
    Total,
    /// `_created`: when the series began, in seconds since 1970. Protobuf's start timestamps, too.
    Created,
    /// `_bucket`, cumulative.
    Bucket,
    /// `_count`
    Count,
    /// `_sum`
    Sum,
    /// `_gcount`
    GaugeCount,
    /// `_gsum`
    GaugeSum,
    /// `_info`
    Info,
}

impl Suffix {
    /// The suffix itself.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Total => "_total",
            Self::Created => "_created",
            Self::Bucket => "_bucket",
            Self::Count => "_count",
            Self::Sum => "_sum",
            Self::GaugeCount => "_gcount",
            Self::GaugeSum => "_gsum",
            Self::Info => "_info",
        }
    }
}

/// One number, or one native histogram.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Sample<'a> {
    /// What stands behind the family's name.
    pub suffix: Suffix,
    /// The upper bound of a bucket, or the quantile of a summary.
    pub bound: Option<f64>,
    /// The value.
    pub value: Value,
    /// When it was measured, in seconds since 1970, if the page says so.
    pub timestamp: Option<f64>,
    /// The exemplar; a native histogram has its own.
    pub exemplar: Option<Box<Exemplar>>,
    /// Where it begins in the page, in bytes.
    pub offset: u32,
    pub(super) labels: Range<u32>,
    pub(super) page: std::marker::PhantomData<&'a str>,
}

/// What a sample says.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// A number.
    Number(f64),
    /// A native histogram, in protobuf.
    Native(Box<NativeHistogram>),
}

impl Value {
    /// The number, if it is one.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(value) => Some(*value),
            Self::Native(_) => None,
        }
    }
}

/// A label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Label<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// Its value, unescaped.
    pub value: Cow<'a, str>,
}

/// One recording, with what was going on when it was made.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Exemplar {
    /// What was recorded.
    pub value: f64,
    /// When, in seconds since 1970.
    pub timestamp: Option<f64>,
    pub(super) labels: Range<u32>,
}

/// A histogram with exponential buckets.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NativeHistogram {
    /// Each power of two has 2^schema buckets.
    pub schema: i32,
    /// The largest absolute value in the zero bucket.
    pub zero_threshold: f64,
    /// How many are in the zero bucket.
    pub zero_count: f64,
    /// How many there are in all.
    pub count: f64,
    /// What they add up to.
    pub sum: f64,
    /// Buckets of positive values.
    pub positive: NativeBuckets,
    /// Buckets of negative values.
    pub negative: NativeBuckets,
    /// Its exemplars.
    pub exemplars: Vec<Exemplar>,
}

/// The buckets of one sign.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct NativeBuckets {
    /// Where the buckets are.
    pub spans: Vec<Span>,
    /// How many values each bucket holds, in the order of the spans; not cumulative.
    pub counts: Vec<f64>,
}

/// Consecutive buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Span {
    /// Of the first span the index of its first bucket, of others the gap to the one before.
    pub offset: i32,
    /// How many buckets.
    pub length: u32,
}
