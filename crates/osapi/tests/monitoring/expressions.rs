//! Every metric and label that an expression names is one the catalogue has (which other tests hold
//! against real scrapes), or one Prometheus makes itself.

use std::collections::{BTreeMap, BTreeSet};

use osapi::config::Config;
use osapi::metrics::catalogue::{self, Kind, Metric};
use osapi::monitoring::{ALERTS, Metrics, RECORDED, dashboards, rules};
use serde_json::Value;

use crate::exposed::{exposed, labels};

/// What Prometheus adds to every series.
const ADDED: [&str; 2] = ["job", "instance"];

/// All expressions, with where they stand.
pub(crate) fn all() -> Vec<(String, String)> {
    let recorded = RECORDED.iter().map(|rule| (rule.name, rule.expr));
    let alerts = ALERTS.iter().map(|alert| (alert.name, alert.expr));
    let own = recorded.chain(alerts);
    let mut all: Vec<_> = own
        .map(|(name, expr)| (name.to_owned(), expr.to_owned()))
        .collect();
    for dashboard in dashboards(&Metrics::default()) {
        for panel in dashboard.json["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().unwrap() {
                let place = format!("{}: {}", dashboard.name, panel["title"]);
                all.push((place, target["expr"].as_str().unwrap().to_owned()));
            }
        }
    }
    all
}

/// The names a row's series have in Prometheus.
fn names(row: &Metric) -> Vec<String> {
    let name = exposed(row).name;
    match row.kind {
        Kind::Histogram(_) => ["_bucket", "_sum", "_count"]
            .map(|suffix| format!("{name}{suffix}"))
            .to_vec(),
        _ => vec![name],
    }
}

/// The labels of every name there is.
fn known() -> BTreeMap<String, BTreeSet<String>> {
    let mut known = BTreeMap::new();
    for row in catalogue::ALL.iter().chain(catalogue::NATS) {
        for name in names(row) {
            let mut labels = labels(row);
            labels.extend(ADDED.map(str::to_owned));
            if name.ends_with("_bucket") {
                labels.insert("le".to_owned());
            }
            known.insert(name, labels);
        }
    }
    for rule in RECORDED {
        known.insert(rule.name.to_owned(), ["job".to_owned()].into());
    }
    known.insert("up".to_owned(), ADDED.map(str::to_owned).into());
    known
}

/// Words of an expression outside strings, and what follows each.
fn words(expr: &str) -> Vec<(String, char)> {
    let mut words = Vec::new();
    let mut chars = expr.chars().peekable();
    while let Some(first) = chars.next() {
        if first == '"' {
            while chars.next().is_some_and(|inside| inside != '"') {}
        } else if first.is_ascii_alphabetic() || first == '_' || first == '$' {
            let mut word = String::from(first);
            while let Some(next) = chars.next_if(|c| c.is_ascii_alphanumeric() || "_:".contains(*c))
            {
                word.push(next);
            }
            let next = chars.clone().find(|c| !c.is_whitespace());
            words.push((word, next.unwrap_or(' ')));
        } else if first.is_ascii_digit() {
            while chars.next_if(char::is_ascii_alphanumeric).is_some() {}
        }
    }
    words
}

const LANGUAGE: [&str; 11] = [
    "by", "on", "and", "or", "unless", "sum", "min", "max", "offset", "without", "group",
];

#[test]
fn expressions_name_metrics_and_labels_that_exist() {
    let known = known();
    for (place, expr) in all() {
        let words = words(&expr);
        let is_name = |word: &str| known.contains_key(word);
        let names: Vec<_> = words.iter().filter(|(word, _)| is_name(word)).collect();
        assert!(!names.is_empty(), "{place} names no metric: {expr}");
        let labels: BTreeSet<_> = names.iter().flat_map(|(name, _)| &known[name]).collect();
        for (word, next) in &words {
            let call = *next == '(' || LANGUAGE.contains(&word.as_str()) || word.starts_with('$');
            assert!(
                is_name(word) || call || labels.contains(word),
                "{place}: {word:?} is neither a metric nor a label of one: {expr}"
            );
        }
    }
}

#[test]
fn the_namespace_is_everywhere_or_nowhere() {
    let mut config = Config::default();
    config.telemetry.metrics.namespace = "acme".to_owned();
    let metrics = Metrics::of(&config.telemetry).unwrap();
    let mut texts = vec![rules(&metrics)];
    texts.extend(dashboards(&metrics).iter().flat_map(|board| {
        let panels = board.json["panels"].as_array().unwrap();
        panels
            .iter()
            .map(|panel| panel["targets"].to_string())
            .collect::<Vec<_>>()
    }));
    for text in texts {
        for line in text
            .lines()
            .filter(|line| !line.contains(":osapi_jobs_failed:"))
        {
            assert!(!line.contains("osapi_"), "{line}");
        }
    }
}

#[test]
fn configurations_with_other_names_are_refused() {
    use meterline::config::{Convention, Translation};
    let mut config = Config::default();
    config.telemetry.metrics.translation = Translation::None;
    let refused = Metrics::of(&config.telemetry).expect_err("names differ");
    assert!(refused.to_string().contains("translation"), "{refused}");
    let mut config = Config::default();
    config.telemetry.metrics.http.convention = Convention::Classic;
    let refused = Metrics::of(&config.telemetry).expect_err("names differ");
    assert!(refused.to_string().contains("convention"), "{refused}");
}

#[test]
fn alerts_have_a_runbook_and_dashboards_fit_their_grid() {
    let names: BTreeSet<_> = ALERTS.iter().map(|alert| alert.name).collect();
    assert_eq!(names.len(), ALERTS.len(), "names are distinct");
    for alert in ALERTS {
        assert!(
            !alert.steps.is_empty() && alert.means.ends_with('.'),
            "{}",
            alert.name
        );
    }
    for dashboard in dashboards(&Metrics::default()) {
        let panels = dashboard.json["panels"].as_array().unwrap();
        let places: BTreeSet<_> = panels
            .iter()
            .map(|panel| panel["gridPos"].to_string())
            .collect();
        assert_eq!(
            places.len(),
            panels.len(),
            "{}: panels overlap",
            dashboard.name
        );
        assert!(panels.iter().all(|panel| panel["title"] != Value::Null));
    }
}
