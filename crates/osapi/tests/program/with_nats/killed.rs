//! `kill -9` of anybody, in random order, under load.

use std::time::Instant;

use serde_json::json;
use xtask::NatsServer;

use super::load::Load;
use super::network::Stretch;
use super::{LEASE, Site, fleet, ready, size};
use crate::support::until;

/// A small number that differs from call to call, the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        // xorshift64, Marsaglia 2003.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

#[tokio::test]
async fn a_dead_workers_job_runs_elsewhere_within_the_lease() {
    let broker = NatsServer::start();
    let site = Site::new(broker.url());
    let api = site.api("api");
    let mut first = site.worker("w1");
    fleet(&api, 1).await;
    let id = api.submit("sleep", json!({"seconds": 3})).await;
    api.wait(&id, &["processing"]).await;
    let _second = site.worker("w2");
    fleet(&api, 2).await;
    first.kill();
    let died = Instant::now();
    until("the job runs on the other worker", async || {
        let (_, record) = api.get(&format!("/job/{id}")).await;
        let elsewhere = record["status"] == "processing" && record["worker"] == "w2";
        elsewhere.then_some(())
    })
    .await;
    let took = died.elapsed();
    println!("a dead worker's job ran again after {took:?}, with a lease of {LEASE:?}");
    let record = api.wait(&id, &["completed"]).await;
    assert_eq!(record["attempts"], 2, "{record}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_whoever_is_killed() {
    const WORKERS: [&str; 3] = ["w1", "w2", "w3"];
    const APIS: [&str; 2] = ["api-1", "api-2"];
    let kills = size("OSAPI_CHAOS_KILLS", 8);
    let broker = NatsServer::start();
    let site = Site::new(broker.url());
    // The last worker has a network of its own, which fails, too.
    let network = Stretch::to(broker.port()).await;
    let worker = |name: &str| match name {
        "w3" => site.worker_through(&network.url(), name),
        _ => site.worker(name),
    };
    let mut apis = APIS.map(|name| site.api(name));
    let mut workers = WORKERS.map(worker);
    fleet(&apis[0], 3).await;
    let load = Load::start(&apis, site.dir.path().join("ran"));
    let mut dice = Dice(0x5eed);
    let mut blows = [0; 4];
    while blows[..3].iter().sum::<u64>() < kills {
        load.goes_on().await;
        let blow = match dice.roll(7) {
            0 => {
                broker.kill();
                broker.restart();
                0
            }
            1 | 2 => {
                let n = dice.roll(2) as usize;
                apis[n].kill();
                apis[n] = site.api(APIS[n]);
                load.moved(n, &apis[n]);
                1
            }
            3 => {
                network.cut();
                load.goes_on().await;
                tokio::time::sleep(LEASE).await;
                network.mend();
                3
            }
            _ => {
                let n = dice.roll(3) as usize;
                workers[n].kill();
                workers[n] = worker(WORKERS[n]);
                2
            }
        };
        blows[blow] += 1;
    }
    for api in &apis {
        ready(api).await;
    }
    let ended = load.all_ended_once(&apis[1]).await;
    let [brokers, apis, workers, cuts] = blows;
    println!(
        "{kills} kills (broker {brokers}, APIs {apis}, workers {workers}) and {cuts} cuts of the network: {ended:?}, none lost"
    );
    assert!(ended.jobs >= kills * 20, "{ended:?}");
}
