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

#[derive(Clone)]
pub(super) struct Readers {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    turn: Semaphore,
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
            turn: Semaphore::new(CONNECTIONS),
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
        let _turn = self
            .shared
            .turn
            .acquire()
            .await
            .map_err(|_| QueueError::Closed)?;
        let shared = Arc::clone(&self.shared);
        let answer = tokio::task::spawn_blocking(move || shared.run(query)).await;
        answer.map_err(|_| QueueError::Closed)?
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
        // A caller that left early gives its turn on while its query still runs: open one more then.
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
