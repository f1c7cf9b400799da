use std::fmt::{self, Write as _};
use std::str::FromStr;

/// How names with characters outside the legacy set (`[a-zA-Z_:][a-zA-Z0-9_:]*`) are shown to a
/// scraper; it says which it wants in the parameter `escaping` of its Accept header. Applied to what
/// the [`TranslationStrategy`](crate::TranslationStrategy) made. Source: Prometheus, "UTF-8 metric
/// and label name escaping schemes".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Escaping {
    /// As they are, in double quotes where needed. Text 0.0.4 and OpenMetrics 0.0.1 cannot say that.
    AllowUtf8,
    /// Every other character is `_`.
    #[default]
    Underscores,
    /// `.` is `_dot_`, `_` is `__`, and every other character `__`, as the Go library has it.
    Dots,
    /// `U__` in front, `_` is `__`, and every other character its number: `a.b` is `U__a_2e_b`.
    /// Legacy names stay as they are.
    Values,
}

impl Escaping {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::AllowUtf8, Self::Underscores, Self::Dots, Self::Values];

    /// Its name in headers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AllowUtf8 => "allow-utf-8",
            Self::Underscores => "underscores",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }

    /// `name` under this scheme; legacy names may have a colon if `colon` says so (those of metrics
    /// may, those of labels may not).
    pub(crate) fn apply(self, name: &str, colon: bool) -> String {
        let legal = |at: usize, c: char| {
            c.is_ascii_alphabetic()
                || c == '_'
                || (at > 0 && c.is_ascii_digit())
                || (colon && c == ':')
        };
        if self == Self::AllowUtf8 || (self == Self::Values && is_legacy(name, colon)) {
            return name.to_owned();
        }
        let mut out = String::with_capacity(name.len() + 16);
        if self == Self::Values {
            out.push_str("U__");
        }
        for (at, c) in name.char_indices() {
            match self {
                Self::Dots | Self::Values if c == '_' => out.push_str("__"),
                Self::Dots if c == '.' => out.push_str("_dot_"),
                _ if legal(at, c) => out.push(c),
                Self::Dots => out.push_str("__"),
                Self::Values => {
                    // Writing to a string cannot fail.
                    let _ = write!(out, "_{:x}_", u32::from(c));
                }
                Self::AllowUtf8 | Self::Underscores => out.push('_'),
            }
        }
        out
    }
}

/// Whether every format can carry this name without quotes.
pub(crate) fn is_legacy(name: &str, colon: bool) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || (colon && b == b':');
    !name.is_empty() && !name.as_bytes()[0].is_ascii_digit() && name.bytes().all(legal)
}

impl fmt::Display for Escaping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Escaping {
    type Err = UnknownEscaping;

    fn from_str(name: &str) -> Result<Self, UnknownEscaping> {
        let found = Self::ALL.into_iter().find(|e| e.as_str() == name);
        found.ok_or(UnknownEscaping)
    }
}

/// No escaping scheme has this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownEscaping;

impl fmt::Display for UnknownEscaping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected one of allow-utf-8, underscores, dots, values")
    }
}

impl std::error::Error for UnknownEscaping {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_under_each_scheme() {
        for (name, underscores, dots, values) in [
            ("plain", "plain", "plain", "plain"),
            ("a_b:c", "a_b:c", "a__b:c", "a_b:c"),
            ("a.b", "a_b", "a_dot_b", "U__a_2e_b"),
            ("a_b.c", "a_b_c", "a__b_dot_c", "U__a__b_2e_c"),
            ("1a", "_a", "__a", "U___31_a"),
            ("a b", "a_b", "a__b", "U__a_20_b"),
            ("日", "_", "__", "U___65e5_"),
            ("a😀", "a_", "a__", "U__a_1f600_"),
        ] {
            assert_eq!(Escaping::AllowUtf8.apply(name, true), name);
            assert_eq!(Escaping::Underscores.apply(name, true), underscores);
            assert_eq!(Escaping::Dots.apply(name, true), dots);
            assert_eq!(Escaping::Values.apply(name, true), values);
        }
        assert_eq!(Escaping::Underscores.apply("a:b", false), "a_b");
        assert_eq!(Escaping::Values.apply("a:b", false), "U__a_3a_b");
    }

    #[test]
    fn schemes_read_back() {
        for escaping in Escaping::ALL {
            assert_eq!(escaping.to_string().parse(), Ok(escaping));
        }
        assert!("Dots".parse::<Escaping>().is_err());
    }
}
