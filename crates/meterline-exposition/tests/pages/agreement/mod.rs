//! Our parsers beside those of others: what they accept we accept, what they refuse we refuse, and
//! where that is not so it stands here with its reason.

mod mutants;
mod protobuf;
mod with_promtool;
mod with_python;

use meterline_exposition::parse::{Page, Rule, Syntax};
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

/// What we refuse on purpose although another parser accepts it.
struct Stricter {
    rule: Rule,
    /// How our message tells this case from others of the rule.
    says: &'static str,
    /// A page that shows it.
    example: &'static str,
    /// The specification's words.
    because: &'static str,
}

/// Our verdict; of a refusal the rule and the message.
fn ours(page: &str, syntax: Syntax) -> Result<(), (Rule, String)> {
    let parsed = Page::parse(page.as_bytes(), syntax);
    parsed
        .map(drop)
        .map_err(|fault| (fault.rule, fault.message))
}

fn explained(list: &[Stricter], rule: Rule, message: &str) -> bool {
    list.iter()
        .any(|known| known.rule == rule && message.contains(known.says))
}

/// Every example shows what it stands for.
fn examples_hold(list: &[Stricter], syntax: Syntax, theirs: impl Fn(&str) -> Result<(), String>) {
    for known in list {
        let (page, because) = (known.example, known.because);
        assert_eq!(theirs(page), Ok(()), "{page:?}: {because}");
        match ours(page, syntax) {
            Err((rule, message)) => assert!(
                rule == known.rule && message.contains(known.says),
                "{page:?}: {rule}: {message}"
            ),
            Ok(()) => panic!("{page:?}: accepted, although {because}"),
        }
    }
}

/// The same mutants every time: a difference that nobody has seen yet is to be met by whoever raises
/// the number, not by whoever changes something else.
fn runner(cases: u32) -> TestRunner {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(crate::with_python::config(cases), rng)
}
