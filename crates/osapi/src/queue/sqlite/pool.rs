//! The connections that read.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::schema::{fault, open_reader};
use crate::queue::QueueError;

/// Connections, and so reads at a time.
const CONNECTIONS: usize = 4;

/// Of these, how many may be at reads that can take long. The rest is for what must not wait, such as
/// whether the queue works.
const LONG: usize = CONNECTIONS - 1;

#[derive(Clone)]
pub(super) struct Readers {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    turn: Arc<Semaphore>,
    long: Arc<Semaphore>,
    answered: AtomicU64,
}

impl Readers {
    pub(super) fn open(path: &Path) -> Result<Self, QueueError> {
        let idle = (0..CONNECTIONS)
            .map(|_| open_reader(path))
            .collect::<Result<_, _>>()?;
        let shared = Shared {
            path: path.to_owned(),
            idle: Mutex::new(idle),
            turn: Arc::new(Semaphore::new(CONNECTIONS)),
            long: Arc::new(Semaphore::new(LONG)),
            answered: AtomicU64::new(0),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Runs a query on a blocking thread.
    pub(super) async fn read<T, F>(&self, query: F) -> Result<T, QueueError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let turn = Arc::clone(&self.shared.turn).acquire_owned();
        let turn = turn.await.map_err(|_| QueueError::Closed)?;
        let shared = Arc::clone(&self.shared);
        let answer = tokio::task::spawn_blocking(move || {
            let answer = shared.run(query);
            // Held until the query ends, though its caller may have left.
            drop(turn);
            answer
        });
        answer.await.map_err(|_| QueueError::Closed)?
    }

    /// The same for a query that can take long.
    pub(super) async fn read_long<T, F>(&self, query: F) -> Result<T, QueueError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let room = Arc::clone(&self.shared.long).acquire_owned();
        let room = room.await.map_err(|_| QueueError::Closed)?;
        self.read(move |conn| {
            let _room = room;
            query(conn)
        })
        .await
    }

    /// Connections open, and how many of them nobody uses.
    pub(super) fn connections(&self) -> (u64, u64) {
        let idle = self.shared.turn.available_permits();
        if self.shared.turn.is_closed() {
            (0, 0)
        } else {
            (CONNECTIONS as u64, idle as u64)
        }
    }

    /// Queries answered so far.
    pub(super) fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Bytes the database and its log take on disk.
    pub(super) fn size_bytes(&self) -> u64 {
        let mut log = self.shared.path.clone().into_os_string();
        log.push("-wal");
        let size = |path: &Path| path.metadata().map_or(0, |file| file.len());
        size(&self.shared.path) + size(Path::new(&log))
    }

    pub(super) fn close(&self) {
        self.shared.turn.close();
        self.shared.lock().clear();
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run<T>(
        &self,
        query: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, QueueError> {
        // One is missing after a query that panicked.
        let idle = self.lock().pop();
        let mut conn = idle.map_or_else(|| open_reader(&self.path), Ok)?;
        let answer = query(&mut conn).map_err(|error| fault(&self.path, &error));
        self.answered.fetch_add(1, Ordering::Relaxed);
        let mut idle = self.lock();
        if idle.len() < CONNECTIONS && !self.turn.is_closed() {
            idle.push(conn);
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn long_reads_leave_room_for_short_ones() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("queue.db");
        super::super::schema::open_writer(&path).expect("opens");
        let readers = Readers::open(&path).expect("opens");
        let mut releases = Vec::new();
        let mut long = Vec::new();
        for _ in 0..2 * CONNECTIONS {
            let (release, held) = mpsc::channel::<()>();
            releases.push(release);
            let readers = readers.clone();
            long.push(tokio::spawn(async move {
                let hold = move |_: &mut Connection| {
                    let _ = held.recv();
                    Ok(())
                };
                readers.read_long(hold).await
            }));
        }
        while readers.shared.long.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        // Those whose callers leave go on, and still count.
        long.remove(0).abort();
        let short = readers.read(|conn| conn.query_row("SELECT 1", [], |row| row.get::<_, i64>(0)));
        let short = tokio::time::timeout(Duration::from_secs(20), short).await;
        assert_eq!(short.expect("in time"), Ok(1));
        drop(releases);
        for read in long {
            read.await.expect("no panic").expect("read");
        }
    }
}
