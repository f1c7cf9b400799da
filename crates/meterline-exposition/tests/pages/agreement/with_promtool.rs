use meterline_exposition::parse::{Rule, Syntax};
use proptest::prelude::*;
use xtask::promtool_check_metrics;

use super::mutants::{TEXT, mutant};
use super::{Stricter, examples_hold, explained, ours, runner};

const TWO_TOKENS: &str = "\"If the token is TYPE, exactly two more tokens are expected.\"";

/// What Prometheus' own text parser lets pass, against the description of the format.
const STRICTER: &[Stricter] = &[
    Stricter {
        rule: Rule::Type,
        says: "is not a type",
        example: "# HELP a b\n# TYPE a Gauge\na 1\n",
        because: "\"The second is either counter, gauge, histogram, summary, or untyped\"",
    },
    Stricter {
        rule: Rule::Type,
        says: "\"\" is not a type",
        example: "# HELP a b\n# TYPE a gauge\n# TYPE b\na 1\n",
        because: TWO_TOKENS,
    },
    Stricter {
        rule: Rule::Metadata,
        says: "is not followed by a metric name",
        example: "# HELP\n# HELP a b\n# TYPE a gauge\na 1\n",
        because: "\"If the token is HELP, at least one more token is expected\"",
    },
    Stricter {
        rule: Rule::LabelTwice,
        says: "stands twice",
        example: "# HELP a_s b\n# TYPE a_s histogram\na_s_bucket{le=\"1\",le=\"2\"} 1\na_s_bucket{le=\"+Inf\"} 1\na_s_sum 1\na_s_count 1\n",
        because: "a label has one value; it looks at labels other than `le` and `quantile` only",
    },
];

/// Whether promtool can read a page, whatever it thinks of what it reads.
fn theirs(page: &str) -> Result<(), String> {
    match promtool_check_metrics(page) {
        Err(said) if said.contains("error while linting") => Err(said),
        _ => Ok(()),
    }
}

#[test]
fn text_differences_are_as_listed() {
    examples_hold(STRICTER, Syntax::Text, theirs);
}

#[test]
fn text_mutants_get_the_same_verdict() {
    for page in TEXT {
        assert_eq!(theirs(page), Ok(()), "{page}");
        assert_eq!(ours(page, Syntax::Text), Ok(()), "{page}");
    }
    // A process each, some 50 ms.
    let outcome = runner(100).run(&mutant(TEXT), |page| {
        match (ours(&page, Syntax::Text), theirs(&page)) {
            (Err((rule, message)), Ok(())) => {
                let known = explained(STRICTER, rule, &message);
                prop_assert!(known, "only we refuse {page:?}: {rule}: {message}");
            }
            (Ok(()), Err(error)) => prop_assert!(false, "only we accept {page:?}: {error}"),
            _ => {}
        }
        Ok(())
    });
    outcome.unwrap_or_else(|why| panic!("{why}"));
}
