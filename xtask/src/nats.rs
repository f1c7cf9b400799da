use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::tools::{Tool, output};

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
    disk: Option<Disk>,
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
        let server = Self::prepare(directory, &store, "", config);
        server.restart();
        server
    }

    /// Starts one with its store in a given directory, such as one on a disk that is no memory.
    ///
    /// # Panics
    /// As [`NatsServer::start`].
    #[must_use]
    pub fn start_on(store: &Path) -> Self {
        let directory = TempDir::new().expect("a temporary directory can be made");
        let server = Self::prepare(directory, store, "", "");
        server.restart();
        server
    }

    /// Starts one whose JetStream has limits (`max_file_store: 1MB`).
    ///
    /// # Panics
    /// As [`NatsServer::start`].
    #[must_use]
    pub fn start_limited(limits: &str) -> Self {
        let directory = TempDir::new().expect("a temporary directory can be made");
        let store = directory.path().join("store");
        let server = Self::prepare(directory, &store, limits, "");
        server.restart();
        server
    }

    /// Starts one whose store is a disk of its own, of this size (`24m`), which outlives a restart.
    ///
    /// # Panics
    /// As [`NatsServer::start`], and if nobody may mount one: it takes root, or user namespaces.
    #[must_use]
    pub fn start_on_disk_of(size: &str) -> Self {
        let directory = TempDir::new().expect("a temporary directory can be made");
        let store = directory.path().join("store");
        fs::create_dir(&store).expect("a directory for its store can be made");
        let mut server = Self::prepare(directory, &store, "", "");
        server.disk = Some(Disk::mount(&store, size));
        server.restart();
        server
    }

    /// Where its store is, as this process reaches it.
    ///
    /// # Panics
    /// Never: the directory has an absolute path.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        let store = self.directory.path().join("store");
        let Some(disk) = &self.disk else {
            return store;
        };
        let root = PathBuf::from(format!("/proc/{}/root", disk.holder.id()));
        root.join(store.strip_prefix("/").expect("an absolute path"))
    }

    fn prepare(directory: TempDir, store: &Path, limits: &str, config: &str) -> Self {
        let port = free_port();
        let file = directory.path().join("nats.conf");
        // Its words for paths are ours: quoted strings.
        let text = format!(
            "listen: 127.0.0.1:{port}\njetstream {{ store_dir: {store:?}, {limits} }}\n{config}\n"
        );
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
            disk: None,
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
        let mut command = Command::new(Tool::NatsServer.path());
        if let Some(disk) = &self.disk {
            command = disk.enter();
            command.arg(Tool::NatsServer.path());
        }
        let child = command
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

/// A file system in memory, in a mount namespace of its own.
#[derive(Debug)]
struct Disk {
    /// Keeps the namespace for as long as its standard input is open.
    holder: Child,
    is_root: bool,
}

impl Disk {
    fn mount(at: &Path, size: &str) -> Self {
        let is_root = output(Path::new("id"), &["-u"]).is_ok_and(|id| id.trim() == "0");
        let script = "mount -t tmpfs -o \"size=$1\" tmpfs \"$2\" && echo mounted && exec cat";
        let mut holder = Command::new("unshare")
            .arg(if is_root { "-m" } else { "-rm" })
            .args(["sh", "-c", script, "sh", size])
            .arg(at)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare can be run");
        let mut said = String::new();
        let stdout = holder.stdout.take().expect("it is piped");
        // Fails only if it ends, which says the same.
        let _ = BufReader::new(stdout).read_line(&mut said);
        assert_eq!(
            said, "mounted\n",
            "a tmpfs cannot be mounted: it takes root, or user namespaces"
        );
        Self { holder, is_root }
    }

    /// A command that runs the program given as its next argument where the disk is.
    fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder.id().to_string(), "--mount"]);
        if !self.is_root {
            command.args(["--user", "--preserve-credentials"]);
        }
        command
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Three servers that are one cluster.
#[derive(Debug)]
pub struct NatsCluster {
    /// Its members.
    pub servers: [NatsServer; 3],
    names: [String; 3],
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
        let names = routes.map(|route| format!("n{route}"));
        let servers = routes.map(|route| {
            let config = format!(
                "server_name: n{route}\n\
                 cluster {{ name: test, listen: \"127.0.0.1:{route}\", routes: [{addresses}] }}"
            );
            let directory = TempDir::new().expect("a temporary directory can be made");
            let store = directory.path().join("store");
            NatsServer::prepare(directory, &store, "", &config)
        });
        // All at once: each waits for the others.
        servers.iter().for_each(NatsServer::spawn);
        servers.iter().for_each(NatsServer::wait_until_ready);
        Self { servers, names }
    }

    /// The server that calls itself so.
    ///
    /// # Panics
    /// If none does.
    #[must_use]
    pub fn named(&self, name: &str) -> &NatsServer {
        let mut known = self.names.iter().zip(&self.servers);
        let found = known.find(|(known, _)| *known == name);
        found.expect("a server of the cluster").1
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
