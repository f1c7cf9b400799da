//! Brokers that have no room left, and have some again. Nobody is started anew.

use std::fs::{self, File};
use std::io::Write;

use async_nats::jetstream::{self, stream::Stream};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use xtask::NatsServer;

use super::{LEASE, Site, fleet, is_ready, ready};
use crate::support::{Server, job, problem, until};

/// Submits a batch of jobs with some weight, for a host that does not exist.
async fn batch(api: &Server) -> Result<Vec<String>, Response> {
    let name = ["x".repeat(60).as_str(); 4].join(".");
    let mut heavy = job("network.dns.get", json!({ "name": name }));
    heavy["target_hostname"] = json!("nobody");
    accepted(api, "/job/batch", &json!({"jobs": vec![heavy; 50]})).await
}

/// Submits one of them.
async fn one(api: &Server) -> Result<Vec<String>, Response> {
    let mut job = job("sleep", json!({"seconds": 0}));
    job["target_hostname"] = json!("nobody");
    accepted(api, "/job", &job).await
}

async fn accepted(api: &Server, path: &str, body: &Value) -> Result<Vec<String>, Response> {
    let answer = api.request(Method::POST, path).json(body).send().await;
    let answer = answer.unwrap();
    if answer.status() != StatusCode::CREATED {
        return Err(answer);
    }
    let body: Value = answer.json().await.unwrap();
    let one = [body.clone()];
    let jobs = body["jobs"].as_array().map_or(&one[..], |jobs| &jobs[..]);
    let ids = jobs.iter().map(|job| job["job_id"].as_str().unwrap());
    Ok(ids.map(ToOwned::to_owned).collect())
}

/// A refusal that says when to come again.
async fn refusal(answer: Response) -> String {
    let wait = answer.headers()["retry-after"].to_str().unwrap();
    assert!(wait.parse::<u32>().unwrap() > 0);
    problem(answer, 503).await
}

async fn jobs(api: &Server) -> u64 {
    let (status, page) = api.get("/job?limit=1").await;
    assert_eq!(status, 200, "{page}");
    page["total_items"].as_u64().unwrap()
}

async fn stream(broker: &NatsServer, name: &str) -> Stream {
    let client = async_nats::connect(broker.url()).await.unwrap();
    let jetstream = jetstream::new(client);
    jetstream.get_stream(name).await.unwrap()
}

/// Lets the stream hold so many bytes more than it does; `None` for any number.
async fn limit(broker: &NatsServer, name: &str, more: Option<u64>) {
    let client = async_nats::connect(broker.url()).await.unwrap();
    let jetstream = jetstream::new(client);
    let stream = jetstream.get_stream(name).await.unwrap();
    let info = stream.cached_info();
    let limit = more.map_or(-1, |more| i64::try_from(info.state.bytes + more).unwrap());
    let mut config = info.config.clone();
    config.max_bytes = limit;
    jetstream.update_stream(config).await.unwrap();
}

#[tokio::test]
async fn streams_at_their_limits_refuse_jobs_whole_and_take_them_again() {
    let broker = NatsServer::start();
    let site = Site::new(broker.url());
    let api = site.api("api");
    let mut acknowledged = 0;
    for name in ["osapi_work", "KV_osapi_state"] {
        for alone in [true, false] {
            limit(&broker, name, Some(40_000)).await;
            let refused = loop {
                let answer = if alone {
                    one(&api).await
                } else {
                    batch(&api).await
                };
                match answer {
                    Ok(ids) => acknowledged += ids.len() as u64,
                    Err(refused) => break refused,
                }
            };
            let said = refusal(refused).await;
            assert!(said.contains("maximum bytes exceeded"), "{said}");
            assert_eq!(api.get("/health").await.0, 200);
            let offered = stream(&broker, "osapi_work").await;
            let offered = offered.cached_info().state.messages;
            assert_eq!(
                offered, acknowledged,
                "no worker is offered what was refused"
            );
            // What can be read still is; of a batch the records may come when there is room.
            let shown = jobs(&api).await;
            assert!(shown == acknowledged || (!alone && shown < acknowledged));
            limit(&broker, name, None).await;
            until("it takes jobs again", async || {
                acknowledged += one(&api).await.ok()?.len() as u64;
                Some(())
            })
            .await;
            until("it shows all of them", async || {
                (jobs(&api).await == acknowledged).then_some(())
            })
            .await;
        }
    }
}

#[tokio::test]
async fn the_key_of_a_refused_job_is_free_again() {
    let broker = NatsServer::start();
    let site = Site::new(broker.url());
    let api = site.api("api");
    assert_eq!(jobs(&api).await, 0);
    let name = ["x".repeat(60).as_str(); 4].join(".");
    let heavy = job("network.dns.get", json!({ "name": name }));
    let ask = async || {
        let asked = api.request(Method::POST, "/job");
        let asked = asked.header("Idempotency-Key", "mine").json(&heavy);
        asked.send().await.unwrap()
    };
    // Room for the key and not for the record.
    limit(&broker, "KV_osapi_state", Some(700)).await;
    refusal(ask().await).await;
    let work = stream(&broker, "osapi_work").await.cached_info().clone();
    assert_eq!((work.state.last_sequence, work.state.messages), (1, 0));
    limit(&broker, "KV_osapi_state", None).await;
    until("it takes the job", async || {
        (ask().await.status() == StatusCode::CREATED).then_some(())
    })
    .await;
    let work = stream(&broker, "osapi_work").await.cached_info().clone();
    assert_eq!(work.state.messages, 1, "workers are offered it");
    assert_eq!(jobs(&api).await, 1);
}

