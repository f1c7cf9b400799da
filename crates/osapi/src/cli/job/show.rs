//! A job's record, for people.

use std::io::{self, Write};

use serde_json::Value;

use super::super::page::visible;
use super::super::table::Cell;
use super::super::{Failure, print_json};
use crate::queue::JobRecord;

/// Everything about a job.
pub(super) fn print(record: &JobRecord, json: bool) -> Result<(), Failure> {
    if json {
        return print_json(record);
    }
    let mut out = io::stdout().lock();
    writeln!(out, "id:        {}", record.id)?;
    writeln!(out, "status:    {}", Cell::from(record.status).painted())?;
    writeln!(out, "operation: {}", visible(&record.operation.kind))?;
    let target = record.target_hostname.to_string();
    writeln!(out, "target:    {}", visible(&target))?;
    writeln!(out, "attempts:  {}", record.attempts)?;
    if let Some(worker) = &record.worker {
        writeln!(out, "worker:    {}", visible(worker))?;
    }
    if let Some(error) = &record.error {
        writeln!(out, "error:     {}", visible(error))?;
    }
    if let Some(result) = &record.result {
        writeln!(out, "result:    {}", visible(&result.to_string()))?;
    }
    for (worker, response) in record.responses.iter().flatten() {
        let said = response
            .error
            .clone()
            .or_else(|| response.result.as_ref().map(Value::to_string))
            .unwrap_or_default();
        let status = Cell::from(response.status).painted();
        writeln!(out, "  {}: {status} {}", visible(worker), visible(&said))?;
    }
    for event in &record.timeline {
        let name = serde_json::to_value(event.event).map_err(io::Error::from)?;
        let details = [event.worker.as_deref(), event.message.as_deref()];
        let details: Vec<&str> = details.into_iter().flatten().collect();
        let name = name.as_str().unwrap_or_default();
        let details = visible(&details.join(": "));
        let line = format!("  {} {name} {details}", event.timestamp);
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}
