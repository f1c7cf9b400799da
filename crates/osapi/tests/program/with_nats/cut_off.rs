//! Networks and machines that hang: nothing arrives, and nobody is told.

use std::time::{Duration, Instant};

use serde_json::json;
use xtask::NatsServer;

use super::network::Stretch;
use super::{LEASE, Site, executions, fleet, is_ready, ready, traced};
use crate::metrics::page::scrape;
use crate::support::{client, job, until};

const LATE: &str = "osapi_job_late_results_total";
const RESCUED: &str = "osapi_jobs_rescued_total";

#[tokio::test(flavor = "multi_thread")]
async fn the_late_result_of_a_worker_that_was_cut_off_is_dropped_and_counted() {
    let broker = NatsServer::start();
    let network = Stretch::to(broker.port()).await;
    let site = Site::new(broker.url());
    let api = site.api("api");
    let cut_off = site.worker_through(&network.url(), "cut-off");
    fleet(&api, 1).await;
    let log = site.dir.path().join("ran");
    let id = api.submit("command.exec", traced(1, 4.0, &log)).await;
    api.wait(&id, &["processing"]).await;
    let other = site.worker("other");
    fleet(&api, 2).await;

    network.cut();
    let since = Instant::now();
    until("the other worker runs it", async || {
        let (_, record) = api.get(&format!("/job/{id}")).await;
        let taken_over = record["worker"] == "other" && record["status"] == "processing";
        taken_over.then_some(())
    })
    .await;
    let took = since.elapsed();
    println!("the job of a worker cut off ran elsewhere after {took:?}, with a lease of {LEASE:?}");
    assert!(
        !is_ready(&cut_off).await,
        "it says that it cannot reach the broker"
    );
    let record = api.wait(&id, &["completed"]).await;
    assert_eq!(
        (&record["worker"], &record["attempts"]),
        (&json!("other"), &json!(2))
    );

    // The first attempt has come to its end meanwhile, and now to be reported.
    network.mend();
    until("the late result is counted", async || {
        (scrape(&cut_off).await.sum(LATE, &[]) == 1.0).then_some(())
    })
    .await;
    assert_eq!(
        api.get(&format!("/job/{id}")).await.1,
        record,
        "it changes nothing"
    );
    assert_eq!(executions(&log)[&1], 2);
    let mut rescued = 0.0;
    for server in [&api, &cut_off, &other] {
        rescued += scrape(server).await.sum(RESCUED, &[]);
    }
    assert_eq!(rescued, 1.0, "and it was taken over once");
    assert_eq!(scrape(&other).await.sum(LATE, &[]), 0.0);

    // It is a worker like any other again.
    let mut next = job("node.hostname.get", json!({}));
    next["target_hostname"] = json!("cut-off");
    let (_, next) = api.post("/job", &next).await;
    api.wait(next["job_id"].as_str().unwrap(), &["completed"])
        .await;
}

#[tokio::test]
async fn a_broker_that_hangs_is_told_of_and_waited_for() {
    let broker = NatsServer::start();
    let site = Site::new(broker.url());
    let (api, worker) = (site.api("api"), site.worker("w"));
    fleet(&api, 1).await;
    broker.pause();
    let begun = Instant::now();
    let request = client().post(api.url("/job"));
    let refused = request
        .json(&job("sleep", json!({"seconds": 0})))
        .send()
        .await
        .unwrap();
    println!(
        "an API whose broker hangs answers after {:?}",
        begun.elapsed()
    );
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "and not when the broker is back"
    );
    for server in [&api, &worker] {
        until("it is not ready", async || {
            (!is_ready(server).await).then_some(())
        })
        .await;
    }
    broker.resume();
    for server in [&api, &worker] {
        ready(server).await;
    }
    let id = api.submit("node.hostname.get", json!({})).await;
    api.wait(&id, &["completed"]).await;
}
