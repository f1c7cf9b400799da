use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::tools::{Tool, workspace};

const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// A Python script that stays alive and answers requests: one line of JSON in, one out.
///
/// Starting an interpreter costs some 100 ms and a request less than one, so that property tests
/// can ask it thousands of times. It is killed when dropped.
#[derive(Debug)]
pub struct Python {
    child: Child,
    stdin: ChildStdin,
    answers: Receiver<String>,
}

impl Python {
    /// Starts a script of `xtask/py/`.
    ///
    /// # Panics
    /// If there is no Python with the pinned packages, or no such script.
    #[must_use]
    pub fn start(script: &str) -> Self {
        Self::start_with(script, &[])
    }

    /// The same, with some variables in its environment.
    pub(crate) fn start_with(script: &str, variables: &[(&str, &OsStr)]) -> Self {
        let script = workspace().join("xtask/py").join(script);
        assert!(script.is_file(), "there is no script {}", script.display());
        let mut child = Command::new(Tool::Python.path())
            .arg("-u")
            .arg(script)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python can be run");
        let stdin = child.stdin.take().expect("standard input is piped");
        let stdout = child.stdout.take().expect("standard output is piped");
        let (sender, answers) = mpsc::channel();
        // Ends with the child, whose end closes the pipe.
        thread::spawn(move || {
            let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.try_for_each(|line| sender.send(line))
        });
        Self {
            child,
            stdin,
            answers,
        }
    }

    /// Starts the official client's parsers; see [`Self::parse_exposition`].
    #[must_use]
    pub fn exposition_parser() -> Self {
        Self::start("exposition.py")
    }

    /// Asks the script and returns its answer.
    ///
    /// # Panics
    /// If it has died, does not answer within a minute, or its answer is not JSON.
    pub fn request(&mut self, request: &Value) -> Value {
        writeln!(self.stdin, "{request}").expect("the script reads");
        let answer = self.answers.recv_timeout(ANSWER_WITHIN);
        let answer = answer.expect("the script answers (its own words are above)");
        serde_json::from_str(&answer).expect("the script answers in JSON")
    }

    /// Parses an exposition (`format`: `text` or `openmetrics`); only for a child made by
    /// [`Self::exposition_parser`]. The families are `{name, type, help, unit, samples: [{name,
    /// labels, value}]}`, values written as Python does (`1.0`, `inf`, `nan`).
    ///
    /// # Errors
    /// What the parser says, if it refuses the exposition.
    ///
    /// # Panics
    /// As [`Self::request`].
    pub fn parse_exposition(
        &mut self,
        format: &str,
        exposition: &str,
    ) -> Result<Vec<Value>, String> {
        let answer = self.request(&json!({ "format": format, "exposition": exposition }));
        match &answer["families"] {
            Value::Array(families) => Ok(families.clone()),
            _ => Err(answer["error"].as_str().unwrap_or_default().to_owned()),
        }
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
