//! The page of a system over a broker.

mod with_nats {
    use tokio::task::block_in_place;
    use xtask::{Browser, NatsServer, Screen};

    use super::super::assert_quiet;
    use crate::support::api;

    #[tokio::test(flavor = "multi_thread")]
    async fn it_shows_whether_the_broker_is_there() {
        let broker = block_in_place(NatsServer::start);
        let dir = tempfile::tempdir().unwrap();
        let url = format!("queue.nats.url={}", broker.url());
        let server = api(dir.path(), &["--set", "queue.backend=nats", "--set", &url]);
        let shows =
            |text: &str| format!("document.querySelector('#store').textContent.includes('{text}')");
        block_in_place(|| {
            let mut browser = Browser::start();
            browser.open(&server.url("/"), Screen::DESKTOP);
            browser.wait(&shows("connected"));
            browser.wait("document.querySelector('#state.ok')");
            assert_quiet(&mut browser, &server);
            broker.kill();
            browser.wait(&shows("away"));
            browser.wait("document.querySelector('#state.degraded')");
            broker.restart();
            browser.wait(&shows("connected"));
            browser.wait("document.querySelector('#state.ok')");
        });
    }
}
