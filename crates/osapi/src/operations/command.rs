//! `command.exec`: runs an allow-listed program, without a shell.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use super::{Context, Failure, LONGEST, Operation};

/// Where programs given by name are looked for, and all a program sees of the environment.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Bytes kept of each output stream; the rest is read and thrown away.
const OUTPUT_LIMIT: usize = 64 * 1024;

/// Limits on the command line, well below the kernel's.
const MAX_ARGS: usize = 256;
const MAX_ARG_BYTES: usize = 64 * 1024;

pub(super) struct Exec {
    allowed: Vec<String>,
}

impl Exec {
    /// May run the given programs: names, or absolute paths.
    pub(super) fn new(allowed: Vec<String>) -> Self {
        Self { allowed }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    program: String,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default = "default_timeout", deserialize_with = "timeout")]
    timeout: Duration,
}

fn default_timeout() -> Duration {
    Duration::from_secs(30)
}

fn timeout<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(|error| {
        serde::de::Error::custom(format!(
            "timeout {text:?} is not a duration such as \"30s\": {error}"
        ))
    })
}

impl Operation for Exec {
    const NAME: &'static str = "command.exec";
    type Input = Input;

    fn check(&self, input: &Input) -> Result<(), String> {
        if input.program.is_empty() {
            return Err("program is empty".to_owned());
        }
        let words = || input.args.iter().chain([&input.program]);
        if words().any(|word| word.contains('\0')) {
            return Err("program and args cannot contain NUL".to_owned());
        }
        if input.args.len() > MAX_ARGS || words().map(String::len).sum::<usize>() > MAX_ARG_BYTES {
            return Err(format!(
                "more than {MAX_ARGS} args or {MAX_ARG_BYTES} bytes of them"
            ));
        }
        if input.timeout.is_zero() || input.timeout > LONGEST {
            return Err("timeout must be more than 0s and at most 24h".to_owned());
        }
        Ok(())
    }

    async fn run(&self, input: Input, _: Context) -> Result<Value, Failure> {
        if !self.allowed.contains(&input.program) {
            let error = format!(
                "{:?} is not in this worker's worker.allow_commands",
                input.program
            );
            return Err(Failure::permanent(error));
        }
        let child = spawn(&input).map_err(|error| {
            Failure::permanent(format!("cannot start {}: {error}", input.program))
        })?;
        let mut group = Group(child.id());
        let ended = tokio::time::timeout(input.timeout, collect(child)).await;
        let Ok(ended) = ended else {
            let limit = humantime::format_duration(input.timeout);
            return Err(Failure::passing(format!(
                "{} was killed after {limit}",
                input.program
            )));
        };
        group.disarm();
        let (status, stdout, stderr) =
            ended.map_err(|error| Failure::passing(format!("lost {}: {error}", input.program)))?;
        report(&input.program, status, &stdout, &stderr)
    }
}

fn spawn(input: &Input) -> std::io::Result<Child> {
    Command::new(&input.program)
        .args(&input.args)
        .env_clear()
        .env("PATH", PATH)
        .env("LANG", "C.UTF-8")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// Kills everything the program started, unless it has ended by itself: also when the job is
/// cancelled, which drops the future this lives in.
struct Group(Option<u32>);

impl Group {
    fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let pid = self
            .0
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may be gone already.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

async fn collect(mut child: Child) -> std::io::Result<(ExitStatus, Captured, Captured)> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    tokio::try_join!(child.wait(), capture(stdout), capture(stderr))
}

struct Captured {
    text: Vec<u8>,
    truncated: bool,
}

async fn capture(stream: Option<impl AsyncRead + Unpin>) -> std::io::Result<Captured> {
    let mut captured = Captured {
        text: Vec::new(),
        truncated: false,
    };
    let Some(mut stream) = stream else {
        return Ok(captured);
    };
    let mut buffer = [0; 8192];
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(captured);
        }
        let keep = read.min(OUTPUT_LIMIT - captured.text.len());
        captured.text.extend_from_slice(&buffer[..keep]);
        captured.truncated |= keep < read;
    }
}

fn report(
    program: &str,
    status: ExitStatus,
    stdout: &Captured,
    stderr: &Captured,
) -> Result<Value, Failure> {
    let result = json!({
        "exit_code": status.code(),
        "stdout": String::from_utf8_lossy(&stdout.text),
        "stderr": String::from_utf8_lossy(&stderr.text),
        "truncated": stdout.truncated || stderr.truncated,
    });
    if status.success() {
        return Ok(result);
    }
    Err(Failure::passing(format!("{program} ended with {status}")).with_result(result))
}
