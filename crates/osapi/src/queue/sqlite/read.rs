//! Everything that only looks. Reads have connections of their own and never wait for the writer.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use super::clock::{Now, millis, timestamp};
use super::state::{self, DLQ};
use super::submit::read_operation;
use crate::queue::{
    JobFilter, JobId, JobPage, JobRecord, JobState, JobSummary, MAX_PAGE_BYTES, QueueOptions,
    QueueStats, StateCounts, Target, TimelineEvent, TimelineKind, UnitResponse, WorkerInfo,
    WorkerState,
};

/// Of a job for all, the attempts are those of its units.
const SUMMARY: &str = "id, state, operation, data, target,
    attempts + (SELECT coalesce(sum(unit.attempts), 0) FROM jobs unit WHERE unit.parent = jobs.seq),
    created_us, started_us, finished_us, worker, error";

/// A job with all its units; `None` when there is none.
pub(super) fn get(conn: &mut Connection, id: JobId) -> rusqlite::Result<Option<JobRecord>> {
    let tx = conn.transaction()?;
    let sql =
        format!("SELECT {SUMMARY}, result, timeline, seq FROM jobs WHERE id = ?1 AND parent = 0");
    let found = tx
        .prepare_cached(&sql)?
        .query_row(params![id.0], |row| {
            Ok((read_record(row)?, row.get::<_, i64>(13)?))
        })
        .optional()?;
    let Some((mut record, seq)) = found else {
        return Ok(None);
    };
    if record.target_hostname == Target::All {
        add_units(&tx, seq, &mut record)?;
    }
    Ok(Some(record))
}

/// The number a job is kept under.
pub(super) fn seq(conn: &mut Connection, id: JobId) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached("SELECT seq FROM jobs WHERE id = ?1 AND parent = 0")?
        .query_row(params![id.0], |row| row.get(0))
        .optional()
}

fn read_record(row: &Row<'_>) -> rusqlite::Result<JobRecord> {
    let summary = read_summary(row)?;
    let mut timeline = vec![TimelineEvent {
        timestamp: summary.created_at,
        event: TimelineKind::Submitted,
        worker: None,
        message: None,
    }];
    timeline.extend(state::events(row.get_ref(12)?.as_str()?));
    Ok(JobRecord {
        id: summary.id,
        status: summary.status,
        operation: summary.operation,
        target_hostname: summary.target_hostname,
        attempts: summary.attempts,
        created_at: summary.created_at,
        started_at: summary.started_at,
        finished_at: summary.finished_at,
        worker: summary.worker,
        result: read_json(row, 11)?,
        error: summary.error,
        responses: None,
        timeline,
    })
}

fn read_json(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<serde_json::Value>> {
    Ok(row
        .get_ref(column)?
        .as_str_or_null()?
        .and_then(|text| serde_json::from_str(text).ok()))
}

/// Adds what the workers did to the record of a job for all.
fn add_units(conn: &Connection, seq: i64, record: &mut JobRecord) -> rusqlite::Result<()> {
    let mut statement = conn.prepare_cached(
        "SELECT target, state, attempts, result, error, timeline FROM jobs WHERE parent = ?1 ORDER BY target",
    )?;
    let mut rows = statement.query(params![seq])?;
    let mut responses = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let response = UnitResponse {
            status: read_state(row.get(1)?),
            attempts: row.get(2)?,
            result: read_json(row, 3)?,
            error: row.get(4)?,
        };
        record
            .timeline
            .extend(state::events(row.get_ref(5)?.as_str()?));
        responses.insert(row.get(0)?, response);
    }
    // Stable, so the job's own end stays behind the unit's that brought it about.
    record.timeline.sort_by_key(|event| {
        (
            event.timestamp,
            event.worker.is_none() && event.event != TimelineKind::Submitted,
        )
    });
    record.responses = Some(responses);
    Ok(())
}

fn read_state(number: i64) -> JobState {
    state::decode(number).unwrap_or(JobState::Failed)
}

fn read_time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(timestamp))
}

fn read_summary(row: &Row<'_>) -> rusqlite::Result<JobSummary> {
    let target: String = row.get(4)?;
    Ok(JobSummary {
        id: JobId(row.get(0)?),
        status: read_state(row.get(1)?),
        operation: read_operation(row.get(2)?, row.get_ref(3)?.as_str()?),
        target_hostname: Target::try_from(target).unwrap_or(Target::Any),
        attempts: row.get(5)?,
        created_at: timestamp(row.get(6)?),
        started_at: read_time(row, 7)?,
        finished_at: read_time(row, 8)?,
        worker: row.get(9)?,
        error: row.get(10)?,
    })
}

