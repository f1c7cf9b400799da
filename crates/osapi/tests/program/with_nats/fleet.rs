//! Many workers share the work.

use std::collections::HashMap;
use std::time::Instant;

use serde_json::json;
use xtask::NatsServer;

use super::{Site, fleet, size};
use crate::metrics::page::scrape;
use crate::support::{Server, job, until};

const WORKERS: usize = 10;

#[tokio::test]
async fn ten_workers_share_the_work_and_each_has_its_part_of_a_job_for_all() {
    let jobs = size("OSAPI_CHAOS_JOBS", 1_000);
    let broker = NatsServer::start();
    let site = Site::new(broker.url());
    let api = site.api("api");
    let workers: Vec<Server> = (0..WORKERS)
        .map(|n| site.worker(&format!("w{n}")))
        .collect();
    fleet(&api, WORKERS).await;
    let begun = Instant::now();
    for _ in 0..jobs / 1_000 {
        let batch = vec![job("sleep", json!({"seconds": 0.005})); 1_000];
        let (status, body) = api.post("/job/batch", &json!({"jobs": batch})).await;
        assert_eq!(status, 201, "{body}");
    }
    for done in (1..=jobs / 1_000).map(|batch| batch * 1_000) {
        until("they are done", async || {
            let (_, status) = api.get("/job/status").await;
            (status["completed"].as_u64() >= Some(done)).then_some(())
        })
        .await;
    }
    println!("{WORKERS} workers did {jobs} jobs in {:?}", begun.elapsed());
    let shares = shares(&api, jobs).await;
    let fair = jobs / WORKERS as u64;
    println!("shares: {shares:?}");
    // Half of an equal share: the machine, too, shares its cores as it likes.
    let least = shares.values().min().unwrap();
    assert!(shares.len() == WORKERS && *least >= fair / 2, "{shares:?}");
    let mut processed = 0.0;
    for worker in &workers {
        processed += scrape(worker)
            .await
            .sum("osapi_worker_jobs_processed_total", &[]);
    }
    assert_eq!(processed, jobs as f64, "each ran once");

    let all = json!({"operation": {"type": "node.hostname.get"}, "target_hostname": "_all"});
    let (status, body) = api.post("/job", &all).await;
    assert_eq!(status, 201, "{body}");
    let record = api
        .wait(body["job_id"].as_str().unwrap(), &["completed"])
        .await;
    let responses = record["responses"].as_object().unwrap();
    assert_eq!(responses.len(), WORKERS, "{record}");
    assert!(
        responses.values().all(|one| one["status"] == "completed"),
        "{record}"
    );
}

/// How many jobs each worker did; each is there once, and done at the first attempt.
async fn shares(api: &Server, jobs: u64) -> HashMap<String, u64> {
    let mut shares = HashMap::new();
    let mut seen = std::collections::HashSet::new();
    for page in 0..jobs / 100 {
        let (_, page) = api
            .get(&format!("/job?limit=100&offset={}", page * 100))
            .await;
        for item in page["items"].as_array().unwrap() {
            assert_eq!(
                (&item["status"], &item["attempts"]),
                (&json!("completed"), &json!(1))
            );
            assert!(seen.insert(item["id"].clone()), "{item}");
            let worker = item["worker"].as_str().map(ToOwned::to_owned);
            *shares.entry(worker.unwrap()).or_default() += 1;
        }
    }
    assert_eq!(seen.len() as u64, jobs);
    shares
}
