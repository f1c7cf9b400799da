//! What only this backend does; the promises of every backend are in `tests/queue_contract`.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::{Connection, StatementStatus, params};
use serde_json::json;
use tempfile::TempDir;

use super::clock::Now;
use super::tx::Tx;
use super::{SqliteQueue, schema, state};
use crate::queue::{
    Claim, JobId, JobState, NewJob, Operation, Queue, QueueError, QueueOptions, Registration,
    Target,
};

fn place() -> (TempDir, PathBuf) {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("data").join("queue.db");
    (dir, path)
}

fn open(path: &Path) -> Result<SqliteQueue, QueueError> {
    SqliteQueue::open(path, QueueOptions::default(), None)
}

fn job(data: serde_json::Value) -> NewJob {
    let operation = Operation {
        kind: "sleep".to_owned(),
        data,
    };
    NewJob {
        operation,
        target: Target::Any,
        idempotency_key: None,
        trace_context: None,
    }
}

async fn submit(queue: &SqliteQueue) -> JobId {
    queue.enqueue(vec![job(json!({}))]).await.expect("accepted")[0].id
}

#[tokio::test]
async fn files_are_for_their_owner_only() {
    let (_dir, path) = place();
    let queue = open(&path).expect("opens");
    submit(&queue).await;
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().expect("a directory")), 0o700);
    for suffix in ["", "-wal", "-shm"] {
        assert_eq!(
            mode(&PathBuf::from(format!("{}{suffix}", path.display()))),
            0o600,
            "{suffix}"
        );
    }
}

/// The worker's order to stop may come when the writer has answered a claim and nobody has looked yet.
#[tokio::test]
async fn a_claim_that_is_dropped_with_its_answer_gives_back() {
    let (_dir, path) = place();
    let queue = open(&path).expect("opens");
    queue.register(registration()).await.expect("registered");
    let id = submit(&queue).await;
    let mut claim = queue.claim(Claim {
        worker: "w".to_owned(),
        hostname: "h".to_owned(),
        slots: 1,
        wait: Duration::from_secs(60),
    });
    assert!(futures_util::poll!(&mut claim).is_pending());
    // Answered after the claim, so the claim's own answer is on its way.
    queue.give_back(Vec::new()).await.expect("works");
    let record = queue.get(id).await.expect("known");
    assert_eq!(record.status, JobState::Processing);
    drop(claim);
    queue.give_back(Vec::new()).await.expect("works");
    let record = queue.get(id).await.expect("known");
    assert_eq!((record.status, record.attempts), (JobState::Submitted, 0));
}

#[tokio::test]
async fn a_file_of_the_first_format_is_brought_up_to_date_with_its_jobs() {
    let (_dir, path) = place();
    fs::create_dir_all(path.parent().expect("a directory")).expect("made");
    let old = Connection::open(&path).expect("opens");
    old.execute_batch(include_str!("schema.sql")).expect("made");
    old.execute_batch(
        "PRAGMA application_id = 0x6f736170; PRAGMA user_version = 1;
         INSERT INTO jobs (id, state, route, due, created_us, operation, target, data)
         VALUES (x'01900000000070008000000000000001', 0, '', 0, 0, 'sleep', '_any', '{}');
         INSERT INTO counts VALUES ('sleep', 0, 1)",
    )
    .expect("filled");
    drop(old);
    let queue = open(&path).expect("opens");
    queue.register(registration()).await.expect("registered");
    let leases = queue.claim(claim(1)).await.expect("claimed");
    assert_eq!(leases.len(), 1);
    assert_eq!(leases[0].operation.kind, "sleep");
    assert_eq!(leases[0].trace_context, None);
}

#[tokio::test]
async fn a_newer_format_is_refused_untouched() {
    let (_dir, path) = place();
    open(&path).expect("opens").close().await;
    Connection::open(&path)
        .expect("opens")
        .pragma_update(None, "user_version", 99)
        .expect("written");
    let before = fs::read(&path).expect("there");
    let refused = open(&path).err().expect("refused");
    assert!(
        matches!(
            refused,
            QueueError::NewerVersion {
                found: 99,
                known: 2,
                ..
            }
        ),
        "{refused}"
    );
    assert!(refused.to_string().contains("queue.db"));
    assert_eq!(fs::read(&path).expect("there"), before);
}

