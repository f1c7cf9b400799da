use std::cell::RefCell;

use meterline_exposition::parse::{Rule, Syntax};
use proptest::prelude::*;
use xtask::Python;

use super::mutants::{OPENMETRICS, TEXT, mutant};
use super::{Stricter, examples_hold, explained, ours, runner};

const ONE_SPACE: &str = "the grammar has exactly one space: `sample = metricname [labels] SP number [SP timestamp] [exemplar] LF`";
const TIGHT: &str =
    "the grammar has no blanks in labels: `label = label-name EQ DQUOTE escaped-string DQUOTE`";
const METADATA: &str = "`metric-descriptor = HASH SP type SP metricname SP metric-type LF`, and so on for help and unit: single spaces";
const NUMBERS: &str = "`number = realnumber`, digits of ASCII, and `nan` without a sign";

/// What the official OpenMetrics parser lets pass, against the grammar or the text of OpenMetrics 1.0.
const STRICTER: &[Stricter] = &[
    stricter(
        Rule::Line,
        "a line beginning with #",
        "#0 TYPE a gauge\na 1\n# EOF\n",
        METADATA,
    ),
    stricter(
        Rule::Line,
        "expected one space after",
        "a{}x1\n# EOF\n",
        ONE_SPACE,
    ),
    stricter(
        Rule::Type,
        "\" gauge\"",
        "# TYPE a  gauge\n# EOF\n",
        METADATA,
    ),
    stricter(Rule::Type, "\" ", "# TYPE a  counter\n# EOF\n", METADATA),
    stricter(
        Rule::Unit,
        "its unit \" ",
        "# TYPE a_x gauge\n# UNIT a_x  x\n# EOF\n",
        METADATA,
    ),
    stricter(
        Rule::MetricName,
        "expected a metric name",
        "# TYPE  a gauge\n# EOF\n",
        METADATA,
    ),
    stricter(
        Rule::Labels,
        "expected = after label",
        "a{b =\"c\"} 1\n# EOF\n",
        TIGHT,
    ),
    stricter(
        Rule::Labels,
        "expected a quote",
        "a{b= \"c\"} 1\n# EOF\n",
        TIGHT,
    ),
    stricter(
        Rule::Labels,
        "expected a comma or a closing brace",
        "a{b=\"c\" } 1\n# EOF\n",
        TIGHT,
    ),
    stricter(
        Rule::LabelName,
        "expected a label name",
        "a{ b=\"c\"} 1\n# EOF\n",
        TIGHT,
    ),
    stricter(
        Rule::MetricName,
        "more than one metric name",
        "# TYPE a gauge\n{\"a\",\"b\" =\"c\"} 1\n# EOF\n",
        TIGHT,
    ),
    stricter(
        Rule::Bound,
        "is not a number",
        "# TYPE a histogram\na_bucket{le=\" 1\"} 1\na_bucket{le=\"+Inf\"} 1\n# EOF\n",
        NUMBERS,
    ),
    stricter(
        Rule::Bound,
        "is NaN",
        "# TYPE a histogram\na_bucket{le=\"nan\"} 1\na_bucket{le=\"+Inf\"} 1\n# EOF\n",
        "\"Bucket thresholds within a MetricPoint MUST be unique\", and ordered: NaN is neither",
    ),
    stricter(Rule::Number, "is not a value", "a -nan\n# EOF\n", NUMBERS),
    stricter(
        Rule::Timestamp,
        "is not a timestamp",
        "a 1 1.+5\n# EOF\n",
        NUMBERS,
    ),
    stricter(
        Rule::Exemplar,
        "is not in its bucket",
        "# TYPE a histogram\na_bucket{le=\"1\"} 1 # {} 2\na_bucket{le=\"+Inf\"} 1\n# EOF\n",
        "\"Each bucket covers the values less and or equal to it, and the value of the exemplar MUST be within this range.\"",
    ),
    stricter(
        Rule::Exemplar,
        "labels only",
        "# TYPE a counter\na_total 1 # {\"b\"} 1\n# EOF\n",
        "`exemplar = SP HASH SP labels SP number [SP timestamp]`, and labels hold no name",
    ),
    stricter(
        Rule::Duplicate,
        "has a sample already",
        "a 1\na 1\n# EOF\n",
        "\"If more than one MetricPoint is exposed for a Metric, then its MetricPoints MUST have monotonically increasing timestamps.\"",
    ),
    stricter(
        Rule::LabelName,
        "is reserved",
        "{__name__=\"a\"} 1\n# EOF\n",
        "\"Label names beginning with two underscores are RESERVED and MUST NOT be used unless specified by this standard.\"",
    ),
];

