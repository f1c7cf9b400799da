//! A real Prometheus, and its linter, on the pages of the API and of a worker.

use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::support::{self, Server, worker};

/// An API and a worker in processes of their own, with metrics on.
fn two_processes() -> (TempDir, Server, Server) {
    let dir = tempfile::tempdir().unwrap();
    let args = ["--set", "debug=true", "--set", "queue.retry.base=10ms"];
    let api = support::api(dir.path(), &args);
    let worker = worker(dir.path(), "w", &args);
    (dir, api, worker)
}

async fn settled(api: &Server, ids: &[String]) {
    for id in ids {
        api.wait(id, &["completed"]).await;
    }
}

mod with_prometheus {
    use xtask::{Prometheus, Target};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    /// Submits a job every 50 ms, one in ten of which fails once, until told to stop.
    async fn load(api: &Server, mut stop: tokio::sync::oneshot::Receiver<()>) -> Vec<String> {
        let mut ids = Vec::new();
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        while stop.try_recv().is_err() {
            ticks.tick().await;
            let failures = u32::from(ids.len() % 10 == 0);
            let data = json!({"seconds": 0.02, "fail_attempts": failures});
            ids.push(api.submit("sleep", data).await);
        }
        settled(api, &ids).await;
        ids
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_prometheus_sees_both_processes_and_the_right_numbers() {
        let (_dir, api, worker) = two_processes();
        let targets = [
            Target::new("api", api.address),
            Target::new("worker", worker.address),
        ];
        let prometheus = tokio::task::spawn_blocking(move || Prometheus::start(&targets));
        let prometheus = prometheus.await.unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let load = tokio::spawn(async move { (load(&api, stopped).await.len(), api) });
        let prometheus = tokio::task::spawn_blocking(move || {
            while_it_works(&prometheus);
            prometheus
        });
        let prometheus = prometheus.await.unwrap();
        stop.send(()).unwrap();
        let (jobs, _api) = load.await.unwrap();
        let checked = tokio::task::spawn_blocking(move || once_quiet(&prometheus, jobs));
        checked.await.unwrap();
    }

    fn while_it_works(prometheus: &Prometheus) {
        // Eight good scrapes of each, and not one that failed.
        prometheus.wait_for("sum_over_time(up[1m])", LIMIT, |up| {
            up.len() == 2 && up.iter().all(|(_, scrapes)| *scrapes >= 8.0)
        });
        let worst = prometheus.query("min_over_time(up[1m])");
        assert!(
            worst.iter().all(|(_, up)| *up == 1.0),
            "{:?}",
            prometheus.targets()
        );
        assert!(
            prometheus
                .targets()
                .iter()
                .all(|target| target.last_error.is_empty())
        );
        // Twenty a second are asked for; a machine that is busy gives fewer.
        let one = |promql: &str, low: f64, high: f64| {
            prometheus.wait_for(
                promql,
                LIMIT,
                |answer| matches!(answer, [(_, value)] if *value > low && *value < high),
            );
        };
        one("sum(rate(osapi_jobs_created_total[5s]))", 0.5, 25.0);
        one("sum(rate(osapi_job_duration_seconds_count[5s]))", 0.5, 30.0);
        one(
            "sum(rate(http_server_request_total{http_route=\"/job\"}[5s]))",
            0.5,
            25.0,
        );
        // An attempt sleeps for 20 ms, or fails at once.
        one(
            "histogram_quantile(0.5, sum by (le) (rate(osapi_job_duration_seconds_bucket{status=\"completed\"}[5s])))",
            0.01,
            5.0,
        );
        one(
            "sum(rate(osapi_job_duration_seconds_sum{status=\"completed\"}[5s])) / \
             sum(rate(osapi_job_duration_seconds_count{status=\"completed\"}[5s]))",
            0.02,
            5.0,
        );
        one(
            "histogram_quantile(0.99, sum by (le) (rate(osapi_job_wait_seconds_bucket[5s])))",
            0.0,
            60.0,
        );
        one(
            "histogram_quantile(0.9, sum by (le) (rate(http_server_request_duration_seconds_bucket[5s])))",
            0.0,
            10.0,
        );
    }

    fn once_quiet(prometheus: &Prometheus, jobs: usize) {
        let is = |promql: &str, value: f64| {
            prometheus.wait_for(
                promql,
                LIMIT,
                |answer| matches!(answer, [(_, is)] if *is == value),
            );
        };
        let (jobs, failures) = (jobs as f64, jobs.div_ceil(10) as f64);
        is(
            "sum(osapi_jobs_created_total{job=\"api\", operation=\"sleep\"})",
            jobs,
        );
        is(
            "sum(osapi_jobs_completed_total{job=\"worker\", status=\"completed\"})",
            jobs,
        );
        is("sum(osapi_job_retries_total)", failures);
        is(
            "sum(osapi_job_duration_seconds_count{status=\"retried\"})",
            failures,
        );
        is("sum(osapi_job_wait_seconds_count)", jobs + failures);
        is(
            "sum(osapi_worker_jobs_processed_total{worker=\"w\"})",
            jobs + failures,
        );
        is("sum(osapi_jobs_active)", 0.0);
        is("sum(osapi_jobs_queued)", 0.0);
        is("sum(osapi_workers_connected{state=\"ready\"})", 1.0);
        is("sum(osapi_worker_slots{state=\"used\"})", 0.0);
        is(
            "sum(http_server_request_total{http_route=\"/job\", http_response_status_code=\"201\"})",
            jobs,
        );
        is(
            "sum(http_server_request_duration_seconds_count{http_route=\"/job\"})",
            jobs,
        );
        is("sum(http_server_active_requests)", 0.0);
        is("count(osapi_component_up == 1)", 2.0);
        is("count(target_info)", 2.0);
        is("sum(meterline_points_dropped_total)", 0.0);
        // The worker serves no API, the API runs no jobs.
        for absent in [
            "http_server_request_total{job=\"worker\"}",
            "osapi_job_duration_seconds_count{job=\"api\"}",
        ] {
            assert_eq!(prometheus.query(absent), [], "{absent}");
        }
    }
}

mod with_promtool {
    use xtask::promtool_check_metrics;

    use super::*;
    use crate::metrics::page::scrape;

    #[tokio::test]
    async fn promtool_finds_nothing_on_either_page() {
        let (_dir, api, worker) = two_processes();
        let data = json!({"seconds": 0, "fail_attempts": 1});
        let id = api.submit("sleep", data).await;
        settled(&api, &[id]).await;
        for server in [&api, &worker] {
            let page = scrape(server).await.text;
            assert!(page.contains("osapi_database_size_bytes"), "{page}");
            assert_eq!(promtool_check_metrics(&page), Ok(()));
        }
    }
}

mod with_python {
    use xtask::Python;

    use super::*;
    use crate::metrics::page::scrape;

    #[tokio::test]
    async fn the_official_parser_reads_both_pages() {
        let (_dir, api, worker) = two_processes();
        let id = api.submit("sleep", json!({"seconds": 0})).await;
        settled(&api, &[id]).await;
        let mut parser = Python::exposition_parser();
        for server in [&api, &worker] {
            let page = scrape(server).await;
            let families = parser.parse_exposition("text", &page.text).unwrap();
            assert_eq!(families.len(), page.families.len());
        }
    }
}