#[tokio::test]
async fn a_damaged_or_foreign_file_is_refused() {
    let (_dir, path) = place();
    fs::create_dir_all(path.parent().expect("a directory")).expect("made");
    fs::write(
        &path,
        "this is not a database, but long enough to be taken for one. ".repeat(50),
    )
    .expect("written");
    let refused = open(&path).err().expect("refused");
    assert!(matches!(refused, QueueError::Corrupt { .. }), "{refused}");

    fs::remove_file(&path).expect("there");
    Connection::open(&path)
        .expect("opens")
        .execute_batch("CREATE TABLE theirs (x)")
        .expect("made");
    let refused = open(&path).err().expect("refused");
    assert!(refused.to_string().contains("another program"), "{refused}");

    fs::remove_file(&path).expect("there");
    let queue = open(&path).expect("opens");
    for _ in 0..50 {
        queue
            .enqueue(vec![job(json!("x".repeat(500)))])
            .await
            .expect("accepted");
    }
    queue.close().await;
    let mut bytes = fs::read(&path).expect("there");
    let (from, to) = (4096 * 3, bytes.len() - 4096);
    bytes[from..to].fill(0xff);
    fs::write(&path, bytes).expect("written");
    let refused = open(&path).err().expect("refused");
    assert!(matches!(refused, QueueError::Corrupt { .. }), "{refused}");
}

#[test]
fn a_place_that_cannot_be_opened_is_named() {
    let dir = TempDir::new().expect("a directory");
    fs::write(dir.path().join("file"), "").expect("written");
    let refused = open(&dir.path().join("file").join("queue.db"))
        .err()
        .expect("refused");
    assert!(matches!(refused, QueueError::Open { .. }), "{refused}");
    assert!(refused.to_string().contains("file/queue.db"), "{refused}");
}

/// A file that may not grow stands for a full disk: SQLite reports both in the same way.
#[tokio::test]
async fn a_full_disk_refuses_whole_groups_and_recovers() {
    let (_dir, path) = place();
    let queue = Arc::new(open(&path).expect("opens"));
    let first = submit(&queue).await;
    let limit = |pages: i64| {
        queue.write(move |tx| {
            let sql = format!("PRAGMA max_page_count = {pages}");
            tx.find(&sql, [], |row| row.get::<_, i64>(0))?;
            Ok(())
        })
    };
    limit(20).await.expect("limited");
    let batch = || {
        (0..40)
            .map(|_| job(json!("x".repeat(4000))))
            .collect::<Vec<_>>()
    };
    let refused = queue.enqueue(batch()).await.expect_err("no room");
    assert!(
        matches!(&refused, QueueError::Unavailable { reason, .. } if reason.contains("disk is full")),
        "{refused}"
    );
    assert_eq!(
        queue.stats().await.expect("readable").jobs.total(),
        1,
        "nothing of the batch is left"
    );
    assert_eq!(queue.get(first).await.expect("readable").id, first);
    limit(1_000_000).await.expect("unlimited");
    queue.enqueue(batch()).await.expect("there is room again");
    assert_eq!(queue.stats().await.expect("readable").jobs.total(), 41);
}

#[tokio::test]
async fn leases_of_an_earlier_boot_end_and_its_jobs_are_due() {
    let (_dir, path) = place();
    let queue = open(&path).expect("opens");
    queue.register(registration()).await.expect("registered");
    let (running, waiting, later) = (
        submit(&queue).await,
        submit(&queue).await,
        submit(&queue).await,
    );
    queue.close().await;
    let conn = Connection::open(&path).expect("opens");
    let far = Now::read().boot_ms + 1_000_000_000;
    conn.execute("UPDATE jobs SET due = ?1 + seq", params![far])
        .expect("written");
    let lease = "UPDATE jobs SET state = 1, lease = ?1, attempts = 1 WHERE id = ?2";
    conn.execute(lease, params![far, running.0])
        .expect("written");
    conn.execute(
        "UPDATE meta SET value = 'another boot' WHERE name = 'boot'",
        [],
    )
    .expect("written");
    drop(conn);

    let queue = open(&path).expect("opens");
    queue.register(registration()).await.expect("registered");
    assert_eq!(queue.maintain().await.expect("maintained").rescued.len(), 1);
    let leases = queue.claim(claim(5)).await.expect("claimed");
    let jobs: Vec<_> = leases.iter().map(|lease| lease.job).collect();
    assert_eq!(
        jobs,
        [waiting, later, running],
        "in their old order, the rescued one last"
    );
    assert!(
        leases
            .iter()
            .all(|lease| lease.waited < Duration::from_secs(60)),
        "{leases:?}"
    );
}