/// A page of jobs, newest first. The page is found in an index, so a large offset reads no rows.
pub(super) fn list(conn: &mut Connection, filter: JobFilter) -> rusqlite::Result<JobPage> {
    let tx = conn.transaction()?;
    let (_, counts, _) = read_counts(&tx)?;
    let offset = i64::try_from(filter.offset).unwrap_or(i64::MAX);
    let page = match filter.status {
        None => "SELECT seq FROM jobs INDEXED BY jobs_parent WHERE parent = 0 AND :state IS NULL",
        Some(_) => "SELECT seq FROM jobs INDEXED BY jobs_state WHERE state = :state AND parent = 0",
    };
    let sql = format!(
        "SELECT {SUMMARY} FROM jobs WHERE seq IN ({page} ORDER BY seq DESC LIMIT :limit OFFSET :offset)
         ORDER BY seq DESC"
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let mut rows = statement.query(
        named_params! { ":state": filter.status.map(state::encode), ":limit": filter.limit, ":offset": offset },
    )?;
    let (mut items, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        bytes += text_len(row, 3)? + text_len(row, 10)?;
        if bytes > MAX_PAGE_BYTES && !items.is_empty() {
            break;
        }
        items.push(read_summary(row)?);
    }
    let total_items = filter
        .status
        .map_or_else(|| counts.total(), |status| counts.get(status));
    Ok(JobPage {
        total_items,
        status_counts: counts,
        items,
    })
}

fn text_len(row: &Row<'_>, column: usize) -> rusqlite::Result<usize> {
    let text = row.get_ref(column)?.as_str_or_null()?;
    Ok(text.map_or(0, str::len))
}

type Counts = (BTreeMap<String, StateCounts>, StateCounts, u64);

/// The counts by operation, their sum, and the length of the dead-letter queue.
fn read_counts(conn: &Connection) -> rusqlite::Result<Counts> {
    let mut operations: BTreeMap<String, StateCounts> = BTreeMap::new();
    let mut sum = StateCounts::default();
    let mut dlq = 0;
    let mut statement =
        conn.prepare_cached("SELECT operation, state, n FROM counts WHERE n > 0")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (operation, number, n): (String, i64, u64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if number == DLQ {
            dlq += n;
        } else if let Some(state) = state::decode(number) {
            *operations.entry(operation).or_default().get_mut(state) += n;
            *sum.get_mut(state) += n;
        }
    }
    Ok((operations, sum, dlq))
}

pub(super) fn stats(conn: &mut Connection) -> rusqlite::Result<QueueStats> {
    let tx = conn.transaction()?;
    let (operations, jobs, dlq) = read_counts(&tx)?;
    let oldest: Option<i64> = tx
        .prepare_cached(
            "SELECT created_us FROM jobs WHERE state = 0 AND parent = 0 ORDER BY seq LIMIT 1",
        )?
        .query_row([], |row| row.get(0))
        .optional()?;
    let now = Timestamp::now();
    let oldest_waiting = oldest.map(|created| {
        Duration::try_from(now.duration_since(timestamp(created))).unwrap_or_default()
    });
    Ok(QueueStats {
        jobs,
        dlq,
        oldest_waiting,
        operations,
    })
}

pub(super) fn workers(
    conn: &Connection,
    options: &QueueOptions,
) -> rusqlite::Result<Vec<WorkerInfo>> {
    let alive_since = Now::read().boot_ms - millis(options.lease);
    let mut statement = conn.prepare_cached(
        "SELECT name, hostname, labels, slots, active, processed, draining, started_us, seen_us, seen_boot
         FROM workers ORDER BY name",
    )?;
    let rows = statement.query_map([], |row| {
        let state = match (row.get::<_, i64>(9)? < alive_since, row.get::<_, bool>(6)?) {
            (true, _) => WorkerState::Lost,
            (false, true) => WorkerState::Draining,
            (false, false) => WorkerState::Ready,
        };
        Ok(WorkerInfo {
            worker: row.get(0)?,
            hostname: row.get(1)?,
            labels: serde_json::from_str(row.get_ref(2)?.as_str()?).unwrap_or_default(),
            state,
            slots: row.get(3)?,
            active: row.get(4)?,
            processed: row.get(5)?,
            started_at: timestamp(row.get(7)?),
            last_heartbeat: timestamp(row.get(8)?),
        })
    })?;
    rows.collect()
}
