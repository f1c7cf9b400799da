//! The file: how it is opened, what is in it, how older formats become the present one.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior, params};

use super::clock;
use crate::queue::QueueError;

/// "osap": marks the file as ours (the header's application id).
const APPLICATION_ID: i64 = 0x6f73_6170;

/// Each entry takes the file one format further; the header's user version counts those applied.
const MIGRATIONS: [&str; 2] = [
    include_str!("schema.sql"),
    include_str!("trace_context.sql"),
];

/// Files up to this size are checked in full when opened; larger ones would delay the start.
const QUICK_CHECK_LIMIT: u64 = 64 << 20;

/// Longest a statement waits for another process's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens the file for writing, creating it (readable by its owner only) or bringing it up to date.
pub(super) fn open_writer(path: &Path) -> Result<Connection, QueueError> {
    create_private(path)?;
    let mut conn = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let usable = |error: rusqlite::Error| unusable(path, &error);
    refuse_foreign(&conn, path)?;
    enable_wal(&conn).map_err(usable)?;
    migrate(&mut conn, path)?;
    quick_check(&conn, path)?;
    forget_earlier_boots(&mut conn).map_err(usable)?;
    Ok(conn)
}

/// Opens the file, which a writer has opened before, for reading.
pub(super) fn open_reader(path: &Path) -> Result<Connection, QueueError> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// What an error of the storage engine means to a caller of the queue.
pub(super) fn fault(place: &Path, error: &rusqlite::Error) -> QueueError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => QueueError::Corrupt {
            place: place.display().to_string(),
            reason: error.to_string(),
        },
        Some(ErrorCode::DiskFull) => QueueError::Unavailable {
            reason: "the disk is full".to_owned(),
            retry_after: Duration::from_secs(5),
        },
        _ => QueueError::Unavailable {
            reason: error.to_string(),
            retry_after: Duration::from_secs(1),
        },
    }
}

fn unusable(path: &Path, error: &rusqlite::Error) -> QueueError {
    match fault(path, error) {
        QueueError::Unavailable { reason, .. } => QueueError::Open {
            place: path.display().to_string(),
            reason,
        },
        other => other,
    }
}

fn create_private(path: &Path) -> Result<(), QueueError> {
    let failed = |error: std::io::Error| QueueError::Open {
        place: path.display().to_string(),
        reason: error.to_string(),
    };
    if let Some(dir) = path
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty() && !dir.exists())
    {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|error| QueueError::Open {
                place: path.display().to_string(),
                reason: format!("cannot make the directory {}: {error}", dir.display()),
            })?;
    }
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    Ok(())
}

fn connect(path: &Path, access: OpenFlags) -> Result<Connection, QueueError> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn =
        Connection::open_with_flags(path, flags).map_err(|error| unusable(path, &error))?;
    configure(&mut conn).map_err(|error| unusable(path, &error))?;
    Ok(conn)
}

fn configure(conn: &mut Connection) -> rusqlite::Result<()> {
    conn.busy_handler(Some(wait_briefly))?;
    // Without it SQLite looks at the values bound to a query and plans it anew for each: a quarter of
    // all time went there.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "cache_size", -16_384)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "wal_autocheckpoint", 4000)?;
    conn.pragma_update(None, "journal_size_limit", 64 << 20)?;
    conn.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Transactions are short, so waiting in small steps beats SQLite's own, which grow to 100 ms.
fn wait_briefly(attempt: i32) -> bool {
    const STEP: Duration = Duration::from_micros(500);
    thread::sleep(STEP);
    STEP.saturating_mul(attempt.unsigned_abs()) < BUSY_TIMEOUT
}

fn refuse_foreign(conn: &Connection, path: &Path) -> Result<(), QueueError> {
    let read = || -> rusqlite::Result<(i64, i64, i64)> {
        let tables = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        let application = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
        let version = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        Ok((tables, application, version))
    };
    let (tables, application, version) = read().map_err(|error| unusable(path, &error))?;
    let place = path.display().to_string();
    if tables > 0 && application != APPLICATION_ID {
        return Err(QueueError::Corrupt {
            place,
            reason: "it is another program's database".to_owned(),
        });
    }
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if version > known {
        return Err(QueueError::NewerVersion {
            place,
            found: version,
            known,
        });
    }
    Ok(())
}

/// Changing the journal mode takes the file for itself and does not wait for others by itself.
fn enable_wal(conn: &Connection) -> rusqlite::Result<()> {
    let mut attempt = 0;
    loop {
        match conn.pragma_update(None, "journal_mode", "WAL") {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && wait_briefly(attempt) =>
            {
                attempt += 1;
            }
            other => return other,
        }
    }
}

fn migrate(conn: &mut Connection, path: &Path) -> Result<(), QueueError> {
    let run = |conn: &mut Connection| -> rusqlite::Result<()> {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version: i64 = tx.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        let applied = usize::try_from(version).unwrap_or(0);
        for migration in MIGRATIONS.iter().skip(applied) {
            tx.execute_batch(migration)?;
        }
        if applied < MIGRATIONS.len() {
            tx.pragma_update(None, "application_id", APPLICATION_ID)?;
            tx.pragma_update(None, "user_version", MIGRATIONS.len())?;
        }
        tx.commit()
    };
    run(conn).map_err(|error| unusable(path, &error))
}

fn quick_check(conn: &Connection, path: &Path) -> Result<(), QueueError> {
    if path
        .metadata()
        .is_ok_and(|file| file.len() > QUICK_CHECK_LIMIT)
    {
        return Ok(());
    }
    let verdict: String = conn
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| unusable(path, &error))?;
    if verdict == "ok" {
        return Ok(());
    }
    // A heading, then the finding; told in one line.
    let finding = verdict.lines().last().unwrap_or_default().trim_end();
    Err(QueueError::Corrupt {
        place: path.display().to_string(),
        reason: format!("it is damaged: {finding}"),
    })
}

/// Times of the boot clock mean nothing after a reboot. Whoever held a lease then is gone, so every
/// lease ends; what waits is due, in the order it was.
fn forget_earlier_boots(conn: &mut Connection) -> rusqlite::Result<()> {
    let boot = clock::boot_id();
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let known: Option<String> = tx
        .query_row("SELECT value FROM meta WHERE name = 'boot'", [], |row| {
            row.get(0)
        })
        .optional()?;
    if known.as_deref() != Some(&boot) {
        tx.execute("UPDATE jobs SET lease = 0 WHERE state = 1", [])?;
        let latest: Option<i64> = tx.query_row(
            "SELECT max(due) FROM jobs WHERE state IN (0, 2)",
            [],
            |row| row.get(0),
        )?;
        if let Some(latest) = latest.filter(|latest| *latest > 0) {
            tx.execute(
                "UPDATE jobs SET due = due - ?1 - 1 WHERE state IN (0, 2)",
                params![latest],
            )?;
        }
        tx.execute("UPDATE workers SET seen_boot = 0", [])?;
        tx.execute(
            "INSERT OR REPLACE INTO meta (name, value) VALUES ('boot', ?1)",
            params![boot],
        )?;
    }
    tx.commit()
}
