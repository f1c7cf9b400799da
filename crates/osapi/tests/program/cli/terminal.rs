//! What commands say on a terminal, and leave out elsewhere.

use std::fs::File;
use std::io::Read;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use console::{measure_text_width, strip_ansi_codes};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::Value;

use crate::support::{DEADLINE, api, osapi, output, stderr, stdout, up, worker};

const ROWS: u16 = 24;

/// A command whose output goes to a terminal of ours; ended when dropped.
struct Terminal {
    child: Child,
    written: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    fn new(mut command: Command, columns: u16) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let theirs = ptsname(&ours, Vec::new()).unwrap();
        let theirs = File::options()
            .read(true)
            .write(true)
            .open(theirs.to_str().unwrap())
            .unwrap();
        let size = Winsize {
            ws_row: ROWS,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&theirs, size).unwrap();
        for name in ["CLICOLOR", "CLICOLOR_FORCE", "COLORTERM"] {
            command.env_remove(name);
        }
        command.env("TERM", "xterm-256color");
        let child = command
            .stdout(theirs.try_clone().unwrap())
            .stderr(theirs)
            .spawn()
            .unwrap();
        // It holds their end of the terminal, which has to be closed for ours to end.
        drop(command);
        let written = Arc::new(Mutex::new(Vec::new()));
        let reader = std::thread::spawn({
            let written = Arc::clone(&written);
            let mut ours = File::from(ours);
            move || {
                let mut chunk = [0; 4096];
                // Once nobody has their end open any more, this fails.
                while let Ok(read @ 1..) = ours.read(&mut chunk) {
                    written.lock().unwrap().extend_from_slice(&chunk[..read]);
                }
            }
        });
        Self {
            child,
            written,
            reader: Some(reader),
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    /// Waits until the terminal was shown something.
    fn until(&self, wanted: &str) {
        let since = Instant::now();
        while !self.text().contains(wanted) {
            assert!(
                since.elapsed() < DEADLINE,
                "no {wanted:?}: {:?}",
                self.text()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The exit code, and all that was shown.
    fn ended(mut self) -> (Option<i32>, String) {
        let since = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(since.elapsed() < DEADLINE, "it goes on: {:?}", self.text());
            std::thread::sleep(Duration::from_millis(10));
        };
        self.reader.take().unwrap().join().unwrap();
        (status.code(), self.text())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn colours(text: &str) -> bool {
    text.contains("\x1b[3") || text.contains("\x1b[38;5;")
}

#[test]
fn waiting_shows_progress_on_a_terminal_and_nothing_elsewhere() {
    let server = up(&["--set", "worker.name=w1"]);
    let url = server.url("");
    let submit = [
        "job",
        "submit",
        "sleep",
        "--data",
        r#"{"seconds":1}"#,
        "--wait",
        "--server",
        &url,
    ];
    let (code, shown) = Terminal::new(osapi(&submit), 100).ended();
    assert_eq!(code, Some(0), "{shown:?}");
    assert!(
        shown.contains("sleep processing on w1, attempt 1"),
        "{shown:?}"
    );
    assert!(
        shown.contains("status:    \x1b[32mcompleted\x1b[0m"),
        "{shown:?}"
    );

    let mut plain = osapi(&submit);
    plain.env("NO_COLOR", "1");
    let (_, shown) = Terminal::new(plain, 100).ended();
    assert!(shown.contains("sleep processing on w1"), "{shown:?}");
    assert!(!colours(&shown), "{shown:?}");

    let piped = output(&submit);
    assert_eq!((piped.status.code(), &*stderr(&piped)), (Some(0), ""));
    assert!(stdout(&piped).contains("status:    completed\n"));

    let failing = r#"{"seconds":0.2,"fail_attempts":2}"#;
    let out = output(&[
        "job", "submit", "sleep", "--data", failing, "--server", &url,
    ]);
    let id = stdout(&out).trim().to_owned();
    let (code, shown) = Terminal::new(osapi(&["job", "watch", &id, "--server", &url]), 100).ended();
    assert_eq!(code, Some(0), "{shown:?}");
    assert!(
        shown.contains("\x1b[32mcompleted\x1b[0m attempts=3"),
        "{shown:?}"
    );
    assert!(shown.contains("retrying after attempt 1: "), "{shown:?}");
}

#[test]
fn tables_fit_the_terminal() {
    let server = up(&["--set", "worker.name=a-worker-with-a-long-name"]);
    let url = server.url("");
    let submit = [
        "job",
        "submit",
        "node.hostname.get",
        "--wait",
        "--server",
        &url,
    ];
    assert_eq!(output(&submit).status.code(), Some(0));
    for columns in [40, 80, 200] {
        for args in [&["job", "list"][..], &["job", "status"], &["workers"]] {
            let args = [args, &["--server", &url]].concat();
            let (code, shown) = Terminal::new(osapi(&args), columns).ended();
            assert_eq!(code, Some(0), "{shown:?}");
            for line in shown.lines() {
                let width = measure_text_width(line);
                assert!(width <= columns.into(), "{columns}: {line:?}");
            }
        }
        let list = ["job", "list", "--server", &url];
        let (_, shown) = Terminal::new(osapi(&list), columns).ended();
        let plain = strip_ansi_codes(&shown);
        assert_eq!(plain.contains('…'), columns < 200, "{shown:?}");
        assert!(colours(&shown), "{shown:?}");
    }
    let piped = stdout(&output(&["job", "list", "--server", &url]));
    assert!(!piped.contains(['\x1b', '…']), "{piped:?}");
    assert!(
        piped.contains("a-worker-with-a-long-name  _any\n"),
        "{piped:?}"
    );
}

#[test]
fn benches_show_a_bar_on_a_terminal_and_nothing_elsewhere() {
    let server = up(&[]);
    let url = server.url("");
    let ready = || stdout(&output(&["workers", "--json", "--server", &url])).contains("\"ready\"");
    let since = Instant::now();
    while !ready() {
        assert!(since.elapsed() < DEADLINE, "no worker is ready");
    }
    let jobs = ["bench", "jobs", "--jobs", "40", "--server", &url];
    let (code, shown) = Terminal::new(osapi(&jobs), 100).ended();
    assert_eq!(code, Some(0), "{shown:?}");
    assert!(
        shown.contains("submitting") && shown.contains('█'),
        "{shown:?}"
    );
    assert!(shown.contains("40 jobs, 16 callers: "), "{shown:?}");
    let piped = output(&jobs);
    assert_eq!(stderr(&piped), "");
    assert_eq!(stdout(&piped).lines().count(), 4, "{}", stdout(&piped));

    let http = [
        "bench",
        "http",
        "--requests",
        "300",
        "--path",
        "/job/status",
        "--json",
    ];
    let out = output(&[&http[..], &["--server", &url]].concat());
    let report: Value = serde_json::from_str(&stdout(&out)).unwrap();
    assert_eq!(report["statuses"]["200"], 300, "{report}");
    assert_eq!(report["unanswered"], 0, "{report}");
    assert!(report["answer_ms"]["max"].as_f64() >= report["answer_ms"]["p50"].as_f64());
    for (path, code, said) in [
        ("/nope", 1, "404"),
        ("nope", 2, "such as /job/status"),
        ("//x/", 2, "such as"),
    ] {
        let out = output(&["bench", "http", "--path", path, "--server", &url]);
        assert_eq!(out.status.code(), Some(code), "{path}");
        assert!(stderr(&out).contains(said), "{path}: {}", stderr(&out));
    }
}

#[test]
fn a_bench_without_workers_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let server = api(dir.path(), &[]);
    let out = output(&["bench", "jobs", "--server", &server.url("")]);
    assert_eq!(out.status.code(), Some(1));
    assert!(
        stderr(&out).contains("start one with `osapi worker`"),
        "{}",
        stderr(&out)
    );
}

#[test]
fn metrics_are_watched_in_place() {
    let server = up(&[]);
    let url = server.url("/metrics");
    let watch = ["metrics", &url, "--watch", "--interval", "200ms"];
    let terminal = Terminal::new(osapi(&watch), 80);
    // The second scrape has rates.
    terminal.until("/s");
    terminal.until("\x1b[J");
    let shown = terminal.text();
    let page = shown.split("\x1b[H").nth(1).unwrap();
    let lines: Vec<_> = page
        .lines()
        .filter(|line| !line.starts_with("\x1b[J"))
        .collect();
    assert!(lines.len() <= ROWS.into(), "{page:?}");
    assert!(page.contains("more; --name TEXT shows fewer"), "{page:?}");
    for line in lines {
        assert!(measure_text_width(line) <= 80, "{line:?}");
    }
}

#[test]
fn waiting_outlives_a_restart_of_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = api(dir.path(), &[]);
    let _worker = worker(dir.path(), "w1", &[]);
    let (url, address) = (server.url(""), server.address);
    let submit = [
        "job",
        "submit",
        "sleep",
        "--data",
        r#"{"seconds":3}"#,
        "--wait",
        "--server",
        &url,
    ];
    let terminal = Terminal::new(osapi(&submit), 100);
    terminal.until("processing on w1");
    server.kill();
    terminal.until("the connection broke off, trying again");
    let listen = format!("api.listen={address}");
    let _again = api(dir.path(), &["--set", &listen]);
    let (code, shown) = terminal.ended();
    assert_eq!(code, Some(0), "{shown:?}");
    assert!(
        strip_ansi_codes(&shown).contains("status:    completed"),
        "{shown:?}"
    );
}
