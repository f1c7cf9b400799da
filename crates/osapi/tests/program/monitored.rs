//! The rules and dashboards with a real Prometheus, on a program that does real work.

use serde_json::{Value, json};

use crate::support::{output, stderr, stdout, up};

#[test]
fn rules_and_dashboards_are_printed_for_the_configured_namespace() {
    let namespace = ["--set", "telemetry.metrics.namespace=acme"];
    let rules = output(&[&["rules"][..], &namespace].concat());
    assert!(
        stdout(&rules).contains("(acme_jobs_oldest_waiting_seconds)"),
        "{}",
        stderr(&rules)
    );
    let board = output(&[&["dashboards", "jobs"][..], &namespace].concat());
    let board: Value = serde_json::from_str(&stdout(&board)).unwrap();
    assert!(board.to_string().contains("acme_job_wait_seconds_bucket"));
    let all = output(&["dashboards"]);
    let all: Value = serde_json::from_str(&stdout(&all)).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 4);
}

#[test]
fn dashboards_and_rules_are_written_to_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let into = dir.path().join("boards");
    let written = output(&["dashboards", "--out", into.to_str().unwrap()]);
    assert!(written.status.success(), "{}", stderr(&written));
    for path in stdout(&written).lines() {
        let text = std::fs::read_to_string(path).unwrap();
        let board: Value = serde_json::from_str(&text).unwrap();
        assert!(!board["panels"].as_array().unwrap().is_empty(), "{path}");
    }
    assert_eq!(std::fs::read_dir(&into).unwrap().count(), 4);

    let written = output(&["rules", "--out", into.to_str().unwrap()]);
    let file = std::fs::read_to_string(stdout(&written).trim()).unwrap();
    assert_eq!(file, stdout(&output(&["rules"])));
}

#[test]
fn what_cannot_be_printed_is_said() {
    let unknown = output(&["dashboards", "nope"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        stderr(&unknown).contains("http, jobs, nats, runtime"),
        "{}",
        stderr(&unknown)
    );
    let classic = output(&[
        "rules",
        "--set",
        "telemetry.metrics.http.convention=classic",
    ]);
    assert_eq!(classic.status.code(), Some(1));
    assert!(
        stderr(&classic).contains("semconv or both"),
        "{}",
        stderr(&classic)
    );
}

mod with_prometheus {
    use std::time::Duration;

    use xtask::{Prometheus, Target};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    /// Metrics of what this process does not use, or that need a failure to exist.
    const ABSENT: [&str; 4] = [
        "osapi_nats_",
        "error_type!=\"\"",
        "meterline_points_dropped",
        "meterline_otlp_",
    ];

    #[tokio::test(flavor = "multi_thread")]
    async fn a_healthy_system_has_its_rules_recorded_its_panels_filled_and_no_alert() {
        let server = up(&[]);
        let targets = [Target::new("osapi", server.address)];
        let rules = stdout(&output(&["rules"]));
        let prometheus =
            tokio::task::spawn_blocking(move || Prometheus::start_with_rules(&targets, &rules));
        let prometheus = prometheus.await.unwrap();
        let submit = async || {
            for _ in 0..20 {
                let id = server.submit("sleep", json!({"seconds": 0.01})).await;
                server.wait(&id, &["completed"]).await;
            }
        };
        submit().await;
        assert_eq!(server.get("/no/such/route").await.0, 404);
        let prometheus = tokio::task::spawn_blocking(move || {
            prometheus.wait_for(
                "osapi_jobs_completed_total{status='completed'}",
                LIMIT,
                |seen| seen.iter().any(|(_, value)| *value >= 20.0),
            );
            prometheus
        });
        let prometheus = prometheus.await.unwrap();
        submit().await;
        tokio::task::spawn_blocking(move || {
            let ratio = "job:http_server_errors:ratio_rate5m";
            prometheus.wait_for(ratio, LIMIT, |seen| matches!(seen, [(_, 0.0)]));
            prometheus.wait_for("job:osapi_jobs_failed:ratio_rate15m", LIMIT, |seen| {
                seen.len() == 1
            });
            panels_are_filled(&prometheus);
            the_cookbook_has_answers(&prometheus);
            let pending = prometheus.query("ALERTS");
            assert_eq!(pending, [], "nothing is wrong");
        })
        .await
        .unwrap();
    }

    /// Every expression of docs/promql.md; those of what this process does not use are at least valid.
    fn the_cookbook_has_answers(prometheus: &Prometheus) {
        let mut answered = 0;
        for block in include_str!("../../../../docs/promql.md")
            .split("```promql\n")
            .skip(1)
        {
            let (expr, _) = block.split_once("```").unwrap();
            if ABSENT[..1]
                .iter()
                .chain(&ABSENT[2..])
                .any(|name| expr.contains(name))
            {
                let _answers = prometheus.query(expr);
            } else {
                prometheus.wait_for(expr, LIMIT, |series| {
                    series.iter().any(|(_, value)| value.is_finite())
                });
                answered += 1;
            }
        }
        assert!(answered >= 35, "only {answered} expressions answered");
    }

    fn panels_are_filled(prometheus: &Prometheus) {
        let boards: Value = serde_json::from_str(&stdout(&output(&["dashboards"]))).unwrap();
        let mut filled = 0;
        for board in boards.as_array().unwrap() {
            let panels = board["panels"].as_array().unwrap();
            let targets = panels
                .iter()
                .flat_map(|panel| panel["targets"].as_array().unwrap());
            for target in targets {
                let expr = target["expr"].as_str().unwrap();
                let expr = expr.replace("$job", ".*").replace("$instance", ".*");
                let expr = expr.replace("$__rate_interval", "1m");
                let absent = ABSENT.iter().any(|name| expr.contains(name));
                if absent {
                    let _answers = prometheus.query(&expr);
                } else {
                    prometheus.wait_for(&expr, LIMIT, |series| !series.is_empty());
                    filled += 1;
                }
            }
        }
        assert!(filled > 30, "only {filled} queries gave anything");
    }
}
