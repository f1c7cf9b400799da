use std::fmt;
use std::str::FromStr;

use crate::escaping::Escaping;
use crate::name::Naming;

/// What a [`Translator`](crate::Translator) does beyond the fixed rules.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TranslationOptions {
    /// How OpenTelemetry names become Prometheus names.
    pub strategy: TranslationStrategy,
    /// How names that this leaves with other characters than the legacy ones are shown. Pages in
    /// text 0.0.4 and OpenMetrics 0.0.1 cannot have [`Escaping::AllowUtf8`]. Default: underscores.
    pub escaping: Escaping,
    /// Whether every series carries `otel_scope_*` labels. Default: true.
    pub scope_labels: bool,
    /// Whether the resource is exposed as `target_info`. Default: true.
    pub target_info: bool,
    /// Whether OpenMetrics text has a `_created` line per counter and histogram; protobuf always says
    /// when they began, and the other formats cannot. Default: false, as it doubles the lines of
    /// counters, and Prometheus 2 stores them as series of their own.
    pub created_timestamps: bool,
    /// Keys of resource attributes copied onto every series (they stay in `target_info` too).
    /// Default: none.
    pub resource_labels: Vec<String>,
}

impl Default for TranslationOptions {
    fn default() -> Self {
        Self {
            strategy: TranslationStrategy::default(),
            escaping: Escaping::default(),
            scope_labels: true,
            target_info: true,
            created_timestamps: false,
            resource_labels: Vec::new(),
        }
    }
}

impl TranslationOptions {
    /// The escaping that gives the same page as this one: with a strategy that makes legal names
    /// most have nothing to do, so that one [`Translator`](crate::Translator) serves them all.
    #[must_use]
    pub fn effective_escaping(&self, escaping: Escaping) -> Escaping {
        match escaping {
            Escaping::AllowUtf8 | Escaping::Values if self.strategy.is_legal() => {
                Escaping::Underscores
            }
            escaping => escaping,
        }
    }

    pub(crate) fn naming(&self) -> Naming {
        Naming {
            strategy: self.strategy,
            escaping: self.effective_escaping(self.escaping),
        }
    }
}

/// How instrument names, units and kinds become metric names.
///
/// The strategies of the OpenTelemetry specification's Prometheus exporter page. The [`Escaping`]
/// that a scraper asks for is applied afterwards:
///
/// | counter `foo.bar`, unit `By` | `underscores` | `allow-utf-8` |
/// |---|---|---|
/// | `underscores_with_suffixes` | `foo_bar_bytes_total` | `foo_bar_bytes_total` |
/// | `underscores_without_suffixes` | `foo_bar` | `foo_bar` |
/// | `utf8_with_suffixes` | `foo_bar_bytes_total` | `foo.bar_bytes_total` |
/// | `none` | `foo_bar` | `foo.bar` |
///
/// Suffixes are the unit in words, then `_total` for counters, each only once: `io.bytes_total` in
/// `By` is `io_bytes_total`. With the first two, a name that starts with a digit gets `_` in front,
/// and runs of `_` become one. A name without a single ASCII letter or digit has no translation,
/// unless the page can carry what it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TranslationStrategy {
    /// Legal characters, with unit and type suffixes.
    #[default]
    UnderscoresWithSuffixes,
    /// Legal characters, no suffixes.
    UnderscoresWithoutSuffixes,
    /// All characters where the format can carry them, with unit and type suffixes.
    Utf8WithSuffixes,
    /// As is.
    None,
}

impl TranslationStrategy {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::UnderscoresWithSuffixes,
        Self::UnderscoresWithoutSuffixes,
        Self::Utf8WithSuffixes,
        Self::None,
    ];

    /// Its name in configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnderscoresWithSuffixes => "underscores_with_suffixes",
            Self::UnderscoresWithoutSuffixes => "underscores_without_suffixes",
            Self::Utf8WithSuffixes => "utf8_with_suffixes",
            Self::None => "none",
        }
    }

    pub(crate) fn adds_suffixes(self) -> bool {
        matches!(self, Self::UnderscoresWithSuffixes | Self::Utf8WithSuffixes)
    }

    /// Whether names come out legal whatever the format: then the escaping has little to do.
    pub(crate) fn is_legal(self) -> bool {
        matches!(
            self,
            Self::UnderscoresWithSuffixes | Self::UnderscoresWithoutSuffixes
        )
    }
}

impl fmt::Display for TranslationStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TranslationStrategy {
    type Err = UnknownStrategy;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|s| s.as_str() == name);
        found.ok_or_else(|| UnknownStrategy(name.to_owned()))
    }
}

/// No translation strategy has this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownStrategy(String);

impl fmt::Display for UnknownStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = TranslationStrategy::ALL.map(TranslationStrategy::as_str);
        write!(
            f,
            "unknown translation strategy {:?}, expected one of {}",
            self.0,
            known.join(", ")
        )
    }
}

impl std::error::Error for UnknownStrategy {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_strangers_are_told_what_is_allowed() {
        for strategy in TranslationStrategy::ALL {
            assert_eq!(strategy.to_string().parse(), Ok(strategy));
        }
        let error = "dots".parse::<TranslationStrategy>().unwrap_err();
        assert!(error.to_string().contains("\"dots\""));
        assert!(error.to_string().contains("utf8_with_suffixes, none"));
    }
}
