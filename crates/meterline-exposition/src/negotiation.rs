//! Which of the formats we have a scraper gets, and how compressed: pure functions of its headers.

mod header;

use crate::escaping::Escaping;
use crate::format::Format;
use header::{Quality, elements, parameters};

/// What a scraper is answered with: a format, and how it wants names escaped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Exposition {
    /// The format.
    pub format: Format,
    /// How names with other than legacy characters are shown; never
    /// [`AllowUtf8`](Escaping::AllowUtf8) in a format that cannot.
    pub escaping: Escaping,
}

impl Exposition {
    /// This format with this escaping, or with underscores where the format has no room for it.
    #[must_use]
    pub fn new(format: Format, escaping: Escaping) -> Self {
        let possible = format.has_utf8_names() || escaping != Escaping::AllowUtf8;
        Self {
            format,
            escaping: if possible {
                escaping
            } else {
                Escaping::default()
            },
        }
    }

    /// Chooses by an Accept header (several joined with commas, as HTTP has it; `None` if there is
    /// none) among the formats `offered`, the first of which are preferred where the scraper does
    /// not care. Sources: RFC 9110, section 12.5.1; Prometheus, "Content negotiation".
    ///
    /// - The highest `q` wins, `q=0` excludes, and among equals what the scraper named first. The
    ///   `q` of a format is that of the most specific range it is in.
    /// - Without a version, `text/plain` is 0.0.4 and `application/openmetrics-text` 0.0.1. Protobuf
    ///   needs `proto=io.prometheus.client.MetricFamily` and `encoding=delimited`.
    /// - Without an `escaping`, or with one that nobody knows, names are escaped to underscores.
    /// - If there is no header, or nothing in it is offered, the answer is text 0.0.4, as Prometheus
    ///   wants it, or the first offer if that is not among them.
    #[must_use]
    pub fn negotiate(accept: Option<&str>, offered: &[Format]) -> Self {
        let header = elements(accept.unwrap_or_default());
        let ranges: Vec<_> = header.filter_map(Range::parse).collect();
        let mut best: Option<(u16, usize, Self)> = None;
        for &format in offered {
            let Some((position, range)) = most_specific(&ranges, format) else {
                continue;
            };
            let better = best.is_none_or(|(quality, earlier, _)| {
                range.quality > quality || (range.quality == quality && position < earlier)
            });
            if range.quality > 0 && better {
                best = Some((range.quality, position, Self::new(format, range.escaping)));
            }
        }
        match best {
            Some((_, _, exposition)) => exposition,
            None if offered.is_empty() || offered.contains(&Format::Text) => Self::default(),
            None => Self::new(offered[0], Escaping::default()),
        }
    }

    /// What the response's Content-Type header has to say.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        self.format.content_type(self.escaping)
    }
}

/// The most specific of the ranges that `format` is in, the first of several, with its position.
fn most_specific<'r, 'h>(
    ranges: &'r [Range<'h>],
    format: Format,
) -> Option<(usize, &'r Range<'h>)> {
    let mut best = None;
    for (position, range) in ranges.iter().enumerate() {
        if let Some(fit) = range.fit(format)
            && best.is_none_or(|(better, _, _)| fit > better)
        {
            best = Some((fit, position, range));
        }
    }
    best.map(|(_, position, range)| (position, range))
}

/// One element of an Accept header.
struct Range<'h> {
    media: &'h str,
    version: Option<String>,
    /// Whether `proto` and `encoding` are those of our protobuf.
    delimited_families: bool,
    escaping: Escaping,
    quality: Quality,
}

impl<'h> Range<'h> {
    fn parse(element: &'h str) -> Option<Self> {
        let mut range = Range {
            media: "",
            version: None,
            delimited_families: false,
            escaping: Escaping::default(),
            quality: header::WHOLE,
        };
        let (mut proto, mut encoding) = (false, false);
        let (media, parameters) = parameters(element);
        range.media = media;
        for (name, value) in parameters {
            match name.to_ascii_lowercase().as_str() {
                "q" => range.quality = header::quality(&value)?,
                "version" => range.version = Some(value),
                "escaping" => range.escaping = value.parse().unwrap_or_default(),
                "proto" => proto = value == "io.prometheus.client.MetricFamily",
                "encoding" => encoding = value == "delimited",
                _ => {}
            }
        }
        range.delimited_families = proto && encoding;
        Some(range)
    }

    /// How specifically it names the format, if it does.
    fn fit(&self, format: Format) -> Option<u8> {
        let (kind, subtype) = self.media.split_once('/')?;
        let (own_kind, own_subtype) = format.media_type().split_once('/')?;
        if kind == "*" && subtype == "*" {
            return Some(0);
        }
        if !kind.eq_ignore_ascii_case(own_kind) {
            return None;
        }
        if subtype == "*" {
            return Some(1);
        }
        let version = self.version.as_deref();
        let exact = subtype.eq_ignore_ascii_case(own_subtype)
            && match format {
                Format::Text => version.is_none_or(|v| v == "0.0.4"),
                Format::TextUtf8 | Format::OpenMetrics => version == Some("1.0.0"),
                Format::OpenMetrics0 => version.is_none_or(|v| v == "0.0.1"),
                Format::Protobuf => self.delimited_families,
            };
        exact.then_some(2)
    }
}

/// How a page is compressed on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Coding {
    /// Not at all.
    #[default]
    Identity,
    /// As RFC 1952 has it.
    Gzip,
    /// As RFC 8878 has it.
    Zstd,
}

impl Coding {
    /// What Content-Encoding says; `None` for none.
    #[must_use]
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }

    /// Chooses by an Accept-Encoding header (RFC 9110, section 12.5.3): the highest `q` wins, zstd
    /// before gzip before none among equals; `*` stands for gzip and none. If nothing we have is
    /// acceptable the answer is not compressed: that is what can be read most likely.
    #[must_use]
    pub fn negotiate(accept_encoding: Option<&str>) -> Self {
        let (mut zstd, mut gzip, mut identity, mut any) = (None, None, None, None);
        for element in elements(accept_encoding.unwrap_or_default()) {
            let (name, mut parameters) = parameters(element);
            let quality = match parameters.find(|(name, _)| name.eq_ignore_ascii_case("q")) {
                Some((_, value)) => header::quality(&value),
                None => Some(header::WHOLE),
            };
            let Some(quality) = quality else { continue };
            let named = match name.to_ascii_lowercase().as_str() {
                "zstd" => &mut zstd,
                "gzip" | "x-gzip" => &mut gzip,
                "identity" => &mut identity,
                "*" => &mut any,
                _ => continue,
            };
            *named = Some(quality);
        }
        let candidates = [
            (Self::Zstd, zstd),
            (Self::Gzip, gzip.or(any)),
            (Self::Identity, identity.or(any)),
        ];
        let mut best = (Self::Identity, 0);
        for (coding, quality) in candidates {
            if quality.is_some_and(|quality| quality > best.1) {
                best = (coding, quality.unwrap_or_default());
            }
        }
        best.0
    }
}

#[cfg(test)]
mod tests;
