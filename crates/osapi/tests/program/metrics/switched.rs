//! Metrics on, off, and on an address of their own.

use std::collections::HashSet;
use std::net::TcpListener;
use std::time::Instant;

use procfs::net::TcpState;
use procfs::process::{FDTarget, Process};
use reqwest::Method;
use serde_json::json;

use super::page::scrape;
use crate::support::{self, DEADLINE, Server, client, osapi, output, read, start, stderr, up};

/// How many TCP sockets a process listens on.
fn listeners(server: &Server) -> usize {
    let process = Process::new(i32::try_from(server.pid()).unwrap()).unwrap();
    let sockets: HashSet<u64> = process
        .fd()
        .unwrap()
        .filter_map(|fd| match fd.ok()?.target {
            FDTarget::Socket(inode) => Some(inode),
            _ => None,
        })
        .collect();
    let all = procfs::net::tcp()
        .unwrap()
        .into_iter()
        .chain(procfs::net::tcp6().unwrap());
    all.filter(|socket| socket.state == TcpState::Listen && sockets.contains(&socket.inode))
        .count()
}

async fn pages(server: &Server, status: u16) {
    for path in ["/metrics", "/metrics.json"] {
        let answer = read(server.request(Method::GET, path)).await;
        assert_eq!(answer.0, status, "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn metrics_are_off_without_debug_and_nothing_listens_for_them() {
    let dir = tempfile::tempdir().unwrap();
    let api = support::api(
        dir.path(),
        &["--set", "telemetry.metrics.listen=127.0.0.1:0"],
    );
    let worker = support::worker(dir.path(), "w", &[]);
    let id = api.submit("sleep", json!({"seconds": 0})).await;
    api.wait(&id, &["completed"]).await;
    pages(&api, 404).await;
    assert_eq!(listeners(&api), 1, "the API's own");
    assert!(!api.printed().contains("metrics"), "{}", api.printed());
    // A worker has its health checks there all the same.
    pages(&worker, 404).await;
    assert_eq!(worker.get("/health/ready").await.0, 200);
    assert_eq!(listeners(&worker), 1);
}

#[tokio::test]
async fn an_explicit_setting_wins_over_debug() {
    let off = up(&["--set", "telemetry.metrics.enabled=false"]);
    pages(&off, 404).await;
    let id = off.submit("sleep", json!({"seconds": 0})).await;
    off.wait(&id, &["completed"]).await;

    let dir = tempfile::tempdir().unwrap();
    let on = support::api(dir.path(), &["--set", "telemetry.metrics.enabled=true"]);
    pages(&on, 200).await;

    // By the environment, under the long name and the short one.
    for name in [
        "OSAPI_TELEMETRY__METRICS__ENABLED",
        "OSAPI_PROMETHEUS_ENABLED",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        let mut command = osapi(&["up", "--listen", "127.0.0.1:0", "--data-dir", path]);
        command.env(name, "false");
        let file = dir.path().join("osapi.addr");
        let server = support::spawn(command, dir.path(), |_| {
            std::fs::read_to_string(&file).ok()?.trim().parse().ok()
        });
        pages(&server, 404).await;
    }
}

#[tokio::test]
async fn pages_move_to_their_own_listener_and_path() {
    let server = up(&[
        "--set",
        "telemetry.metrics.listen=127.0.0.1:0",
        "--set",
        "telemetry.metrics.path=/m",
        "--set",
        "telemetry.metrics.json_path=/m.json",
    ]);
    let id = server.submit("sleep", json!({"seconds": 0})).await;
    server.wait(&id, &["completed"]).await;
    pages(&server, 404).await;
    assert_eq!(listeners(&server), 2);
    let since = Instant::now();
    let url = loop {
        let printed = server.printed();
        if let Some((_, rest)) = printed.split_once("metrics  ") {
            break rest.lines().next().unwrap().to_owned();
        }
        assert!(since.elapsed() < DEADLINE, "{printed}");
    };
    assert!(
        url.ends_with("/m") && !url.contains(&server.address.to_string()),
        "{url}"
    );
    let page = client()
        .get(&url)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(page.contains("\nosapi_jobs_created_total{"), "{page}");
    let json = read(client().get(format!("{url}.json"))).await;
    assert_eq!(
        (json.0.as_u16(), json.1["database"]["backend"].as_str()),
        (200, Some("sqlite"))
    );
    // Only the pages are there.
    assert_eq!(read(client().get(url.replace("/m", "/job"))).await.0, 404);
}

#[test]
fn a_metrics_port_in_use_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let listen = format!("telemetry.metrics.listen={address}");
    let path = format!("queue.sqlite.path={}", data.join("queue.db").display());
    let commands: [&[&str]; 3] = [
        &[
            "up",
            "--listen",
            "127.0.0.1:0",
            "--data-dir",
            data.to_str().unwrap(),
        ],
        &[
            "api",
            "--set",
            "debug=true",
            "--set",
            "api.listen=127.0.0.1:0",
            "--set",
            &path,
        ],
        &["worker", "--set", &path],
    ];
    for command in commands {
        let mut args = command.to_vec();
        args.extend(["--set", &listen]);
        let ended = output(&args);
        assert_eq!(ended.status.code(), Some(1), "{}", stderr(&ended));
        let said = stderr(&ended);
        assert!(
            said.starts_with("osapi: ") && said.contains(&address),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(!data.exists(), "{command:?} made {}", data.display());
    }
    drop(taken);
    let args = [
        "up",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        data.to_str().unwrap(),
        "--set",
        &listen,
    ];
    start(&args, &data);
}

#[tokio::test]
async fn a_namespace_renames_what_is_osapis_own_and_nothing_else() {
    let server = up(&["--set", "telemetry.metrics.namespace=shop"]);
    let id = server.submit("sleep", json!({"seconds": 0})).await;
    server.wait(&id, &["completed"]).await;
    let page = scrape(&server).await;
    let begin = |prefix: &str| {
        let names = page.families.keys();
        names.filter(|name| name.starts_with(prefix)).count()
    };
    assert_eq!(begin("osapi"), 0);
    assert!(begin("shop_job") >= 5 && begin("http_server_") == 5 && begin("process_") == 7);
    assert_eq!(page.sum("shop_jobs_created_total", &[]), 1.0);
}