const fn stricter(
    rule: Rule,
    says: &'static str,
    example: &'static str,
    because: &'static str,
) -> Stricter {
    Stricter {
        rule,
        says,
        example,
        because,
    }
}

/// What we accept and the official OpenMetrics parser refuses: each with a page, and how it says so.
const LOOSER: &[(&str, &str, &str)] = &[
    (
        "{\"a.b\"} 1\n# EOF\n",
        "ValueError: ",
        "it looks for quotes around a name it has unquoted already, so that samples with UTF-8 names need metadata; Prometheus reads them without",
    ),
    (
        "a 1 .1\na 2 2\n# EOF\n",
        "AttributeError: 'float' object has no attribute 'sec'",
        "it cannot compare the two ways in which it keeps timestamps, all of which are `realnumber`",
    ),
];

#[test]
fn openmetrics_differences_are_as_listed() {
    let python = RefCell::new(Python::exposition_parser());
    let theirs = |page: &str| {
        let parsed = python.borrow_mut().parse_exposition("openmetrics", page);
        parsed.map(drop)
    };
    examples_hold(STRICTER, Syntax::OpenMetrics, theirs);
    for (page, error, why) in LOOSER {
        assert_eq!(ours(page, Syntax::OpenMetrics), Ok(()), "{why}");
        assert_eq!(theirs(page), Err((*error).to_owned()), "{why}");
    }
}

#[test]
fn openmetrics_mutants_get_the_same_verdict() {
    let mut python = Python::exposition_parser();
    for page in OPENMETRICS {
        assert!(
            python.parse_exposition("openmetrics", page).is_ok(),
            "{page}"
        );
        assert_eq!(ours(page, Syntax::OpenMetrics), Ok(()), "{page}");
    }
    let python = RefCell::new(python);
    let outcome = runner(5_000).run(&mutant(OPENMETRICS), |page| {
        let theirs = python.borrow_mut().parse_exposition("openmetrics", &page);
        match (ours(&page, Syntax::OpenMetrics), theirs) {
            (Err((rule, message)), Ok(_)) => {
                let known = explained(STRICTER, rule, &message);
                prop_assert!(known, "only we refuse {page:?}: {rule}: {message}");
            }
            (Ok(()), Err(error)) => {
                let known = LOOSER.iter().any(|(_, known, _)| *known == error);
                prop_assert!(known, "only we accept {page:?}: {error}");
            }
            _ => {}
        }
        Ok(())
    });
    outcome.unwrap_or_else(|why| panic!("{why}"));
}

/// What Prometheus and we read as text 0.0.4, and the official text parser does not.
const TEXT_LOOSER: &[(&str, &str, &str)] = &[
    (
        "a+1\n",
        "invalid metric name",
        "tokens \"must be separated by at least one [blank or tab] if they would otherwise merge with the previous token\", and these would not",
    ),
    (
        "# TYPE _total counter\n_total 1\n",
        "metric name cannot be empty",
        "it takes `_total` off the names of counters, and nothing is left of this one",
    ),
];

#[test]
fn text_differences_are_as_listed() {
    let mut python = Python::exposition_parser();
    for (page, error, why) in TEXT_LOOSER {
        assert_eq!(ours(page, Syntax::Text), Ok(()), "{why}");
        let theirs = python.parse_exposition("text", page);
        assert!(theirs.is_err_and(|said| said.contains(error)), "{why}");
    }
}

/// It takes any white space for a blank, and `#x` for `#`: some comments are metadata to it.
fn reads_comments_as_metadata(page: &str) -> bool {
    let mut comments = page
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix('#'));
    page.contains('\r') || comments.any(|rest| !rest.starts_with([' ', '\t']))
}

/// The official text parser says of itself that it is laxer than Prometheus; it must accept all
/// that we accept, but for what it does not know.
#[test]
fn what_is_text_to_us_is_text_to_python() {
    let python = RefCell::new(Python::exposition_parser());
    let outcome = runner(5_000).run(&mutant(TEXT), |page| {
        if ours(&page, Syntax::Text).is_ok() {
            let theirs = python.borrow_mut().parse_exposition("text", &page);
            let error = theirs.err().unwrap_or_default();
            let known = TEXT_LOOSER
                .iter()
                .any(|(_, known, _)| error.contains(known));
            let known = known || reads_comments_as_metadata(&page);
            prop_assert!(
                error.is_empty() || known,
                "only we accept {page:?}: {error}"
            );
        }
        Ok(())
    });
    outcome.unwrap_or_else(|why| panic!("{why}"));
}
