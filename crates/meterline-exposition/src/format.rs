use crate::dropped::Dropped;
use crate::escaping::Escaping;
use crate::families::Families;
use crate::page::Page;
use crate::protobuf::write_protobuf;
use crate::text::{Dialect, write_text};

/// A format that Prometheus scrapes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// The text format 0.0.4, which every scraper reads.
    #[default]
    Text,
    /// The text format 1.0.0: the same with names of any characters, in quotes.
    TextUtf8,
    /// OpenMetrics text 1.0.0: with units, exemplars and a target info metric.
    OpenMetrics,
    /// OpenMetrics text 0.0.1, a draft whose lines are the same.
    OpenMetrics0,
    /// Length-delimited `io.prometheus.client.MetricFamily` messages: as OpenMetrics, and with native
    /// histograms and creation times.
    Protobuf,
}

/// The Content-Types of a format by escaping.
macro_rules! content_types {
    ($escaping:expr, $start:literal, $underscores:literal) => {
        match $escaping {
            Escaping::AllowUtf8 => concat!($start, "; escaping=allow-utf-8"),
            Escaping::Underscores => concat!($start, $underscores),
            Escaping::Dots => concat!($start, "; escaping=dots"),
            Escaping::Values => concat!($start, "; escaping=values"),
        }
    };
}

impl Format {
    /// All of them, in the order in which a scraper gets them that does not care.
    pub const ALL: [Self; 5] = [
        Self::Text,
        Self::TextUtf8,
        Self::OpenMetrics,
        Self::OpenMetrics0,
        Self::Protobuf,
    ];

    /// Whether names may have any characters.
    #[must_use]
    pub fn has_utf8_names(self) -> bool {
        matches!(self, Self::TextUtf8 | Self::OpenMetrics | Self::Protobuf)
    }

    /// Its media type, without parameters.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Text | Self::TextUtf8 => "text/plain",
            Self::OpenMetrics | Self::OpenMetrics0 => "application/openmetrics-text",
            Self::Protobuf => "application/vnd.google.protobuf",
        }
    }

    /// What the Content-Type of a page with such names has to say. The older formats leave out that
    /// names are escaped to underscores, as they were always.
    #[must_use]
    pub fn content_type(self, escaping: Escaping) -> &'static str {
        match self {
            Self::Text => content_types!(escaping, "text/plain; version=0.0.4; charset=utf-8", ""),
            Self::TextUtf8 => content_types!(
                escaping,
                "text/plain; version=1.0.0; charset=utf-8",
                "; escaping=underscores"
            ),
            Self::OpenMetrics => content_types!(
                escaping,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                "; escaping=underscores"
            ),
            Self::OpenMetrics0 => content_types!(
                escaping,
                "application/openmetrics-text; version=0.0.1; charset=utf-8",
                ""
            ),
            Self::Protobuf => content_types!(
                escaping,
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
                 encoding=delimited",
                "; escaping=underscores"
            ),
        }
    }

    /// Appends the families in this format. Tells what only this format has no room for; see
    /// [`Families::dropped`] for the rest.
    pub fn encode(self, families: &Families<'_>, out: &mut Vec<u8>) -> Dropped {
        self.write(families, &mut Page::whole(out))
    }

    /// As [`encode`](Self::encode), but in pieces: calls `full` between two points whenever `out`
    /// holds at least `chunk` bytes, and once at the end. `full` takes what it wants of them.
    pub fn encode_in_chunks(
        self,
        families: &Families<'_>,
        out: &mut Vec<u8>,
        chunk: usize,
        full: &mut dyn FnMut(&mut Vec<u8>),
    ) -> Dropped {
        let dropped = self.write(families, &mut Page::in_chunks(out, chunk, full));
        full(out);
        dropped
    }

    fn write(self, families: &Families<'_>, page: &mut Page<'_>) -> Dropped {
        match self {
            Self::Text | Self::TextUtf8 => write_text(families, Dialect::Prometheus, page),
            Self::OpenMetrics | Self::OpenMetrics0 => {
                write_text(families, Dialect::OpenMetrics, page)
            }
            Self::Protobuf => write_protobuf(families, page),
        }
    }
}
