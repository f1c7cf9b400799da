use std::fmt;

/// A format that pages are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Syntax {
    /// The Prometheus text format 0.0.4.
    Text,
    /// The Prometheus text format 1.0.0: the same with quoted UTF-8 names.
    TextUtf8,
    /// OpenMetrics text 1.0.0 (0.0.1 has the same grammar), with quoted UTF-8 names as Prometheus
    /// reads them.
    OpenMetrics,
    /// Messages `io.prometheus.client.MetricFamily`, each after its length.
    Protobuf,
}

impl Syntax {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Text,
        Self::TextUtf8,
        Self::OpenMetrics,
        Self::Protobuf,
    ];

    /// Its short name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::TextUtf8 => "text-utf8",
            Self::OpenMetrics => "openmetrics",
            Self::Protobuf => "protobuf",
        }
    }

    /// The format that a `Content-Type` header announces; `None` if it is none of an exposition.
    /// `text/plain` without a version is 0.0.4, as the text format's description says.
    #[must_use]
    pub fn from_content_type(header: &str) -> Option<Self> {
        let mut parts = header.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let parameters: Vec<(String, &str)> = parts
            .filter_map(|part| part.split_once('='))
            .map(|(key, value)| {
                (
                    key.trim().to_ascii_lowercase(),
                    value.trim().trim_matches('"'),
                )
            })
            .collect();
        let parameter = |name: &str| {
            let found = parameters.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| *value)
        };
        match &*media {
            "text/plain" => match parameter("version") {
                None | Some("0.0.4") => Some(Self::Text),
                Some("1.0.0") => Some(Self::TextUtf8),
                Some(_) => None,
            },
            "application/openmetrics-text" => match parameter("version") {
                None | Some("0.0.1" | "1.0.0") => Some(Self::OpenMetrics),
                Some(_) => None,
            },
            "application/vnd.google.protobuf" => {
                let delimited = parameter("encoding").is_none_or(|value| value == "delimited");
                let family = parameter("proto");
                let family = family.is_none_or(|name| name == "io.prometheus.client.MetricFamily");
                (delimited && family).then_some(Self::Protobuf)
            }
            _ => None,
        }
    }

    /// What the page itself looks like, for files: OpenMetrics by its last line, protobuf by bytes
    /// that no text begins with, text 1.0.0 by quoted names, else text 0.0.4.
    #[must_use]
    pub fn sniff(page: &[u8]) -> Self {
        let ends = |with: &[u8]| page.ends_with(with);
        if page == b"# EOF" || page == b"# EOF\n" || ends(b"\n# EOF\n") || ends(b"\n# EOF") {
            return Self::OpenMetrics;
        }
        if looks_delimited(page) {
            return Self::Protobuf;
        }
        const QUOTED: [&[u8]; 4] = [b"{\"", b",\"", b"# TYPE \"", b"# HELP \""];
        let quoted = QUOTED
            .iter()
            .any(|mark| page.windows(mark.len()).any(|window| window == *mark));
        if quoted { Self::TextUtf8 } else { Self::Text }
    }
}

impl fmt::Display for Syntax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a message begins here with its name, field 1, inside the length given.
fn looks_delimited(page: &[u8]) -> bool {
    let Some(last) = page.iter().take(10).position(|byte| byte & 0x80 == 0) else {
        return false;
    };
    // A line feed is a length, too, but text does not go on with field 1 and a name that fits.
    let length = page[..=last]
        .iter()
        .rev()
        .fold(0_u64, |length, byte| length << 7 | u64::from(byte & 0x7f));
    let message = &page[last + 1..];
    match message {
        [0x0a, name, ..] => u64::from(*name) < length && length <= message.len() as u64,
        _ => false,
    }
}
