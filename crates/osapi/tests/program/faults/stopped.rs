//! SIGTERM: what ends in time is finished, the rest is given back.

use rustix::process::Signal;
use serde_json::json;

use crate::support::{self, worker};

#[tokio::test]
async fn a_worker_drains_within_its_timeout_and_gives_back_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let api = support::api(dir.path(), &[]);
    let stopped = worker(dir.path(), "w", &["--set", "worker.drain_timeout=2s"]);
    let long = api.submit("sleep", json!({"seconds": 600})).await;
    let short = api.submit("sleep", json!({"seconds": 1})).await;
    for id in [&long, &short] {
        api.wait(id, &["processing"]).await;
    }
    stopped.signal(Signal::TERM);
    let (code, said) = stopped.ended();
    assert_eq!(code, Some(0), "{said}");
    let (_, short) = api.get(&format!("/job/{short}")).await;
    assert_eq!(
        (&short["status"], &short["attempts"]),
        (&json!("completed"), &json!(1)),
        "{short}"
    );
    let (_, long) = api.get(&format!("/job/{long}")).await;
    // As if it had not begun: an attempt given back is not one used up.
    assert_eq!(
        (&long["status"], &long["attempts"]),
        (&json!("submitted"), &json!(0)),
        "{long}"
    );
    let events: Vec<_> = long["timeline"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["event"])
        .collect();
    assert_eq!(events, ["submitted", "started", "returned"]);
    assert_eq!(api.get("/job/workers").await.1["total"], 0);
}
