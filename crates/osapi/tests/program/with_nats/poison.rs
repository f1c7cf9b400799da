//! Jobs that nobody can do.

use serde_json::{Value, json};
use xtask::NatsServer;

use super::{Site, fleet};
use crate::support::until;

#[tokio::test]
async fn a_job_that_fails_for_ever_ends_in_the_dead_letter_queue() {
    let broker = NatsServer::start();
    let site = Site::with(broker.url(), &["queue.max_attempts=3"]);
    let (api, _worker) = (site.api("api"), site.worker("w"));
    fleet(&api, 1).await;
    // It fails three times, and so succeeds at the fourth attempt only.
    let poison = api
        .submit("sleep", json!({"seconds": 0, "fail_attempts": 3}))
        .await;
    flow_on(&api).await;
    let record = api.wait(&poison, &["failed"]).await;
    assert_eq!(record["attempts"], 3, "{record}");
    assert_eq!(dead_letters(&api).await, 1);
    let letter = letter(&broker, &poison).await.expect("a dead letter");
    assert_eq!(
        (&letter["id"], &letter["attempts"]),
        (&json!(poison), &json!(3))
    );

    let (status, again) = api.post(&format!("/job/{poison}/retry"), &json!({})).await;
    assert_eq!(status, 201, "{again}");
    let again = again["job_id"].as_str().unwrap();
    assert_eq!(
        api.wait(again, &["failed"]).await["attempts"],
        3,
        "it is as it was"
    );
    assert_eq!(
        dead_letters(&api).await,
        1,
        "the new one, and not the old one"
    );
}

#[tokio::test]
async fn a_job_that_kills_its_workers_ends_in_the_dead_letter_queue_and_runs_once_it_is_mended() {
    let broker = NatsServer::start();
    let site = Site::with(broker.url(), &["queue.max_attempts=2"]);
    let (api, mut worker) = (site.api("api"), site.worker("w"));
    fleet(&api, 1).await;
    let mended = site.dir.path().join("mended");
    let script = format!("[ -e {} ] || kill -9 $PPID", mended.display());
    let data = json!({"program": "/bin/sh", "args": ["-c", script]});
    let poison = api.submit("command.exec", data).await;
    for _ in 0..2 {
        worker.wait_until_killed();
        // As a supervisor does.
        worker = site.worker("w");
    }
    let record = api.wait(&poison, &["failed"]).await;
    assert_eq!(record["attempts"], 2, "{record}");
    assert!(
        record["error"].as_str().unwrap().contains("vanished"),
        "{record}"
    );
    assert_eq!(dead_letters(&api).await, 1);
    assert!(letter(&broker, &poison).await.is_some());
    flow_on(&api).await;

    std::fs::write(mended, "").unwrap();
    let (_, again) = api.post(&format!("/job/{poison}/retry"), &json!({})).await;
    api.wait(again["job_id"].as_str().unwrap(), &["completed"])
        .await;
    assert_eq!(dead_letters(&api).await, 0);
    until("its letter is gone", async || {
        letter(&broker, &poison).await.is_none().then_some(())
    })
    .await;
}

/// Others are done meanwhile.
async fn flow_on(api: &crate::support::Server) {
    for _ in 0..10 {
        let id = api.submit("node.hostname.get", json!({})).await;
        api.wait(&id, &["completed"]).await;
    }
}

async fn dead_letters(api: &crate::support::Server) -> u64 {
    let (_, status) = api.get("/job/status").await;
    status["dlq"].as_u64().unwrap()
}

/// The copy in the stream of dead letters.
async fn letter(broker: &NatsServer, id: &str) -> Option<Value> {
    let client = async_nats::connect(broker.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    let stream = jetstream.get_stream("osapi_dlq").await.unwrap();
    let subject = format!("osapi.dlq.{id}");
    let message = stream
        .get_last_raw_message_by_subject(&subject)
        .await
        .ok()?;
    Some(serde_json::from_slice(&message.payload).unwrap())
}
