//! Processes under test, and ways to talk to them.

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Generous, because machines that run tests are busy.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The program, with nothing of this process's environment that configures it.
pub(crate) fn osapi(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_osapi"));
    command.args(args).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("OSAPI_") || text.starts_with("OTEL_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs a command to its end.
pub(crate) fn output(args: &[&str]) -> Output {
    osapi(args).output().unwrap()
}

/// Runs a command that was made from [`osapi`] to its end, which comes soon.
pub(crate) fn output_of(mut command: Command) -> Output {
    let (stdout, stderr) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    let mut child = command
        .stdout(stdout.try_clone().unwrap())
        .stderr(stderr.try_clone().unwrap())
        .spawn()
        .unwrap();
    let since = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if since.elapsed() > DEADLINE {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{command:?} did not end: {}", text(&stderr));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Output {
        status: child.wait().unwrap(),
        stdout: text(&stdout).into_bytes(),
        stderr: text(&stderr).into_bytes(),
    }
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A running server and its data; killed when dropped.
pub(crate) struct Server {
    child: Child,
    stdout: File,
    stderr: File,
    pub(crate) address: SocketAddr,
    pub(crate) dir: PathBuf,
    _own: Option<TempDir>,
}

/// Starts `osapi api` on a free port; the queue is in `dir`.
pub(crate) fn api(dir: &Path, args: &[&str]) -> Server {
    let path = format!("queue.sqlite.path={}", dir.join("queue.db").display());
    let mut all = vec!["api", "--set", "api.listen=127.0.0.1:0", "--set", &path];
    all.extend(args);
    start(&all, dir)
}

/// Starts `osapi up` on a free port with data of its own.
pub(crate) fn up(args: &[&str]) -> Server {
    up_on("127.0.0.1:0", args)
}

/// The same, on an address of the test's choice.
pub(crate) fn up_on(listen: &str, args: &[&str]) -> Server {
    let own = tempfile::tempdir().unwrap();
    let dir = own.path().join("data");
    let mut all = vec![
        "up",
        "--listen",
        listen,
        "--data-dir",
        dir.to_str().unwrap(),
    ];
    all.extend(args);
    let mut server = start(&all, &dir);
    server._own = Some(own);
    server
}

/// Starts a server that writes its address to `dir`, and waits for it.
pub(crate) fn start(args: &[&str], dir: &Path) -> Server {
    let file = dir.join("osapi.addr");
    // One that was killed left its address behind.
    let _ = std::fs::remove_file(&file);
    spawn(osapi(args), dir, |_| {
        let text = std::fs::read_to_string(&file).ok()?;
        Some(text.strip_suffix('\n')?.parse().unwrap())
    })
}

/// Starts a worker process on the file in `dir`; its address is that of its health and metrics.
pub(crate) fn worker(dir: &Path, name: &str, args: &[&str]) -> Server {
    let settings = [
        format!("queue.sqlite.path={}", dir.join("queue.db").display()),
        format!("worker.name={name}"),
        "telemetry.metrics.listen=127.0.0.1:0".to_owned(),
    ];
    let mut all = vec!["worker"];
    for setting in &settings {
        all.extend(["--set", setting]);
    }
    all.extend(args);
    spawn(osapi(&all), dir, |said| {
        let (_, line) = said.split_once("osapi worker: http")?;
        let (_, line) = line.split_once("://")?;
        Some(line.split_once("/health\n")?.0.parse().unwrap())
    })
}

/// Starts a command and waits until `address` finds where it listens, in what it printed or
/// elsewhere.
pub(crate) fn spawn(
    mut command: Command,
    dir: &Path,
    address: impl Fn(&str) -> Option<SocketAddr>,
) -> Server {
    // Into files: nobody reads a pipe while the server runs, and a full one would stop it.
    let (stdout, stderr) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    let mut child = command
        .stdout(stdout.try_clone().unwrap())
        .stderr(stderr.try_clone().unwrap())
        .spawn()
        .unwrap();
    let since = Instant::now();
    loop {
        let ended = child.try_wait().unwrap();
        if let Some(address) = address(&text(&stdout)) {
            return Server {
                child,
                stdout,
                stderr,
                address,
                dir: dir.to_owned(),
                _own: None,
            };
        }
        if let Some(status) = ended {
            panic!("{command:?} ended with {status}: {}", text(&stderr));
        }
        assert!(since.elapsed() < DEADLINE, "{command:?} did not come up");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// All that is in a file, read beside its writer's position.
fn text(file: &File) -> String {
    let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Server {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        client().request(method, self.url(path))
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        read(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        read(self.request(Method::POST, path).json(body)).await
    }

    /// Submits a job and returns its id.
    pub(crate) async fn submit(&self, operation: &str, data: Value) -> String {
        let (status, body) = self.post("/job", &job(operation, data)).await;
        assert_eq!(status, 201, "{body}");
        body["job_id"].as_str().unwrap().to_owned()
    }

    /// Waits until a job is in one of the given states.
    pub(crate) async fn wait(&self, id: &str, states: &[&str]) -> Value {
        let since = Instant::now();
        loop {
            let (status, body) = self.get(&format!("/job/{id}")).await;
            assert_eq!(status, 200, "{body}");
            if states.contains(&body["status"].as_str().unwrap()) {
                return body;
            }
            assert!(since.elapsed() < DEADLINE, "not {states:?} in time: {body}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for the end; returns the exit code and what was said on standard error.
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        let since = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(since.elapsed() < DEADLINE, "it did not end");
            std::thread::sleep(Duration::from_millis(10));
        };
        (status.code(), text(&self.stderr))
    }

    /// Waits until somebody else has killed it.
    pub(crate) fn wait_until_killed(&mut self) {
        let since = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(since.elapsed() < DEADLINE, "nobody killed it");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What was printed on standard output so far.
    pub(crate) fn printed(&self) -> String {
        text(&self.stdout)
    }

    /// What was said on standard error so far.
    pub(crate) fn said(&self) -> String {
        text(&self.stderr)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it with no chance to say goodbye, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks again and again until there is an answer, and returns it.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(since.elapsed() < DEADLINE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .timeout(DEADLINE)
        .build()
        .unwrap()
}

pub(crate) async fn read(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (status, body)
}

/// Asserts that a response is a problem as RFC 9457 describes; returns its detail.
pub(crate) async fn problem(response: Response, status: u16) -> String {
    assert_eq!(response.status(), status);
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["status"], status, "{body}");
    assert!(
        !body["title"].as_str().unwrap().is_empty() && body["type"] == "about:blank",
        "{body}"
    );
    let detail = body["detail"].as_str().unwrap().to_owned();
    assert!(!detail.is_empty());
    detail
}

#[allow(clippy::needless_pass_by_value)] // Callers write `json!` in place.
pub(crate) fn job(operation: &str, data: Value) -> Value {
    json!({"operation": {"type": operation, "data": data}, "target_hostname": "_any"})
}