#[tokio::test]
async fn a_claim_nobody_waits_for_is_given_back() {
    let (_dir, path) = place();
    let queue = open(&path).expect("opens");
    queue.register(registration()).await.expect("registered");
    let id = submit(&queue).await;
    for _ in 0..50 {
        // Polled once: the request is with the writer when its caller leaves.
        let mut abandoned = queue.claim(claim(1));
        assert!(futures_util::poll!(&mut abandoned).is_pending());
        drop(abandoned);
    }
    let claim = crate::queue::Claim {
        wait: Duration::from_secs(20),
        ..claim(1)
    };
    let leases = queue.claim(claim).await.expect("claimed");
    assert_eq!((leases[0].job, leases[0].attempt), (id, 1));
}

/// The queries of the hot path use an index and keep their plan.
#[tokio::test]
async fn hot_queries_are_planned_once_and_scan_nothing() {
    let (_dir, path) = place();
    drop(open(&path).expect("opens"));
    let conn = schema::open_writer(&path).expect("opens");
    let queries = [
        "SELECT seq, parent, due FROM jobs WHERE route = ?1 AND due <= ?2 AND state IN (0, 2) ORDER BY due LIMIT ?3",
        "SELECT due FROM jobs WHERE route = ?1 AND state IN (0, 2) ORDER BY due LIMIT 1",
        "SELECT seq FROM jobs WHERE id = ?1 AND serial = ?2 AND state = 1",
        "SELECT seq FROM jobs WHERE state = 1 AND lease < ?1 LIMIT ?2",
        "SELECT created_us FROM jobs WHERE state = 0 AND parent = 0 ORDER BY seq LIMIT 1",
        "SELECT seq FROM jobs INDEXED BY jobs_parent WHERE parent = 0 ORDER BY seq DESC LIMIT ?1 OFFSET ?2",
        "SELECT seq FROM jobs INDEXED BY jobs_state WHERE state = ?1 AND parent = 0 ORDER BY seq DESC LIMIT ?2",
        "SELECT seq FROM jobs INDEXED BY jobs_finished WHERE finished_us < ?1 AND finished_us IS NOT NULL AND parent = 0 ORDER BY finished_us",
        "SELECT id FROM jobs WHERE key = ?1",
    ];
    for sql in queries {
        let mut explain = conn
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .expect("prepared");
        let none = vec![rusqlite::types::Null; explain.parameter_count()];
        let plan: Vec<String> = explain
            .query_map(rusqlite::params_from_iter(none), |row| row.get(3))
            .expect("explained")
            .collect::<Result<_, _>>()
            .expect("explained");
        let plan = plan.join("; ");
        assert!(
            plan.starts_with("SEARCH") && !plan.contains("TEMP B-TREE"),
            "{sql}: {plan}"
        );

        let mut statement = conn.prepare(sql).expect("prepared");
        for n in 0..10_i64 {
            let values = vec![n; statement.parameter_count()];
            statement
                .query(rusqlite::params_from_iter(values))
                .expect("run")
                .next()
                .expect("run");
        }
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0, "{sql}");
    }
}

#[tokio::test]
async fn transactions_are_counted_and_timed() {
    let (_dir, path) = place();
    let seen = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&seen);
    let tell = Arc::new(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    let queue = SqliteQueue::open(&path, QueueOptions::default(), Some(tell)).expect("opens");
    submit(&queue).await;
    let stats = queue.database().await.expect("answered");
    assert_eq!(stats.transactions_total, seen.load(Ordering::Relaxed));
    assert!(stats.transactions_total >= 1 && stats.queries_total >= 1);
    assert_eq!((stats.backend.as_str(), stats.connections), ("sqlite", 5));
    assert!(stats.size_bytes >= fs::metadata(&path).expect("there").size());
}

#[test]
fn stored_timelines_are_read_back() {
    let now = Now::read().timestamp();
    let kind = crate::queue::TimelineKind::Failed;
    let text =
        state::event(now, kind, Some("w\"1"), Some("a, b")) + &state::event(now, kind, None, None);
    let events = state::events(&text);
    assert_eq!(events.len(), 2);
    assert_eq!(
        (events[0].worker.as_deref(), events[0].message.as_deref()),
        (Some("w\"1"), Some("a, b"))
    );
    assert_eq!(state::events(""), []);
}

