//! Starting and ending: what is left behind, who takes over, what a signal does.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::support::{DEADLINE, output, start, stderr, up};

#[tokio::test]
async fn up_keeps_its_data_private_and_its_jobs_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("deep/data");
    let args = [
        "up",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        data.to_str().unwrap(),
    ];
    let server = start(&args, &data);
    assert_eq!(
        fs::metadata(&data).unwrap().permissions().mode() & 0o777,
        0o700
    );
    let id = server.submit("sleep", json!({"seconds": 0})).await;
    let before = server.wait(&id, &["completed"]).await;
    server.signal(Signal::TERM);
    let (code, said) = server.ended();
    assert_eq!(code, Some(0), "{said}");
    assert!(
        !data.join("osapi.addr").exists(),
        "the address is gone with its server"
    );

    let server = start(&args, &data);
    assert_eq!(server.get(&format!("/job/{id}")).await.1, before);
}

#[tokio::test]
async fn api_and_worker_share_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let api = crate::support::api(dir.path(), &[]);
    let id = api.submit("node.hostname.get", json!({})).await;
    assert_eq!(
        api.get("/health/ready").await.0,
        200,
        "ready without a worker"
    );
    assert_eq!(
        api.get(&format!("/job/{id}")).await.1["status"],
        "submitted"
    );

    let worker = crate::support::worker(dir.path(), "w2", &[]);
    let record = api.wait(&id, &["completed", "failed"]).await;
    assert_eq!(
        (&record["status"], &record["worker"]),
        (&json!("completed"), &json!("w2"))
    );

    for (path, status) in [("/health", 200), ("/health/ready", 200), ("/job", 404)] {
        assert_eq!(worker.get(path).await.0, status, "{path}");
    }
    worker.signal(Signal::TERM);
    assert_eq!(worker.ended().0, Some(0));
    assert_eq!(
        api.get("/job/workers").await.1["total"],
        0,
        "it said goodbye"
    );
}

/// A scraper asks for the name it knows the host by.
#[tokio::test]
async fn a_worker_answers_to_the_names_of_where_it_listens() {
    let dir = tempfile::tempdir().unwrap();
    let anywhere = crate::support::worker(
        dir.path(),
        "w1",
        &[
            "--set",
            "telemetry.metrics.listen=0.0.0.0:0",
            "--set",
            "api.insecure=true",
        ],
    );
    let loopback = crate::support::worker(dir.path(), "w2", &[]);
    for (worker, status) in [(&anywhere, 200), (&loopback, 421)] {
        let url = format!("http://127.0.0.1:{}/health/ready", worker.address.port());
        let request = crate::support::client()
            .get(url)
            .header("host", "node7.example.org:9091");
        assert_eq!(request.send().await.unwrap().status(), status);
    }
}

#[tokio::test]
async fn a_second_worker_does_not_take_the_place_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let api = crate::support::api(dir.path(), &[]);
    let mut first = crate::support::worker(dir.path(), "w", &[]);
    let file = format!(
        "queue.sqlite.path={}",
        dir.path().join("queue.db").display()
    );
    let listen = "telemetry.metrics.listen=127.0.0.1:0";
    let args = [
        "worker",
        "--set",
        &file,
        "--set",
        listen,
        "--set",
        "worker.name=w",
    ];
    let refused = output(&args);
    assert_eq!(refused.status.code(), Some(1));
    let said = stderr(&refused);
    assert!(
        said.contains("already running") && said.contains("worker.name"),
        "{said}"
    );
    let id = api.submit("node.hostname.get", json!({})).await;
    assert_eq!(api.wait(&id, &["completed", "failed"]).await["worker"], "w");

    // One that was killed gives no notice, and its name is free all the same.
    first.signal(Signal::KILL);
    first.ended();
    first = crate::support::worker(dir.path(), "w", &[]);
    let id = api.submit("node.hostname.get", json!({})).await;
    assert_eq!(api.wait(&id, &["completed", "failed"]).await["worker"], "w");
    drop(first);
}

#[tokio::test]
async fn a_signal_lets_running_jobs_finish() {
    let server = up(&[]);
    let dir = server.dir.clone();
    let id = server.submit("sleep", json!({"seconds": 1})).await;
    server.wait(&id, &["processing"]).await;
    server.signal(Signal::TERM);
    // Meanwhile: not ready, no new jobs, but what there is can be read.
    let since = Instant::now();
    while server.get("/health/ready").await.0 != 503 {
        assert!(since.elapsed() < DEADLINE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let body = crate::support::job("sleep", json!({"seconds": 0}));
    let response = server
        .request(reqwest::Method::POST, "/job")
        .json(&body)
        .send()
        .await
        .unwrap();
    assert!(response.headers().contains_key("retry-after"));
    crate::support::problem(response, 503).await;
    assert_eq!(server.get(&format!("/job/{id}")).await.0, 200);
    let (code, said) = server.ended();
    assert_eq!(code, Some(0), "{said}");
    let _ = dir;
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let server = up(&[]);
    let id = server.submit("sleep", json!({"seconds": 600})).await;
    server.wait(&id, &["processing"]).await;
    server.signal(Signal::INT);
    let since = Instant::now();
    while server.get("/health/ready").await.0 != 503 {
        assert!(since.elapsed() < DEADLINE);
    }
    server.signal(Signal::TERM);
    let (code, said) = server.ended();
    assert_eq!(code, Some(1));
    assert!(said.contains("ended at once by a second SIGTERM"), "{said}");
}

#[test]
fn what_cannot_start_says_so_in_one_line_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let data_dir = data.to_str().unwrap();
    let one_line = |args: &[&str], named: &str| {
        let out = output(args);
        assert_eq!(out.status.code(), Some(1), "{args:?}: {}", stderr(&out));
        assert!(stderr(&out).starts_with("osapi: "), "{}", stderr(&out));
        assert!(stderr(&out).contains(named), "{}", stderr(&out));
        assert_eq!(stderr(&out).lines().count(), 1, "{}", stderr(&out));
    };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    one_line(
        &["up", "--listen", &address, "--data-dir", data_dir],
        &address,
    );
    assert!(!data.exists(), "nothing is made when the port is taken");

    let free = "127.0.0.1:0";
    one_line(
        &["up", "--listen", free, "--data-dir", "/proc/osapi"],
        "cannot make the directory /proc/osapi: ",
    );

    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    one_line(
        &["up", "--listen", free, "--data-dir", file.to_str().unwrap()],
        file.to_str().unwrap(),
    );

    fs::create_dir(&data).unwrap();
    fs::write(
        data.join("queue.db"),
        "this is not a database, however long one looks at it".repeat(100),
    )
    .unwrap();
    one_line(
        &["up", "--listen", free, "--data-dir", data_dir],
        "queue.db",
    );
    assert!(!data.join("osapi.addr").exists());

    let newer = dir.path().join("newer");
    fs::create_dir(&newer).unwrap();
    let db = rusqlite::Connection::open(newer.join("queue.db")).unwrap();
    db.execute_batch("PRAGMA user_version = 999999; CREATE TABLE job (x)")
        .unwrap();
    drop(db);
    one_line(
        &[
            "up",
            "--listen",
            free,
            "--data-dir",
            newer.to_str().unwrap(),
        ],
        "newer",
    );
}
