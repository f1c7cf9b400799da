//! What a page is allowed to be, and should not.

mod cardinality;
mod labels;
mod names;
mod samples;

use std::fmt;

use super::{Family, Page};

/// From which numbers on the lints speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LintOptions {
    /// Values of one label in one family. Default: 200.
    pub label_values: usize,
    /// Series of one family, a histogram counting as one. Default: 2,000.
    pub series: usize,
}

impl Default for LintOptions {
    fn default() -> Self {
        Self {
            label_values: 200,
            series: 2_000,
        }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// It works, and will hurt.
    Warning,
    /// A scraper loses data or may do as it likes.
    Error,
}

impl Severity {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Something that a lint found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// Which lint.
    pub lint: Lint,
    /// The family's name.
    pub family: String,
    /// Where in the page, in bytes; [`Page::places`] tells on which line.
    pub offset: u32,
    /// What is wrong, and what to do.
    pub message: String,
}

impl Finding {
    /// How bad it is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.lint.severity()
    }
}

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Lint {
    /// Two samples of one series and time; scrapers keep either.
    DuplicateSeries,
    /// A family in several pieces, or twice.
    ScatteredFamily,
    /// A histogram without `+Inf`, or whose numbers contradict each other.
    BrokenHistogram,
    /// No help.
    NoHelp,
    /// No type.
    NoType,
    /// A unit that can be had and is not given.
    NoUnit,
    /// A unit that is not the base one: milliseconds, kilobytes.
    NonBaseUnit,
    /// A suffix that the type does not have, or a counter without `_total`.
    Suffix,
    /// A name that is no name of a metric as others write them.
    Name,
    /// A label that is reserved or means something else.
    Label,
    /// Too many values or series.
    Cardinality,
}

impl Lint {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DuplicateSeries => "duplicate-series",
            Self::ScatteredFamily => "scattered-family",
            Self::BrokenHistogram => "broken-histogram",
            Self::NoHelp => "no-help",
            Self::NoType => "no-type",
            Self::NoUnit => "no-unit",
            Self::NonBaseUnit => "non-base-unit",
            Self::Suffix => "suffix",
            Self::Name => "name",
            Self::Label => "label",
            Self::Cardinality => "cardinality",
        }
    }

    /// How bad it is.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Self::DuplicateSeries | Self::ScatteredFamily | Self::BrokenHistogram => {
                Severity::Error
            }
            _ => Severity::Warning,
        }
    }
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Page<'_> {
    /// What is allowed and should not be, in the page's order. Each lint speaks at most once per
    /// family and name or label.
    #[must_use]
    pub fn lint(&self, options: LintOptions) -> Vec<Finding> {
        let mut found = Vec::new();
        for (family, at) in &self.scattered {
            let family = &self.families[*family];
            let why = "its lines do not stand together; write each family as one block";
            found.push(finding(Lint::ScatteredFamily, family, *at, why));
        }
        let mut names = std::collections::HashSet::new();
        for family in &self.families {
            if !names.insert(&*family.name) {
                let why = "the family is there twice; write all its samples in one";
                found.push(finding(Lint::ScatteredFamily, family, family.offset, why));
            }
            if family.samples.is_empty() {
                continue;
            }
            names::lint(self, family, &mut found);
            labels::lint(self, family, &mut found);
            samples::lint(self, family, &mut found);
            cardinality::lint(self, family, options, &mut found);
        }
        found.sort_by_key(|finding| finding.offset);
        found
    }
}

fn finding(lint: Lint, family: &Family<'_>, offset: u32, message: impl Into<String>) -> Finding {
    Finding {
        lint,
        family: family.name.to_string(),
        offset,
        message: message.into(),
    }
}
