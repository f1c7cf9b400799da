//! The names of a process's workers. No two workers that share a queue have the same one, or each
//! would take the other's place.
//!
//! A name is held by a lock on a file beside the queue's, which the system lets go with the process,
//! however it ends: a worker that was killed gets its name back at once.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::config::Config;

/// How many names a worker without a configured one tries before it gives up.
const MOST: u32 = 10_000;

/// Names nobody else has while this is kept.
pub(super) struct Names(Vec<(String, File)>);

impl Names {
    /// Takes so many names: the configured one or the host's, and further ones with a number behind
    /// it. Where none is configured, names in use are passed over.
    pub(super) fn take(config: &Config, count: u16) -> Result<Self, String> {
        let configured = config.worker.name.as_deref();
        let first = configured.map_or_else(hostname, str::to_owned);
        Self::take_in(&config.data_dir(), &first, configured.is_some(), count)
    }

    fn take_in(dir: &Path, first: &str, exact: bool, count: u16) -> Result<Self, String> {
        let mut taken = Vec::new();
        let mut number = 1;
        while taken.len() < usize::from(count) {
            let name = if number == 1 {
                first.to_owned()
            } else {
                format!("{first}-{number}")
            };
            match lock(dir, &name) {
                Ok(Some(file)) => taken.push((name, file)),
                Ok(None) if exact || number >= MOST => {
                    return Err(format!(
                        "worker {name:?} is already running on this queue; set worker.name to another name"
                    ));
                }
                Ok(None) => {}
                Err(error) => {
                    return Err(format!(
                        "cannot take the worker name {name:?} in {}: {error}",
                        dir.display()
                    ));
                }
            }
            number += 1;
        }
        Ok(Self(taken))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

/// The lock of a name; `None` if another process has it. The file stays: removing it would let two
/// processes hold two files of one name.
fn lock(dir: &Path, name: &str) -> io::Result<Option<File>> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(dir.join(format!("worker-{name}.lock")))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The host's name.
pub(super) fn hostname() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(taken: &Names) -> Vec<&str> {
        taken.iter().collect()
    }

    #[test]
    fn no_two_workers_have_one_name() {
        let dir = tempfile::tempdir().unwrap();
        let take = |exact, count| Names::take_in(dir.path(), "host", exact, count);
        let first = take(false, 2).unwrap();
        assert_eq!(names(&first), ["host", "host-2"]);
        let second = take(false, 1).unwrap();
        assert_eq!(names(&second), ["host-3"]);
        let refused = take(true, 1).err().expect("refused");
        assert!(
            refused.contains("\"host\" is already running") && refused.contains("worker.name"),
            "{refused}"
        );
        drop(first);
        assert_eq!(names(&take(true, 1).unwrap()), ["host"]);
    }
}
