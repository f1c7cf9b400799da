//! Three brokers that keep three copies, and lose their leader.

use xtask::NatsCluster;

use super::load::Load;
use super::{Site, fleet, ready, size};
use crate::support::until;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_with_the_leader_of_a_cluster() {
    let rounds = size("OSAPI_CHAOS_LEADERS", 1);
    let cluster = NatsCluster::start();
    let site = Site::with(cluster.url(), &["queue.nats.replicas=3"]);
    let apis = [site.api("api-1"), site.api("api-2")];
    for api in &apis {
        ready(api).await;
    }
    let _workers = [site.worker("w1"), site.worker("w2")];
    fleet(&apis[0], 2).await;
    let servers = cluster.servers.each_ref().map(xtask::NatsServer::url);
    let client = async_nats::connect(&servers[..]).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    // Both streams that a job is acknowledged by, in turn.
    let streams = ["osapi_work", "KV_osapi_state"];
    let load = Load::start(&apis, site.dir.path().join("ran"));
    for round in 0..rounds {
        load.goes_on().await;
        load.longest_pause();
        let stream = streams[round as usize % 2];
        let leader = until("the stream has a leader", async || {
            let info = jetstream.get_stream(stream).await.ok()?;
            info.cached_info().cluster.as_ref()?.leader.clone()
        })
        .await;
        let server = cluster.named(&leader);
        server.kill();
        load.goes_on().await;
        println!(
            "the leader of {stream} was killed: no job was acknowledged for {:?}",
            load.longest_pause()
        );
        server.restart();
        until("the copies are whole again", async || {
            for stream in streams {
                let stream = jetstream.get_stream(stream).await.ok()?;
                let cluster = stream.cached_info().cluster.clone()?;
                let current = cluster
                    .replicas
                    .iter()
                    .filter(|copy| copy.current && !copy.offline);
                (cluster.leader.is_some() && current.count() == 2).then_some(())?;
            }
            Some(())
        })
        .await;
    }
    let ended = load.all_ended_once(&apis[1]).await;
    println!("{rounds} leaders killed: {ended:?}, none lost");
    assert!(ended.jobs >= rounds * 40, "{ended:?}");
}
