//! Streams and consumers that were there before, and are not what is needed; and what no worker can begin.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::stream::{Config, StorageType};
use async_nats::jetstream::{self, Context};
use serde_json::json;
use xtask::NatsServer;

use super::let_in::refused;
use super::{Site, fleet, ready};
use crate::support::until;

async fn jetstream(broker: &NatsServer) -> Context {
    jetstream::new(async_nats::connect(broker.url()).await.unwrap())
}

#[tokio::test]
async fn streams_and_buckets_of_others_are_refused_and_left_alone() {
    let broker = NatsServer::start();
    let site = Site::new(broker.url());
    let jetstream = jetstream(&broker).await;
    type Other = (&'static str, &'static str, fn(&mut Config));
    let others: [Other; 5] = [
        (
            "osapi_work",
            "its retention is Limits, not WorkQueue",
            |_| {},
        ),
        (
            "osapi_work",
            "its subject is other, not osapi.work.>",
            |config| {
                config.subjects = vec!["other".to_owned()];
            },
        ),
        (
            "KV_osapi_state",
            "its storage is Memory, not File",
            |config| {
                config.storage = StorageType::Memory;
            },
        ),
        (
            "KV_osapi_state",
            "its history per subject is -1, not 1",
            |_| {},
        ),
        ("osapi_dlq", "direct reading is false, not true", |_| {}),
    ];
    for (name, why, change) in others {
        let subject = match name {
            "KV_osapi_state" => "$KV.osapi_state.>",
            "osapi_dlq" => "osapi.dlq.*",
            _ => "osapi.work.>",
        };
        let mut config = Config {
            name: name.to_owned(),
            subjects: vec![subject.to_owned()],
            ..Config::default()
        };
        change(&mut config);
        let made = jetstream.create_stream(config).await.unwrap();
        let before = made.cached_info().config.clone();
        refused(&site, &[name, why, "choose another queue.nats.prefix"]);
        let after = jetstream.get_stream(name).await.unwrap();
        assert_eq!(after.cached_info().config, before);
        jetstream.delete_stream(name).await.unwrap();
    }
    ready(&site.api("api")).await;
}

#[tokio::test]
async fn a_stream_of_a_newer_format_is_refused() {
    let broker = NatsServer::start();
    let site = Site::new(broker.url());
    ready(&site.api("api")).await;
    let jetstream = jetstream(&broker).await;
    let work = jetstream.get_stream("osapi_work").await.unwrap();
    let mut config = work.cached_info().config.clone();
    config
        .metadata
        .insert("osapi_format".to_owned(), "2".to_owned());
    jetstream.update_stream(config).await.unwrap();
    refused(&site, &["osapi_work", "format 2", "run the newer osapi"]);
}

#[tokio::test]
async fn a_consumer_of_others_is_told_of_and_taken_up_once_it_is_gone() {
    let broker = NatsServer::start();
    let site = Site::new(broker.url());
    let api = site.api("api");
    ready(&api).await;
    let jetstream = jetstream(&broker).await;
    let work = jetstream.get_stream("osapi_work").await.unwrap();
    let config = pull::Config {
        durable_name: Some("any".to_owned()),
        filter_subject: "osapi.work.other.*".to_owned(),
        ack_policy: AckPolicy::Explicit,
        ..pull::Config::default()
    };
    let _: PullConsumer = work.create_consumer(config).await.unwrap();
    let worker = site.worker("w");
    fleet(&api, 1).await;
    let id = api.submit("node.hostname.get", json!({})).await;
    until("the worker says so", async || {
        let said = worker.said();
        said.contains("consumer any of stream osapi_work is not a usable queue")
            .then_some(())
    })
    .await;
    work.delete_consumer("any").await.unwrap();
    api.wait(&id, &["completed"]).await;
}

#[tokio::test]
async fn a_changed_lease_is_applied_by_the_next_process_that_starts() {
    let broker = NatsServer::start();
    let ack_wait = async || {
        let work = jetstream(&broker)
            .await
            .get_stream("osapi_work")
            .await
            .unwrap();
        let info = work.consumer_info("any").await.unwrap();
        info.config.ack_wait
    };
    let site = Site::new(broker.url());
    let (api, first) = (site.api("api"), site.worker("w1"));
    fleet(&api, 1).await;
    let id = api.submit("node.hostname.get", json!({})).await;
    api.wait(&id, &["completed"]).await;
    assert_eq!(ack_wait().await, Duration::from_secs(2));
    let changed = Site::with(broker.url(), &["queue.lease=7s"]);
    let second = changed.worker("w2");
    fleet(&api, 2).await;
    until("the consumer has it", async || {
        (ack_wait().await == Duration::from_secs(7)).then_some(())
    })
    .await;
    assert!(
        second.said().contains("queue.lease has changed"),
        "{}",
        second.said()
    );
    drop(first);
    let id = api.submit("node.hostname.get", json!({})).await;
    api.wait(&id, &["completed"]).await;
}

/// Nobody gets that far with osapi's own consumers in a test's time, so this one's are given less patience.
#[tokio::test]
async fn what_the_broker_gives_up_delivering_is_failed() {
    let broker = NatsServer::start();
    let site = Site::new(broker.url());
    let api = site.api("api");
    ready(&api).await;
    let jetstream = jetstream(&broker).await;
    let work = jetstream.get_stream("osapi_work").await.unwrap();
    let config = pull::Config {
        durable_name: Some("any".to_owned()),
        filter_subject: "osapi.work.any.*".to_owned(),
        ack_policy: AckPolicy::Explicit,
        ack_wait: super::LEASE,
        max_deliver: 2,
        ..pull::Config::default()
    };
    let any: PullConsumer = work.create_consumer(config).await.unwrap();
    let id = api.submit("node.hostname.get", json!({})).await;
    // Takers that are gone before they have recorded anything. The last one gets nothing: only who asks
    // again makes the broker see that it has tried often enough.
    for patience in [5 * super::LEASE, 5 * super::LEASE, super::LEASE] {
        let batch = any.batch().max_messages(1).expires(patience);
        let mut messages = batch.messages().await.unwrap();
        let message = futures_util::StreamExt::next(&mut messages).await;
        assert_eq!(message.is_none(), patience == super::LEASE);
        if let Some(message) = message {
            let nak = jetstream::AckKind::Nak(None);
            message.unwrap().ack_with(nak).await.unwrap();
        }
    }
    let record = api.wait(&id, &["failed"]).await;
    let error = record["error"].as_str().unwrap();
    assert!(error.contains("delivered too often"), "{record}");
    let (_, status) = api.get("/job/status").await;
    assert_eq!(
        (&status["dlq"], &status["submitted"]),
        (&json!(1), &json!(0)),
        "{status}"
    );
    until("it is out of the stream of work", async || {
        let work = jetstream.get_stream("osapi_work").await.unwrap();
        (work.cached_info().state.messages == 0).then_some(())
    })
    .await;
}
