//! `node.*`: facts about the host, from the kernel.

use std::collections::HashSet;

use procfs::Current;
use serde::Deserialize;
use serde_json::{Value, json};

use utoipa::ToSchema;

use super::{Context, Failure, Operation, input};

/// The input of an operation that needs none: `{}`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// Makes an operation of a function that asks the kernel, off the async threads.
macro_rules! node_operation {
    ($type:ident, $name:literal, $read:ident) => {
        pub(super) struct $type;

        impl Operation for $type {
            const NAME: &'static str = $name;
            type Input = Nothing;

            fn schema() -> Value {
                input::schema::<Nothing>()
            }

            async fn run(&self, _: Nothing, _: Context) -> Result<Value, Failure> {
                let read = tokio::task::spawn_blocking($read).await;
                read.map_err(|error| Failure::passing(error.to_string()))?
            }
        }
    };
}

node_operation!(Hostname, "node.hostname.get", hostname);
node_operation!(Uptime, "node.uptime.get", uptime);
node_operation!(Load, "node.load.get", load);
node_operation!(Memory, "node.memory.get", memory);
node_operation!(Disk, "node.disk.get", disk);
node_operation!(Status, "node.status.get", status);

fn unreadable(error: &dyn std::fmt::Display) -> Failure {
    Failure::passing(format!("cannot read /proc: {error}"))
}

fn hostname() -> Result<Value, Failure> {
    let uname = rustix::system::uname();
    Ok(json!({ "hostname": uname.nodename().to_string_lossy() }))
}

fn uptime() -> Result<Value, Failure> {
    let uptime = procfs::Uptime::current().map_err(|error| unreadable(&error))?;
    Ok(json!({ "uptime_seconds": uptime.uptime }))
}

fn load() -> Result<Value, Failure> {
    let load = procfs::LoadAverage::current().map_err(|error| unreadable(&error))?;
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(json!({ "load1": load.one, "load5": load.five, "load15": load.fifteen, "cpus": cpus }))
}

fn memory() -> Result<Value, Failure> {
    let memory = procfs::Meminfo::current().map_err(|error| unreadable(&error))?;
    Ok(json!({
        "total_bytes": memory.mem_total,
        "available_bytes": memory.mem_available,
        "free_bytes": memory.mem_free,
        "cached_bytes": memory.cached,
        "swap_total_bytes": memory.swap_total,
        "swap_free_bytes": memory.swap_free,
    }))
}

/// The file systems on devices, each once, however often it is mounted.
fn disk() -> Result<Value, Failure> {
    let mounts = procfs::process::Process::myself()
        .and_then(|process| process.mountinfo())
        .map_err(|error| unreadable(&error))?;
    let mut seen = HashSet::new();
    let mut disks = Vec::new();
    for mount in mounts {
        let source = mount.mount_source.unwrap_or_default();
        let on_device = source.starts_with('/') || mount.mount_point.as_os_str() == "/";
        if !on_device || !seen.insert(mount.majmin.clone()) {
            continue;
        }
        let Ok(space) = rustix::fs::statvfs(&mount.mount_point) else {
            continue;
        };
        let bytes = |blocks: u64| blocks.saturating_mul(space.f_frsize);
        disks.push(json!({
            "mount": mount.mount_point,
            "device": source,
            "type": mount.fs_type,
            "total_bytes": bytes(space.f_blocks),
            "used_bytes": bytes(space.f_blocks.saturating_sub(space.f_bfree)),
            "available_bytes": bytes(space.f_bavail),
        }));
    }
    Ok(json!({ "disks": disks }))
}

/// All of the above.
fn status() -> Result<Value, Failure> {
    let mut all = serde_json::Map::new();
    for part in [hostname, uptime, load, memory, disk] {
        if let Value::Object(part) = part()? {
            all.extend(part);
        }
    }
    Ok(Value::Object(all))
}
