//! `POST /job` against the real program: `osapi up`, built for release, its queue durable, its own
//! workers running the jobs meanwhile.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Connection;
use crate::queue::directory;
use crate::report::{Limit, Report, Table, milliseconds, per_second};

const CONNECTIONS: usize = 64;
const WARM_UP: Duration = Duration::from_secs(1);
const MEASURED: Duration = Duration::from_secs(5);
const ROUNDS: usize = 3;
const START: Duration = Duration::from_secs(20);

const BODY: &str =
    r#"{"operation":{"type":"node.hostname.get","data":{}},"target_hostname":"_any"}"#;
const STATUS: &[u8] = b"GET /job/status HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// One round's rate, and how long the middle and the slowest hundredth of requests took.
struct Round {
    rate: f64,
    half: f64,
    hundredth: f64,
}

pub(crate) fn run(report: &mut Report) {
    report.section(
        "POST /job",
        "The release build of `osapi up` as it comes (metrics on, four worker slots running what \
         is submitted), its database on disk, and 64 kept loopback connections that each send the next \
         job when the last is acknowledged. The sender shares the machine's cores. Three rounds of \
         five seconds, each with a new server; the medians.",
    );
    let program = build();
    let mut rounds: Vec<_> = (0..ROUNDS).map(|_| round(&program)).collect();
    rounds.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    let rate = rounds[ROUNDS / 2].rate;
    let half = middle(rounds.iter().map(|round| round.half));
    let hundredth = middle(rounds.iter().map(|round| round.hundredth));
    let mut table = Table::new("64 connections");
    table.single("requests/s, each answered 201", per_second(rate));
    table.single("p50", milliseconds(half));
    table.single("p99", milliseconds(hundredth));
    report.table(table);
    let what = "POST /job over HTTP, durable, 64 connections";
    report.budget(what, rate, Limit::AtLeast(8_000.0), per_second);
    let what = "POST /job over HTTP, durable, 64 connections, p99";
    report.budget(what, hundredth, Limit::AtMost(25.0), milliseconds);
}

/// Builds the program as a user would, and says where it is.
pub(crate) fn build() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .current_dir(workspace)
        .args([
            "build",
            "--release",
            "--package",
            "osapi",
            "--message-format",
            "json",
        ])
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(built.status.success(), "osapi does not build");
    let messages = String::from_utf8_lossy(&built.stdout);
    let program = messages.lines().find_map(|message| {
        let message: serde_json::Value = serde_json::from_str(message).ok()?;
        let is_osapi = message["target"]["name"] == "osapi";
        is_osapi.then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    program.expect("cargo says where the program is")
}

fn round(program: &Path) -> Round {
    let directory = directory();
    let mut server = Server::start(program, directory.path());
    let address = server.address(directory.path());
    let ready = Barrier::new(CONNECTIONS);
    let answers: Vec<_> = thread::scope(|scope| {
        let senders: Vec<_> = (0..CONNECTIONS)
            .map(|_| scope.spawn(|| send(address, &ready)))
            .collect();
        let answers = senders.into_iter();
        answers
            .map(|sender| sender.join().expect("every job is acknowledged"))
            .collect()
    });
    let submitted: usize = answers.iter().map(|(all, _)| all).sum();
    assert_eq!(jobs(address), submitted, "the queue has each job once");

    let mut taken: Vec<_> = answers.into_iter().flat_map(|(_, taken)| taken).collect();
    taken.sort_unstable();
    let part = |part: f64| taken[(taken.len() as f64 * part) as usize].as_secs_f64() * 1e3;
    Round {
        rate: taken.len() as f64 / MEASURED.as_secs_f64(),
        half: part(0.5),
        hundredth: part(0.99),
    }
}

/// Submits jobs; how many there were in all, and how long each took once warm.
fn send(to: SocketAddr, ready: &Barrier) -> (usize, Vec<Duration>) {
    let request = format!(
        "POST /job HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    let mut connection = Connection::open(to).expect("the server listens");
    let (mut all, mut taken) = (0, Vec::new());
    ready.wait();
    let begun = Instant::now();
    while begun.elapsed() < WARM_UP + MEASURED {
        let asked = Instant::now();
        let answer = connection.ask(request.as_bytes());
        let answer = answer.expect("the server answers");
        assert_eq!(
            answer.status,
            201,
            "{}",
            String::from_utf8_lossy(answer.body)
        );
        all += 1;
        if (WARM_UP..WARM_UP + MEASURED).contains(&begun.elapsed()) {
            taken.push(asked.elapsed());
        }
    }
    (all, taken)
}

fn jobs(server: SocketAddr) -> usize {
    let mut connection = Connection::open(server).expect("the server listens");
    let answer = connection.ask(STATUS).expect("the server answers");
    let status: serde_json::Value =
        serde_json::from_slice(answer.body).expect("the status is JSON");
    let total = status["total"].as_u64();
    total.expect("the status has a total") as usize
}

/// A running `osapi up`; killed when dropped.
pub(crate) struct Server(Child);

impl Server {
    pub(crate) fn start(program: &Path, data: &Path) -> Self {
        Self::start_with(program, data, &[])
    }

    /// Starts one with further settings.
    pub(crate) fn start_with(program: &Path, data: &Path, settings: &[String]) -> Self {
        let child = Command::new(program)
            .args(["up", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data)
            .args(settings.iter().flat_map(|setting| ["--set", setting]))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.expect("osapi starts"))
    }

    /// Waits until the server has said where it listens.
    pub(crate) fn address(&mut self, data: &Path) -> SocketAddr {
        let begun = Instant::now();
        while begun.elapsed() < START {
            let said = fs::read_to_string(data.join("osapi.addr"));
            if let Ok(address) = said.unwrap_or_default().trim().parse() {
                return address;
            }
            let ended = self.0.try_wait().expect("it is our child");
            assert!(ended.is_none(), "osapi ended: {ended:?}");
            thread::sleep(Duration::from_millis(20));
        }
        panic!("osapi did not start within {START:?}");
    }
}

impl Server {
    /// The processor time it has used, all threads together.
    pub(crate) fn cpu(&self) -> Duration {
        let path = format!("/proc/{}/stat", self.0.id());
        let stat = fs::read_to_string(path).expect("the server runs");
        // The program's name, in brackets, may contain anything; user and system time are the 12th and
        // 13th field after it (proc_pid_stat(5)), in hundredths of a second.
        let (_, fields) = stat.rsplit_once(')').expect("a name in brackets");
        let ticks = fields.split_ascii_whitespace().skip(11).take(2);
        let ticks = ticks.map(|field| field.parse::<u64>().expect("a number"));
        Duration::from_millis(10 * ticks.sum::<u64>())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only if it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn middle(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
