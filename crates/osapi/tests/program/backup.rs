//! The queue is copied while it works, and the copy takes over, as docs/operations.md tells.

use serde_json::json;

use crate::support::{api, until, up, worker};

#[tokio::test]
async fn a_copy_made_while_jobs_run_is_complete_and_runs_on() {
    const LEASE: [&str; 2] = ["--set", "queue.lease=2s"];

    let server = up(&[&LEASE[..], &["--set", "worker.slots=1"]].concat());
    for _ in 0..20 {
        let id = server.submit("node.hostname.get", json!({})).await;
        server.wait(&id, &["completed"]).await;
    }
    let running = server.submit("sleep", json!({"seconds": 120})).await;
    server.wait(&running, &["processing"]).await;
    let waiting = server.submit("node.uptime.get", json!({})).await;

    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join("queue.db");
    let queue = rusqlite::Connection::open(server.dir.join("queue.db")).unwrap();
    queue
        .execute("VACUUM INTO ?1", [copy.to_str().unwrap()])
        .unwrap();
    drop(server);

    let restored = api(elsewhere.path(), &LEASE);
    let (_, status) = restored.get("/job/status").await;
    assert_eq!(
        (&status["completed"], &status["total"]),
        (&json!(20), &json!(22)),
        "{status}"
    );
    let _worker = worker(elsewhere.path(), "w1", &LEASE);
    restored.wait(&waiting, &["completed"]).await;
    // Its worker is not there any more: another one takes it when the lease is over.
    until("the job that ran is taken again", async || {
        let (_, job) = restored.get(&format!("/job/{running}")).await;
        (job["worker"] == "w1" && job["status"] == "processing").then_some(())
    })
    .await;
}
