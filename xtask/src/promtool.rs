use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

use crate::tools::Tool;

/// Lints a text exposition with `promtool check metrics`.
///
/// # Errors
/// What promtool says, if it finds anything at all.
///
/// # Panics
/// If there is no promtool, or it cannot be run.
pub fn promtool_check_metrics(exposition: &str) -> Result<(), String> {
    let mut child = Command::new(Tool::Promtool.path())
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool can be run");
    let mut stdin = child.stdin.take().expect("standard input is piped");
    let output = thread::scope(|scope| {
        // Beside the reading, lest both sides wait on a full pipe. If promtool gives up before the
        // end, the write fails, and its exit status tells why.
        scope.spawn(move || stdin.write_all(exposition.as_bytes()));
        child.wait_with_output().expect("promtool ends")
    });
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    if output.status.success() && said.trim().is_empty() {
        return Ok(());
    }
    Err(format!("{}: {}", output.status, said.trim()))
}
