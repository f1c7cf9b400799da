use std::fmt;

use super::Syntax;

/// The first thing that is wrong with a page.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// Which rule of the format is broken.
    pub rule: Rule,
    /// What is wrong, and what to do.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl std::error::Error for Fault {}

/// A place in a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In text: both from 1; columns count characters.
    Line {
        /// The line.
        line: usize,
        /// The character in it.
        column: usize,
    },
    /// In protobuf: the offset, from 0.
    Byte(usize),
}

impl Place {
    pub(super) fn of(page: &[u8], at: usize, syntax: Syntax) -> Self {
        if syntax == Syntax::Protobuf {
            return Self::Byte(at);
        }
        Self::in_text(&page[..at.min(page.len())])
    }

    /// The place behind all of this.
    pub(super) fn in_text(before: &[u8]) -> Self {
        let lines = before.iter().filter(|byte| **byte == b'\n').count();
        let start = before.iter().rposition(|byte| *byte == b'\n');
        let start = start.map_or(0, |feed| feed + 1);
        // Every character has one byte that does not continue another.
        let column = before[start..].iter().filter(|byte| **byte & 0xc0 != 0x80);
        Self::Line {
            line: lines + 1,
            column: column.count() + 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { line, column } => write!(f, "line {line}, column {column}"),
            Self::Byte(at) => write!(f, "byte {at}"),
        }
    }
}

/// A fault before its offset has become a place.
#[derive(Debug)]
pub(super) struct Stop {
    pub(super) at: usize,
    rule: Rule,
    message: String,
}

impl Stop {
    pub(super) fn new(at: usize, rule: Rule, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { at, rule, message }
    }

    pub(super) fn in_page(self, page: &[u8], syntax: Syntax) -> Fault {
        Fault {
            place: Place::of(page, self.at, syntax),
            rule: self.rule,
            message: self.message,
        }
    }
}

macro_rules! rules {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A rule of a format that a page can break.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Rule {
            $($(#[$doc])* $variant,)*
        }

        impl Rule {
            /// Its name, for programs.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

rules! {
    /// The page is UTF-8.
    Encoding = "encoding",
    /// Every line ends with a line feed.
    LineEnd = "line-end",
    /// Nothing but what the grammar names stands on a line.
    Line = "line",
    /// Metadata lines have their parts, once each, before the samples.
    Metadata = "metadata",
    /// The type is one that the format has.
    Type = "type",
    /// The unit fits the name and the type.
    Unit = "unit",
    /// Metric names have legal characters, or quotes where the format has them.
    MetricName = "metric-name",
    /// Label names have legal characters, and none is reserved.
    LabelName = "label-name",
    /// Labels are `name="value"`, with commas between.
    Labels = "labels",
    /// No label stands twice on a sample.
    LabelTwice = "label-twice",
    /// A backslash stands before what may be escaped.
    Escape = "escape",
    /// A value is a number of 64 bits.
    Number = "number",
    /// A timestamp is a number and does not go back.
    Timestamp = "timestamp",
    /// The value is one that samples of the type can have.
    Range = "range",
    /// Exemplars stand where they may, are short, and lie in their bucket.
    Exemplar = "exemplar",
    /// The bound of a bucket or quantile is given and is a number.
    Bound = "bound",
    /// The samples of a histogram agree with each other.
    Histogram = "histogram",
    /// The samples of a series stand together.
    Grouping = "grouping",
    /// No two samples are of one series and time.
    Duplicate = "duplicate",
    /// No two families have the same name or that of each other's samples.
    Clash = "clash",
    /// An OpenMetrics page ends with `# EOF`, and there.
    Eof = "eof",
    /// The bytes are protobuf messages of the schema.
    Wire = "wire",
    /// The page is within the limits given.
    Limit = "limit",
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
