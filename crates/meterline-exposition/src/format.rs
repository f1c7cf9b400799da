use crate::families::Families;
use crate::text::{TEXT_CONTENT_TYPE, encode_text};

/// A format that Prometheus scrapes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// The text format 0.0.4, which every scraper reads.
    #[default]
    Text,
}

impl Format {
    /// What the response's Content-Type header has to say.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => TEXT_CONTENT_TYPE,
        }
    }

    /// Appends the families in this format.
    pub fn encode(self, families: &Families<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Text => encode_text(families, out),
        }
    }
}
