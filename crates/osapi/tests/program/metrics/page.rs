//! A metrics page, read back.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;

use crate::support::Server;

pub(crate) type Labels = BTreeMap<String, String>;

/// A name, labels a sample must have, and the sum of the samples that do.
pub(crate) type Implied = (&'static str, &'static [(&'static str, &'static str)], f64);

/// A page by family name.
pub(crate) struct Page {
    pub(crate) families: BTreeMap<String, Family>,
    pub(crate) text: String,
}

#[derive(Default)]
pub(crate) struct Family {
    pub(crate) help: String,
    pub(crate) kind: String,
    /// The samples; those of a histogram with their suffixes.
    pub(crate) samples: Vec<Sample>,
}

pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: Labels,
    pub(crate) value: f64,
}

/// Scrapes a server.
pub(crate) async fn scrape(server: &Server) -> Page {
    let answer = server.request(Method::GET, "/metrics").send().await;
    let answer = answer.unwrap().error_for_status().unwrap();
    Page::parse(answer.text().await.unwrap())
}

impl Page {
    /// Reads a text exposition, and insists that each family is in one piece with HELP and TYPE
    /// before its samples.
    pub(crate) fn parse(text: String) -> Self {
        let mut families: BTreeMap<String, Family> = BTreeMap::new();
        let mut current = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                current = name.to_owned();
                let family = Family {
                    help: unescape(help),
                    ..Family::default()
                };
                let known = families.insert(current.clone(), family);
                assert!(known.is_none(), "{current} is on the page twice");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert_eq!(name, current, "TYPE follows HELP");
                families.get_mut(name).unwrap().kind = kind.to_owned();
            } else {
                let sample = sample(line);
                let family = families.get_mut(&current).unwrap();
                assert!(sample.name.starts_with(&current), "{line} under {current}");
                family.samples.push(sample);
            }
        }
        Self { families, text }
    }

    /// The sum over the samples of this name that have these labels.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let matching = |sample: &&Sample| {
            sample.name == name
                && labels
                    .iter()
                    .all(|(key, value)| sample.labels.get(*key).is_some_and(|is| is == value))
        };
        let all = self.samples();
        all.filter(matching).map(|sample| sample.value).sum()
    }

    pub(crate) fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.families.values().flat_map(|family| &family.samples)
    }

    /// Every series there is.
    pub(crate) fn series(&self) -> BTreeSet<(String, Labels)> {
        self.samples()
            .map(|sample| (sample.name.clone(), sample.labels.clone()))
            .collect()
    }
}

/// `name{key="value",...} number`.
fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let value = value.parse().unwrap();
    let Some((name, rest)) = series.split_once('{') else {
        return Sample {
            name: series.to_owned(),
            labels: Labels::new(),
            value,
        };
    };
    let mut labels = Labels::new();
    let mut rest = rest;
    while rest != "}" {
        let (key, after) = rest.trim_start_matches(',').split_once("=\"").unwrap();
        let end = end_of_value(after);
        let known = labels.insert(key.to_owned(), unescape(&after[..end]));
        assert!(known.is_none(), "label {key} twice: {line}");
        rest = &after[end + 1..];
    }
    Sample {
        name: name.to_owned(),
        labels,
        value,
    }
}

/// Where the closing quote is.
fn end_of_value(text: &str) -> usize {
    let mut escaped = false;
    let end = text.find(|c| {
        let closes = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        closes
    });
    end.unwrap()
}

fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some(other) => other,
                None => '\\',
            },
            other => other,
        });
    }
    plain
}

#[test]
fn pages_are_read_with_their_escapes() {
    let text =
        "# HELP a One \\\\ or\\nmore\n# TYPE a counter\na{b=\"1,} \\\" \\\\\",c=\"\"} 2\na 3\n";
    let page = Page::parse(text.to_owned());
    assert_eq!(page.families["a"].help, "One \\ or\nmore");
    let first = &page.families["a"].samples[0];
    assert_eq!(
        (first.labels["b"].as_str(), first.value),
        ("1,} \" \\", 2.0)
    );
    assert_eq!(
        (page.sum("a", &[("c", "")]), page.sum("a", &[])),
        (2.0, 5.0)
    );
}
