//! Names, help, types and units.

use super::super::{Family, Page, Syntax, Type};
use super::{Finding, Lint, finding};

/// Units that are not base units, and those that are.
const UNITS: &[(&str, &str)] = &[
    ("nanoseconds", "seconds"),
    ("microseconds", "seconds"),
    ("milliseconds", "seconds"),
    ("minutes", "seconds"),
    ("hours", "seconds"),
    ("days", "seconds"),
    ("weeks", "seconds"),
    ("ns", "seconds"),
    ("us", "seconds"),
    ("ms", "seconds"),
    ("sec", "seconds"),
    ("secs", "seconds"),
    ("bits", "bytes"),
    ("kilobytes", "bytes"),
    ("megabytes", "bytes"),
    ("gigabytes", "bytes"),
    ("terabytes", "bytes"),
    ("kibibytes", "bytes"),
    ("mebibytes", "bytes"),
    ("gibibytes", "bytes"),
    ("tebibytes", "bytes"),
    ("kb", "bytes"),
    ("mb", "bytes"),
    ("gb", "bytes"),
    ("kib", "bytes"),
    ("mib", "bytes"),
    ("gib", "bytes"),
    ("millimeters", "meters"),
    ("centimeters", "meters"),
    ("kilometers", "meters"),
    ("milligrams", "grams"),
    ("kilograms", "grams"),
    ("millivolts", "volts"),
    ("milliamperes", "amperes"),
    ("kilowatts", "watts"),
    ("kelvin", "celsius"),
    ("fahrenheit", "celsius"),
    ("percent", "ratio"),
    ("percents", "ratio"),
];

const BASE: &[&str] = &[
    "seconds", "bytes", "meters", "grams", "volts", "amperes", "joules", "watts", "celsius",
    "hertz", "ratio",
];

pub(super) fn lint(page: &Page<'_>, family: &Family<'_>, found: &mut Vec<Finding>) {
    let mut say = |lint, why: String| found.push(finding(lint, family, family.offset, why));
    if family.help.as_deref().unwrap_or_default().trim().is_empty() {
        say(
            Lint::NoHelp,
            "it has no help; say in a sentence what it measures".to_owned(),
        );
    }
    if !family.typed {
        say(
            Lint::NoType,
            "its type is not given; add TYPE, so that readers know what to do with it".to_owned(),
        );
    }
    let name = &*family.name;
    let stem = name.strip_suffix("_total").unwrap_or(name);
    unit(page, family, stem, &mut say);
    suffix(page, family, &mut say);
    if name.contains(':') {
        say(
            Lint::Name,
            "its name has a colon; those are for names made by recording rules".to_owned(),
        );
    }
    let camel = name.as_bytes().windows(2);
    let mut camel =
        camel.filter(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase());
    if camel.next().is_some() {
        say(
            Lint::Name,
            "its name is in camelCase; write snake_case".to_owned(),
        );
    }
    let kind = ["counter", "gauge", "histogram", "summary"].into_iter();
    let mut kind =
        kind.filter(|word| family.typed && word_in(stem, word) && *word == family.kind.as_str());
    if let Some(word) = kind.next() {
        say(
            Lint::Name,
            format!("its name says that it is a {word}; TYPE says so already, leave it out"),
        );
    }
}

fn word_in(name: &str, word: &str) -> bool {
    name.split(['_', '.']).any(|part| part == word)
}

fn unit(page: &Page<'_>, family: &Family<'_>, stem: &str, say: &mut impl FnMut(Lint, String)) {
    let words = stem.split(['_', '.']);
    let last = words.clone().next_back().unwrap_or_default();
    // The unit is the last word, or in OpenMetrics what UNIT says.
    let given = family.unit.as_deref().unwrap_or_default();
    let other = UNITS
        .iter()
        .find(|(unit, _)| *unit == last || *unit == given);
    if let Some((unit, base)) = other {
        say(
            Lint::NonBaseUnit,
            format!("its unit is {unit}; use the base unit, {base}"),
        );
        return;
    }
    let per = words.rev().nth(1) == Some("per");
    let units = matches!(page.syntax, Syntax::OpenMetrics | Syntax::Protobuf);
    if units && given.is_empty() && BASE.contains(&last) && !per {
        say(
            Lint::NoUnit,
            format!("its name ends with {last}, but its unit is not given; add UNIT {last}"),
        );
    }
    let distribution = matches!(family.kind, Type::Histogram | Type::Summary);
    if distribution && given.is_empty() && !BASE.contains(&last) {
        say(Lint::NoUnit, "its name does not say what it is measured in; end it with a unit, such as _seconds or _bytes".to_owned());
    }
}

fn suffix(page: &Page<'_>, family: &Family<'_>, say: &mut impl FnMut(Lint, String)) {
    let name = &*family.name;
    let openmetrics = page.syntax == Syntax::OpenMetrics;
    match family.kind {
        // There every counter's samples end with it.
        Type::Counter if !openmetrics && !name.ends_with("_total") => {
            say(
                Lint::Suffix,
                "it is a counter, whose names end with _total; add it".to_owned(),
            );
        }
        Type::Counter | Type::Unknown => {}
        kind if name.ends_with("_total") => {
            say(
                Lint::Suffix,
                format!("its name ends with _total, which is for counters, and it is a {kind}"),
            );
        }
        _ => {}
    }
    // Of a counter, `_total` follows: `jobs_created_total` names no part of another family.
    let reserved: &[_] = match family.kind {
        Type::Counter => &["_bucket", "_count", "_sum", "_gcount", "_gsum"],
        _ => &["_bucket", "_count", "_sum", "_created", "_gcount", "_gsum"],
    };
    let mut reserved = reserved.iter().filter(|suffix| name.ends_with(**suffix));
    if let Some(suffix) = reserved.next() {
        say(
            Lint::Suffix,
            format!(
                "its name ends with {suffix}, which names a part of histograms and summaries; rename it"
            ),
        );
    }
    if name.ends_with("_info") && !matches!(family.kind, Type::Gauge | Type::Unknown) {
        say(
            Lint::Suffix,
            "its name ends with _info, which is for metrics whose value is always 1".to_owned(),
        );
    }
}