fn registration() -> Registration {
    Registration {
        worker: "w".to_owned(),
        instance: uuid::Uuid::now_v7(),
        hostname: "h".to_owned(),
        labels: std::collections::BTreeMap::new(),
        slots: 8,
    }
}

fn claim(slots: u32) -> crate::queue::Claim {
    crate::queue::Claim {
        worker: "w".to_owned(),
        hostname: "h".to_owned(),
        slots,
        wait: Duration::ZERO,
    }
}

/// What a group remembers of its own lookups never hides what a later call of the same group changed.
#[test]
fn a_claim_sees_what_the_same_group_did_before() {
    let (_dir, path) = place();
    let mut conn = schema::open_writer(&path).expect("opens");
    let transaction = conn.transaction().expect("begun");
    let options = QueueOptions::default();
    let mut tx = Tx::new(&transaction, &options);
    let claim = Claim {
        worker: "w".to_owned(),
        hostname: "h".to_owned(),
        slots: 5,
        wait: Duration::ZERO,
    };
    assert!(tx.claim(&claim).is_err(), "not registered yet");
    let registration = Registration {
        worker: "w".to_owned(),
        instance: uuid::Uuid::now_v7(),
        hostname: "h".to_owned(),
        labels: std::collections::BTreeMap::new(),
        slots: 5,
    };
    tx.register(&registration).expect("registered");
    for target in [
        Target::Any,
        Target::Host("h".to_owned()),
        Target::Host("w".to_owned()),
        Target::All,
    ] {
        assert_eq!(tx.claim(&claim).expect("asked").leases, []);
        let target = NewJob {
            target,
            ..job(json!({}))
        };
        tx.enqueue(&[target]).expect("accepted");
        let leases = tx.claim(&claim).expect("asked").leases;
        assert_eq!(leases.len(), 1);
        assert_eq!(tx.claim(&claim).expect("asked").leases, []);
        tx.give_back(&[leases[0].token]).expect("given back");
        assert_eq!(tx.claim(&claim).expect("asked").leases.len(), 1);
    }
    tx.enqueue(&[job(json!({}))]).expect("accepted");
    tx.set_draining("w", true).expect("known");
    assert_eq!(tx.claim(&claim).expect("asked").leases, []);
    tx.set_draining("w", false).expect("known");
    assert_eq!(tx.claim(&claim).expect("asked").leases.len(), 1);
    tx.deregister("w", registration.instance).expect("removed");
    assert!(tx.claim(&claim).is_err(), "no longer registered");
}

/// One operation that always fails, and one that panics, in a group with others.
#[tokio::test]
async fn a_poisoned_operation_fails_alone() {
    let (_dir, path) = place();
    let queue = open(&path).expect("opens");
    // Keeps the writer busy until the others wait, so that they are one group.
    let (release, held) = std::sync::mpsc::channel::<()>();
    let busy = queue.write(move |_| {
        let _ = held.recv();
        Ok(())
    });
    let poisoned = queue.write(|tx| {
        tx.execute("INSERT INTO meta (name, value) VALUES ('half', 'done')", [])?;
        tx.execute("INSERT INTO no_such_table VALUES (1)", [])?;
        Ok(())
    });
    let panicking = queue.write(|tx| -> Result<(), super::Refusal> {
        tx.execute("INSERT INTO meta (name, value) VALUES ('half', 'done')", [])?;
        panic!("on purpose")
    });
    let first = queue.enqueue(vec![job(json!({"n": 1}))]);
    let last = queue.enqueue(vec![job(json!({"n": 2}))]);
    let release = async move { drop(release) };
    let (busy, first, poisoned, panicking, last, ()) =
        tokio::join!(busy, first, poisoned, panicking, last, release);
    busy.expect("done");
    assert!(
        matches!(poisoned, Err(QueueError::Fault(_))),
        "{poisoned:?}"
    );
    assert!(
        matches!(panicking, Err(QueueError::Fault(_))),
        "{panicking:?}"
    );
    for accepted in [first, last] {
        let id = accepted.expect("accepted")[0].id;
        assert_eq!(
            queue.get(id).await.expect("known").status,
            JobState::Submitted
        );
    }
    let half = queue.write(|tx| {
        let half = tx.find("SELECT 1 FROM meta WHERE name = 'half'", [], |_| Ok(()))?;
        Ok(half.is_some())
    });
    assert!(!half.await.expect("read"), "nothing of them stays");
    assert_eq!(queue.stats().await.expect("counted").jobs.submitted, 2);
}
