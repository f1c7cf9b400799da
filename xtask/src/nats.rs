use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::tools::Tool;

const READY_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);

/// A real NATS server with JetStream on a loopback port that was free, with its store in a directory
/// of its own. It is killed and its store removed when dropped.
///
/// It can be killed and started again, on the same port and the same store.
#[derive(Debug)]
pub struct NatsServer {
    child: Mutex<Option<Child>>,
    port: u16,
    directory: TempDir,
    arguments: Vec<String>,
}

impl NatsServer {
    /// Starts one with its defaults.
    ///
    /// # Panics
    /// If there is no server, or it is not ready within a minute: with its log.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// Starts one with further lines of configuration (`authorization {...}`, `tls {...}`).
    ///
    /// # Panics
    /// As [`NatsServer::start`].
    #[must_use]
    pub fn start_with(config: &str) -> Self {
        let directory = TempDir::new().expect("a temporary directory can be made");
        let store = directory.path().join("store");
        Self::start_in(directory, free_port(), &store, config)
    }

    /// Starts one whose store is in a given directory, such as a small file system.
    ///
    /// # Panics
    /// As [`NatsServer::start`].
    #[must_use]
    pub fn start_on(store: &Path, config: &str) -> Self {
        let directory = TempDir::new().expect("a temporary directory can be made");
        Self::start_in(directory, free_port(), store, config)
    }

    fn start_in(directory: TempDir, port: u16, store: &Path, config: &str) -> Self {
        let server = Self::prepare(directory, port, store, config);
        server.restart();
        server
    }

    fn prepare(directory: TempDir, port: u16, store: &Path, config: &str) -> Self {
        let file = directory.path().join("nats.conf");
        // Its words for paths are ours: quoted strings.
        let text =
            format!("listen: 127.0.0.1:{port}\njetstream {{ store_dir: {store:?} }}\n{config}\n");
        fs::write(&file, text).expect("its configuration can be written");
        let log = directory.path().join("nats.log");
        let arguments = [("--config", &file), ("--log", &log)]
            .into_iter()
            .flat_map(|(flag, path)| [flag.to_owned(), path.display().to_string()])
            .collect();
        Self {
            child: Mutex::new(None),
            port,
            directory,
            arguments,
        }
    }

    /// `nats://` and its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it has written to its log.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Kills it, as `kill -9` does; does nothing to one that is dead.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub fn kill(&self) {
        if let Some(mut child) = self.child().take() {
            child.kill().expect("it can be killed");
            child.wait().expect("it can be waited for");
        }
    }

    /// Starts it again, after a kill or instead of the one that runs, and waits until it is ready.
    ///
    /// # Panics
    /// As [`NatsServer::start`].
    pub fn restart(&self) {
        self.spawn();
        self.wait_until_ready();
    }

    /// Stops it from running without ending it, as a machine that hangs.
    ///
    /// # Panics
    /// If it is dead.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// Lets it run again after [`NatsServer::pause`].
    ///
    /// # Panics
    /// If it is dead.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let child = self.child();
        let id = child.as_ref().expect("it runs").id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{signal} {id}");
    }

    fn spawn(&self) {
        self.kill();
        // The log is where readiness shows; an earlier life's would mislead.
        let _ = fs::remove_file(self.log_path());
        let child = Command::new(Tool::NatsServer.path())
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server can be run");
        *self.child() = Some(child);
    }

    fn wait_until_ready(&self) {
        let deadline = Instant::now() + READY_WITHIN;
        while !self.log().contains("Server is ready") {
            let ended = self.child().as_mut().map(Child::try_wait);
            let runs = matches!(ended, Some(Ok(None)));
            assert!(
                runs && Instant::now() < deadline,
                "nats-server is not ready ({ended:?}); its log:\n{}",
                self.log()
            );
            thread::sleep(POLL);
        }
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("nats.log")
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        if let Some(mut child) = self.child().take() {
            // Fails only if it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Three servers that are one cluster.
#[derive(Debug)]
pub struct NatsCluster {
    /// Its members.
    pub servers: [NatsServer; 3],
}

impl NatsCluster {
    /// Starts three servers and waits until they are ready. Streams can be made once they have
    /// agreed on a leader, some seconds later.
    ///
    /// # Panics
    /// As [`NatsServer::start`].
    #[must_use]
    pub fn start() -> Self {
        let routes = [free_port(), free_port(), free_port()];
        let addresses = routes.map(|port| format!("nats-route://127.0.0.1:{port}"));
        let addresses = addresses.join(", ");
        let servers = routes.map(|route| {
            let config = format!(
                "server_name: n{route}\n\
                 cluster {{ name: test, listen: \"127.0.0.1:{route}\", routes: [{addresses}] }}"
            );
            let directory = TempDir::new().expect("a temporary directory can be made");
            let store = directory.path().join("store");
            NatsServer::prepare(directory, free_port(), &store, &config)
        });
        // All at once: each waits for the others.
        servers.iter().for_each(NatsServer::spawn);
        servers.iter().for_each(NatsServer::wait_until_ready);
        Self { servers }
    }

    /// The addresses of all, separated by commas.
    #[must_use]
    pub fn url(&self) -> String {
        self.servers.each_ref().map(NatsServer::url).join(",")
    }
}

/// A port nobody listens on. Somebody else may take it before it is used.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    address.port()
}
