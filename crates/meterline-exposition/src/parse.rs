//! Strict parsers: a page of any exposition format into one plain model, or the first fault in it.
//!
//! They are what `osapi check` and `osapi metrics` read with, and what round-trip tests hold the
//! encoders to. Strict means: what the format's specification forbids is a [`Fault`], with its place
//! and what to do about it, also where scrapers look away. What is allowed but unwise, or loses data
//! without breaking the format, is found by [`Page::lint`].
//!
//! ```
//! use meterline_exposition::parse::{Page, Syntax};
//!
//! let page = Page::parse(b"# TYPE up gauge\nup{job=\"x\"} 1\n", Syntax::Text)?;
//! let family = &page.families[0];
//! assert_eq!((&*family.name, family.samples.len()), ("up", 1));
//!
//! let fault = Page::parse(b"up{job=\"x} 1\n", Syntax::Text).unwrap_err();
//! assert_eq!(fault.place.to_string(), "line 1, column 8");
//! # Ok::<(), meterline_exposition::parse::Fault>(())
//! ```
//!
//! Pages come from strangers: nothing recurses, time is linear in the page, and memory is bounded
//! by [`Limits`]. Names, labels and help texts are borrowed from the page where nothing is escaped.

mod cursor;
mod fault;
mod labels;
mod lint;
mod openmetrics;
mod page;
mod protobuf;
mod series;
mod syntax;
mod text;

pub use fault::{Fault, Place, Rule};
pub use lint::{Finding, Lint, LintOptions, Severity};
pub use page::{
    Exemplar, Family, Label, NativeBuckets, NativeHistogram, Page, Places, Sample, Span, Suffix,
    Type, Value,
};
pub use syntax::Syntax;

use cursor::Cursor;
use fault::Stop;

/// How much of a page is read before it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of the page. Default: 64 MiB.
    pub bytes: usize,
    /// Samples, and buckets of native histograms. Default: 2,000,000.
    pub samples: usize,
    /// Labels of all samples and exemplars together. Default: 16,000,000.
    pub labels: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 64 << 20,
            samples: 2_000_000,
            labels: 16_000_000,
        }
    }
}

impl<'a> Page<'a> {
    /// Reads a page, with the default [`Limits`].
    ///
    /// # Errors
    /// The first fault of the page.
    pub fn parse(page: &'a [u8], syntax: Syntax) -> Result<Self, Fault> {
        Self::parse_within(page, syntax, Limits::default())
    }

    /// Reads a page.
    ///
    /// # Errors
    /// The first fault of the page, or that it is beyond the limits.
    pub fn parse_within(page: &'a [u8], syntax: Syntax, limits: Limits) -> Result<Self, Fault> {
        // Places in a page are kept in 32 bits.
        let most = limits.bytes.min(u32::MAX as usize);
        let parsed = if page.len() > most {
            let why = format!("the page is larger than {most} bytes; raise the limit to read it");
            Err(Stop::new(most, Rule::Limit, why))
        } else if syntax == Syntax::Protobuf {
            protobuf::parse(page, limits)
        } else {
            parse_text(page, syntax, limits)
        };
        parsed.map_err(|stop| stop.in_page(page, syntax))
    }
}

fn parse_text(page: &[u8], syntax: Syntax, limits: Limits) -> Result<Page<'_>, Stop> {
    let (valid, bad) = match std::str::from_utf8(page) {
        Ok(text) => (text, None),
        // A fault before the bad bytes comes first.
        Err(error) => {
            let (valid, _) = page.split_at(error.valid_up_to());
            let valid = std::str::from_utf8(valid).unwrap_or_default();
            (valid, Some(error.valid_up_to()))
        }
    };
    let parsed = match syntax {
        Syntax::OpenMetrics => openmetrics::parse(Cursor::new(valid), limits),
        _ => text::parse(Cursor::new(valid), syntax, limits),
    };
    match (bad, parsed) {
        (Some(bad), Ok(_)) => Err(not_utf8(bad)),
        // Where the valid part ends, parsing stops for want of more.
        (Some(bad), Err(stop)) if stop.at >= bad => Err(not_utf8(bad)),
        (_, parsed) => parsed,
    }
}

fn not_utf8(at: usize) -> Stop {
    let why = "these bytes are not UTF-8; write the page in UTF-8".to_owned();
    Stop::new(at, Rule::Encoding, why)
}

#[cfg(test)]
mod tests;
