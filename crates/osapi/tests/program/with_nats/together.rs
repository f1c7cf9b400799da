//! Processes on one broker are one system, also after it was away.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use xtask::NatsServer;

use super::{Site, fleet, is_ready};
use crate::metrics::page::scrape;
use crate::support::{client, job, output, until};

#[tokio::test]
async fn processes_on_one_broker_work_as_one() {
    let broker = NatsServer::start();
    let site = Site::new(broker.url());
    let (one, two) = (site.api("api-1"), site.api("api-2"));
    let workers = [site.worker("w1"), site.worker("w2")];
    fleet(&one, 2).await;

    let id = one.submit("node.hostname.get", json!({})).await;
    assert_eq!(two.wait(&id, &["completed"]).await["attempts"], 1);
    let all = json!({"operation": {"type": "node.uptime.get"}, "target_hostname": "_all"});
    let (status, body) = two.post("/job", &all).await;
    assert_eq!(status, 201, "{body}");
    let record = one
        .wait(body["job_id"].as_str().unwrap(), &["completed"])
        .await;
    let responses = record["responses"].as_object().unwrap();
    assert_eq!(responses.keys().collect::<Vec<_>>(), ["w1", "w2"]);

    let (status, body) = one.get("/health/status").await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["nats"]["connected"], true, "{body}");
    assert_eq!(body["jobs"]["completed"], 2, "{body}");
    assert_eq!(body["database"]["backend"], "nats", "{body}");
    for server in [&one, &workers[0]] {
        assert!(is_ready(server).await);
        let page = scrape(server).await;
        assert_eq!(page.sum("osapi_nats_connected", &[]), 1.0);
        assert!(!page.families.contains_key("osapi_database_size_bytes"));
    }
    let url = format!("http://{}", one.address);
    let measured = tokio::task::spawn_blocking(move || {
        output(&["bench", "jobs", "--server", &url, "--jobs", "40", "--json"])
    });
    let measured = measured.await.unwrap();
    let report: Value = serde_json::from_slice(&measured.stdout).unwrap();
    assert_eq!(report["not_completed"], 0, "{report}");
    assert!(report["end_to_end_ms"]["p99"].as_f64() > report["pick_up_ms"]["p50"].as_f64());
    let drained = one.post("/worker/w1/drain", &json!({})).await;
    assert_eq!(drained.0, 200, "{}", drained.1);
    until("the worker drains", async || {
        let (_, body) = two.get("/job/workers").await;
        (body["workers"][0]["state"] == "draining").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_broker_that_is_away_is_waited_for() {
    let broker = NatsServer::start();
    let site = Site::new(broker.url());
    let (api, worker) = (site.api("api"), site.worker("w"));
    fleet(&api, 1).await;
    let running = api.submit("sleep", json!({"seconds": 1})).await;
    api.wait(&running, &["processing"]).await;
    broker.kill();
    for server in [&api, &worker] {
        until("it is not ready", async || {
            (!is_ready(server).await).then_some(())
        })
        .await;
        assert_eq!(server.get("/health").await.0, 200, "it lives");
    }
    let begun = Instant::now();
    let request = client().post(api.url("/job"));
    let refused = request.json(&job("sleep", json!({"seconds": 0}))).send();
    let refused = refused.await.unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert!(begun.elapsed() < Duration::from_secs(5), "at once");
    // The job ends meanwhile, and is reported when there is somebody to report to.
    tokio::time::sleep(Duration::from_secs(1)).await;
    broker.restart();
    for server in [&api, &worker] {
        until("it is ready again", async || {
            is_ready(server).await.then_some(())
        })
        .await;
    }
    let record = api.wait(&running, &["completed"]).await;
    assert_eq!(record["worker"], "w", "{record}");
    let next = api.submit("node.hostname.get", json!({})).await;
    api.wait(&next, &["completed"]).await;
    let page = scrape(&api).await;
    assert!(page.sum("osapi_nats_reconnects_total", &[]) >= 1.0);
}
