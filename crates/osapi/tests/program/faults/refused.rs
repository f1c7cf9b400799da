//! Data that cannot be used: one line that names it, and nothing half started.

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use serde_json::json;

use super::disk::in_namespace;
use crate::support::{osapi, output, start, stderr};

/// Every command refuses the file with one line; the file stays as it is.
fn refused(dir: &Path, named: &str) {
    let file = dir.join("queue.db");
    let before = fs::read(&file).unwrap();
    let path = format!("queue.sqlite.path={}", file.display());
    let commands: [&[&str]; 3] = [
        &[
            "up",
            "--listen",
            "127.0.0.1:0",
            "--data-dir",
            dir.to_str().unwrap(),
        ],
        &["api", "--set", "api.listen=127.0.0.1:0", "--set", &path],
        &[
            "worker",
            "--set",
            &path,
            "--set",
            "telemetry.metrics.listen=127.0.0.1:0",
        ],
    ];
    for command in commands {
        let ended = output(command);
        let said = stderr(&ended);
        assert_eq!(ended.status.code(), Some(1), "{command:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(
            said.starts_with("osapi: ") && said.contains(named),
            "{said}"
        );
        assert!(said.contains("queue.db"), "{said}");
        assert!(ended.stdout.is_empty());
        assert!(!dir.join("osapi.addr").exists());
    }
    assert!(fs::read(&file).unwrap() == before, "the file was touched");
}

/// A database the program itself made, with a job in it, and closed in order.
async fn used(dir: &Path) {
    let args = [
        "up",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        dir.to_str().unwrap(),
    ];
    let server = start(&args, dir);
    let id = server.submit("sleep", json!({"seconds": 0})).await;
    server.wait(&id, &["completed"]).await;
    server.signal(Signal::TERM);
    assert_eq!(server.ended().0, Some(0));
}

#[tokio::test]
async fn damaged_databases_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    used(dir.path()).await;
    let file = dir.path().join("queue.db");
    let whole = fs::read(&file).unwrap();
    assert!(whole.len() > 4 * 4096);

    // Pages in the middle overwritten, the end cut off, the header gone.
    let mut overwritten = whole.clone();
    overwritten[4096..3 * 4096].fill(0xa5);
    let mut headless = whole.clone();
    headless[..16].fill(0);
    for broken in [&overwritten[..], &whole[..whole.len() / 2], &headless] {
        fs::write(&file, broken).unwrap();
        refused(dir.path(), "is not a usable queue");
    }
    fs::write(&file, &whole).unwrap();
    let args = [
        "up",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        dir.path().to_str().unwrap(),
    ];
    let server = start(&args, dir.path());
    assert_eq!(server.get("/job").await.1["total_items"], 1);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    used(dir.path()).await;
    let db = rusqlite::Connection::open(dir.path().join("queue.db")).unwrap();
    let version: i64 = db
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    db.pragma_update(None, "user_version", version + 1).unwrap();
    db.close().unwrap();
    refused(dir.path(), "newer");
}

#[test]
fn a_directory_that_cannot_be_written_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "up",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        dir.path().to_str().unwrap(),
    ];
    // Read-only for everybody, root included.
    let mut command = in_namespace(dir.path(), "ro", &osapi(&args));
    let ended = command.output().unwrap();
    let said = stderr(&ended);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.starts_with("osapi: ") && said.contains(dir.path().to_str().unwrap()),
        "{said}"
    );
}
