//! The metrics of a real client's connection to a real server.

#![cfg(feature = "nats")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod common;

mod with_nats {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use async_nats::{Client, ConnectOptions};
    use meterline_jobs::{NatsMetrics, Probe};
    use meterline_sdk::MeterProvider;
    use xtask::NatsServer;

    use crate::common::{Series, builder, meterline, series};

    const CONNECTED: &str = "shop.nats.connected{}";
    const RECONNECTS: &str = "shop.nats.reconnects{}";
    const FAILURES: &str = "shop.nats.publish_failures{}";
    const RTT: &str = "shop.nats.rtt{}";

    const DEADLINE: Duration = Duration::from_secs(30);

    fn probe() -> Probe {
        Probe {
            every: Duration::from_millis(50),
            timeout: Duration::from_millis(500),
            subject: None,
        }
    }

    async fn server(config: &'static str) -> Arc<NatsServer> {
        let started = tokio::task::spawn_blocking(move || NatsServer::start_with(config));
        Arc::new(started.await.unwrap())
    }

    /// Does something to the server that blocks.
    async fn to(server: &Arc<NatsServer>, act: fn(&NatsServer)) {
        let server = Arc::clone(server);
        tokio::task::spawn_blocking(move || act(&server))
            .await
            .unwrap();
    }

    async fn connect(server: &NatsServer) -> Client {
        let options = ConnectOptions::new().ping_interval(Duration::from_millis(200));
        options.connect(server.url()).await.unwrap()
    }

    async fn until(provider: &MeterProvider, wanted: impl Fn(&Series) -> bool) -> Series {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let now = series(provider);
            if wanted(&now) {
                return now;
            }
            assert!(Instant::now() < deadline, "never as wanted: {now:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn a_server_that_is_killed_and_comes_back_shows() {
        let server = server("").await;
        let client = connect(&server).await;
        let (provider, instruments) = meterline();
        let nats = NatsMetrics::new(&instruments, &client, probe());
        let up = until(&provider, |now| now.contains_key(RTT)).await;
        assert_eq!(
            (up[CONNECTED], up[RECONNECTS], up[FAILURES]),
            (1.0, 0.0, 0.0)
        );
        assert!(up[RTT] > 0.0 && up[RTT] < 0.5, "{up:?}");

        for times in 1..=2 {
            to(&server, NatsServer::kill).await;
            let down = until(&provider, |now| now[CONNECTED] == 0.0).await;
            assert!(!down.contains_key(RTT), "{down:?}");
            assert_eq!(down[RECONNECTS], f64::from(times - 1));
            to(&server, NatsServer::restart).await;
            let wanted = |now: &Series| now[CONNECTED] == 1.0 && now.contains_key(RTT);
            let up = until(&provider, wanted).await;
            assert_eq!(up[RECONNECTS], f64::from(times));
        }

        // Nothing is observed, probed or kept open any longer.
        drop(nats);
        let gone = series(&provider);
        assert!(
            !gone.contains_key(CONNECTED) && !gone.contains_key(RTT),
            "{gone:?}"
        );
        assert_eq!(gone[FAILURES], 0.0);
    }

    #[tokio::test]
    async fn a_server_that_hangs_has_no_round_trip_and_the_probe_gives_up() {
        let server = server("").await;
        // Far from noticing by itself.
        let client = async_nats::connect(server.url()).await.unwrap();
        let (provider, instruments) = meterline();
        let _nats = NatsMetrics::new(&instruments, &client, probe());
        until(&provider, |now| now.contains_key(RTT)).await;
        to(&server, NatsServer::pause).await;
        let hung = until(&provider, |now| !now.contains_key(RTT)).await;
        assert_eq!((hung[CONNECTED], hung[RECONNECTS]), (1.0, 0.0));
        to(&server, NatsServer::resume).await;
        until(&provider, |now| now.contains_key(RTT)).await;
    }

    #[tokio::test]
    async fn failed_publishes_are_counted_and_passed_on() {
        let server = server("max_payload: 64").await;
        let client = connect(&server).await;
        let (provider, instruments) = meterline();
        let nats = NatsMetrics::new(&instruments, &client, probe());
        let sent = client.publish("a", "x".into()).await;
        nats.published(sent).unwrap();
        for _ in 0..3 {
            let sent = client.publish("a", vec![0; 65].into()).await;
            nats.published(sent).unwrap_err();
        }
        nats.publish_failed();
        assert_eq!(series(&provider)[FAILURES], 4.0);
    }

    #[tokio::test]
    async fn a_client_that_may_not_publish_to_inboxes_probes_where_it_may() {
        let server = server(
            "authorization { users: [{user: u, password: p, permissions: \
             {publish: [\"probe.nobody\"], subscribe: [\"_INBOX.>\"]}}] }",
        )
        .await;
        let options = ConnectOptions::with_user_and_password("u".into(), "p".into());
        let client = options.connect(server.url()).await.unwrap();
        let (refused, instruments) = meterline();
        let mut patient = probe();
        patient.timeout = Duration::from_millis(100);
        let _refused = NatsMetrics::new(&instruments, &client, patient);
        let allowed = MeterProvider::builder().build();
        let instruments = builder().meter_provider(&allowed).build().unwrap();
        let mut elsewhere = probe();
        elsewhere.subject = Some("probe.nobody".to_owned());
        let _allowed = NatsMetrics::new(&instruments, &client, elsewhere);
        let seen = until(&allowed, |now| now.contains_key(RTT)).await;
        assert_eq!(seen[CONNECTED], 1.0);
        let unseen = series(&refused);
        assert_eq!(unseen[CONNECTED], 1.0);
        assert!(!unseen.contains_key(RTT), "{unseen:?}");
    }
}
