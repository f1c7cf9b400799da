//! Valid pages, and what becomes of them by accident or malice.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

pub(super) const OPENMETRICS: &[&str] = &[
    "# TYPE a counter\n# HELP a help\na_total 1\na_created 2\n# EOF\n",
    "# TYPE a_seconds gauge\n# UNIT a_seconds seconds\na_seconds{b=\"c\",d=\"e\\\"f\\n\\\\\"} -1.5e3\na_seconds{b=\"x\"} +Inf\n# EOF\n",
    "# TYPE a histogram\n# HELP a h\na_bucket{le=\"0.5\"} 1 # {t=\"x\"} 0.4 1.5\na_bucket{le=\"+Inf\"} 3\na_count 3\na_sum 4.5\na_created 1\n# EOF\n",
    "# TYPE a gaugehistogram\na_bucket{x=\"1\",le=\"1.0\"} 2\na_bucket{x=\"1\",le=\"+Inf\"} 3\na_gcount{x=\"1\"} 3\na_gsum{x=\"1\"} 4\n# EOF\n",
    "# TYPE a summary\na{quantile=\"0.5\"} 1\na{quantile=\"1.0\"} 2\na_count 3\na_sum 4\n# TYPE b unknown\nb 1\n# EOF\n",
    "# TYPE a info\na_info{x=\"y\"} 1\n# TYPE s stateset\ns{s=\"on\"} 1\ns{s=\"off\"} 0\n# EOF\n",
    "a 1 1\na 2 2\n# TYPE b gauge\nb{x=\"1\"} 1\nb{x=\"2\"} 2\n# EOF",
    "# TYPE \"a.b\" counter\n# HELP \"a.b\" help\n{\"a.b_total\",\"x.y\"=\"z\"} 1\n{\"a.b_total\",\"x.y\"=\"w\"} 1\n# EOF\n",
];

pub(super) const TEXT: &[&str] = &[
    "# HELP a_total help\\n\\\\\n# TYPE a_total counter\na_total{b=\"c\\\"\\n\\\\\"} 1 1500\na_total 2\n",
    "# comment\n\n# TYPE a gauge\na{b=\"c\",d=\"e\",} NaN\na { b = \"x\" } -Inf\n",
    "# TYPE a histogram\na_bucket{le=\"0.5\"} 1\na_bucket{le=\"+Inf\"} 3\na_sum 4.5\na_count 3\n",
    "# TYPE a summary\na{quantile=\"0.5\"} 1\na_sum 4\na_count 3\n# TYPE b untyped\nb 1e3\n",
    "a 1\nb{} 2 -5\nc\t3\n",
];

/// One thing that goes wrong with a page.
#[derive(Clone, Copy, Debug)]
enum Mutation {
    Remove(Index),
    Insert(Index, &'static str),
    Replace(Index, &'static str),
    RemoveLine(Index),
    RepeatLine(Index, Index),
    SwapLines(Index, Index),
}

const PIECES: &[&str] = &[
    " ",
    "  ",
    "\t",
    "\n",
    "\r",
    "\"",
    "\\",
    "{",
    "}",
    ",",
    "=",
    "#",
    "# ",
    "_",
    ":",
    ".",
    "-",
    "+",
    "0",
    "1",
    "a",
    "e",
    "é",
    "日",
    "NaN",
    "+Inf",
    "Inf",
    "nan",
    "-1",
    "0.5",
    "1e5",
    "le=\"1\"",
    "b=\"c\"",
    "_total",
    "_bucket",
    "_sum",
    "# EOF\n",
    "# TYPE a gauge\n",
    "# UNIT a x\n",
    "# HELP a x\n",
    "a 1\n",
    " # {} 1",
    " 5",
];

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        3 => at().prop_map(Mutation::Remove),
        4 => (at(), select(PIECES)).prop_map(|(at, piece)| Mutation::Insert(at, piece)),
        3 => (at(), select(PIECES)).prop_map(|(at, piece)| Mutation::Replace(at, piece)),
        1 => at().prop_map(Mutation::RemoveLine),
        1 => (at(), at()).prop_map(|(from, to)| Mutation::RepeatLine(from, to)),
        1 => (at(), at()).prop_map(|(one, other)| Mutation::SwapLines(one, other)),
    ]
}

pub(super) fn mutant(of: &'static [&'static str]) -> impl Strategy<Value = String> {
    (select(of), vec(mutation(), 1..4)).prop_map(|(page, mutations)| {
        let mut page = page.to_owned();
        for mutation in mutations {
            if !page.is_empty() {
                page = mutated(&page, mutation);
            }
        }
        page
    })
}

fn mutated(page: &str, mutation: Mutation) -> String {
    let chars: Vec<char> = page.chars().collect();
    let mut lines: Vec<&str> = page.split_inclusive('\n').collect();
    let split = |at: usize, piece: &str, after: usize| {
        let before: String = chars[..at].iter().collect();
        let after: String = chars[after..].iter().collect();
        before + piece + &after
    };
    match mutation {
        Mutation::Remove(at) => {
            let at = at.index(chars.len());
            return split(at, "", at + 1);
        }
        Mutation::Insert(at, piece) => {
            let at = at.index(chars.len() + 1);
            return split(at, piece, at);
        }
        Mutation::Replace(at, piece) => {
            let at = at.index(chars.len());
            return split(at, piece, at + 1);
        }
        Mutation::RemoveLine(at) => {
            lines.remove(at.index(lines.len()));
        }
        Mutation::RepeatLine(from, to) => {
            let line = lines[from.index(lines.len())];
            lines.insert(to.index(lines.len()), line);
        }
        Mutation::SwapLines(one, other) => {
            let (one, other) = (one.index(lines.len()), other.index(lines.len()));
            lines.swap(one, other);
        }
    }
    lines.concat()
}