#[tokio::test]
async fn a_state_stream_at_its_limit_makes_workers_wait_and_not_spin() {
    let broker = NatsServer::start();
    let site = Site::with(broker.url(), &["worker.slots=1"]);
    let (api, _worker) = (site.api("api"), site.worker("w"));
    fleet(&api, 1).await;
    let mut done = Vec::new();
    for _ in 0..5 {
        done.push(api.submit("node.status.get", json!({})).await);
        api.wait(done.last().unwrap(), &["completed"]).await;
    }
    let running = api.submit("sleep", json!({"seconds": 1})).await;
    api.wait(&running, &["processing"]).await;
    let waiting = api.submit("sleep", json!({"seconds": 0})).await;
    limit(&broker, "KV_osapi_state", Some(0)).await;
    refusal(one(&api).await.unwrap_err()).await;
    tokio::time::sleep(LEASE * 2).await;
    assert_eq!(
        api.get(&format!("/job/{running}")).await.1["status"],
        "processing"
    );
    let stream = stream(&broker, "osapi_work").await;
    let any = stream.consumer_info("any").await.unwrap();
    let delivered = any.delivered.consumer_sequence;
    assert!(delivered < 50, "{delivered} deliveries of seven jobs");
    // Records that are not needed any more can be removed, which makes room.
    for id in done {
        let removed = api.request(Method::DELETE, &format!("/job/{id}")).send();
        assert_eq!(removed.await.unwrap().status(), 204);
    }
    for id in [running, waiting] {
        let record = api.wait(&id, &["completed"]).await;
        assert_eq!(record["attempts"], 1, "{record}");
    }
    assert_eq!(jobs(&api).await, 2);
}

#[tokio::test]
async fn a_broker_at_its_limit_refuses_jobs_until_records_are_removed() {
    let broker = NatsServer::start_limited("max_file_store: 1MB");
    let site = Site::new(broker.url());
    let (api, _worker) = (site.api("api"), site.worker("w"));
    fleet(&api, 1).await;
    let mut ended = Vec::new();
    for _ in 0..20 {
        ended.push(api.submit("node.status.get", json!({})).await);
    }
    for id in &ended {
        api.wait(id, &["completed"]).await;
    }
    let mut acknowledged = Vec::new();
    let refused = loop {
        match one(&api).await {
            Ok(ids) => acknowledged.extend(ids),
            Err(refused) => break refused,
        }
    };
    println!("with the broker at its limit: {}", refusal(refused).await);
    for id in &ended {
        let removed = api.request(Method::DELETE, &format!("/job/{id}")).send();
        assert_eq!(removed.await.unwrap().status(), 204);
    }
    acknowledged.extend(one(&api).await.unwrap());
    assert_eq!(jobs(&api).await, acknowledged.len() as u64);
}

#[tokio::test]
async fn a_full_disk_at_the_broker_refuses_jobs_and_loses_none() {
    let broker = NatsServer::start_on_disk_of("48m");
    let site = Site::new(broker.url());
    let api = site.api("api");
    let mut acknowledged = batch(&api).await.unwrap();
    let filler = broker.store().join("filler");
    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file);
    let refused = loop {
        match batch(&api).await {
            Ok(ids) => acknowledged.extend(ids),
            Err(refused) => break refused,
        }
    };
    println!("with the broker's disk full: {}", refusal(refused).await);
    assert_eq!(api.get("/health").await.0, 200);
    until("it is not ready", async || {
        (!is_ready(&api).await).then_some(())
    })
    .await;

    // After such an error a stream of nats-server takes nothing until the server is started anew, which
    // its supervisor does; osapi is not.
    fs::remove_file(&filler).unwrap();
    broker.restart();
    until("it takes jobs again", async || {
        acknowledged.extend(batch(&api).await.ok()?);
        Some(())
    })
    .await;
    ready(&api).await;
    let _worker = site.worker("w");
    fleet(&api, 1).await;
    let id = api.submit("sleep", json!({"seconds": 0})).await;
    api.wait(&id, &["completed"]).await;
    for id in &acknowledged {
        let (status, record) = api.get(&format!("/job/{id}")).await;
        assert_eq!(
            (status.as_u16(), &record["status"]),
            (200, &json!("submitted")),
            "{record}"
        );
    }
}

#[tokio::test]
async fn producers_that_are_faster_than_workers_are_slowed_down() {
    let broker = NatsServer::start();
    let site = Site::with(broker.url(), &["queue.max_waiting=20", "worker.slots=1"]);
    let (api, _worker) = (site.api("api"), site.worker("w"));
    fleet(&api, 1).await;
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    while acknowledged.len() < 100 {
        let slow = job("sleep", json!({"seconds": 0.02}));
        match accepted(&api, "/job", &slow).await {
            Ok(ids) => acknowledged.extend(ids),
            Err(answer) => {
                assert!(refusal(answer).await.contains("queue.max_waiting"));
                refused += 1;
                let (_, status) = api.get("/job/status").await;
                assert!(status["submitted"].as_u64() <= Some(20), "{status}");
            }
        }
    }
    assert!(
        refused > 0,
        "a worker of one slot keeps up with this machine?"
    );
    for id in &acknowledged {
        api.wait(id, &["completed"]).await;
    }
    assert_eq!(jobs(&api).await, 100);
}
