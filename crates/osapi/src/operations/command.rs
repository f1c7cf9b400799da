//! `command.exec`: runs an allow-listed program, without a shell.
//!
//! The program leads a process group of its own. What is left of the group when the program exits,
//! runs out of time or is cancelled is killed, so a command's children end with it. A child that
//! makes itself a session or group of its own (`setsid`) escapes that and runs on; its output is
//! not waited for. A program meant to leave a service behind should ask the service manager.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::FusedFuture;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use utoipa::ToSchema;

use super::{Context, Failure, LONGEST, Operation};

/// Where programs given by name are looked for, and all a program sees of the environment.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Bytes kept of each output stream; the rest is read and thrown away.
const OUTPUT_LIMIT: usize = 64 * 1024;

/// How long output may still take to arrive once the program is gone.
const GRACE: Duration = Duration::from_secs(1);

/// Limits on the command line, well below the kernel's.
const MAX_ARGS: usize = 256;
/// Longest program, in characters.
const MAX_PROGRAM: usize = 1000;
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

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// One of the programs `worker.allow_commands` lists, with no shell around it.
    #[schema(min_length = 1, max_length = 1000, pattern = r"^[^\x00]+$")]
    program: String,
    #[schema(max_items = 256)]
    #[serde(default)]
    args: Vec<String>,
    /// A number and its unit, 24h at most.
    #[schema(
        value_type = String,
        example = "30s",
        pattern = "^([1-9][0-9]{0,3}(ms|s)|[1-9][0-9]{0,2}m|([1-9]|1[0-9]|2[0-4])h)$"
    )]
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

    fn schema() -> Value {
        super::input::schema::<Input>()
    }

    fn check(&self, input: &Input) -> Result<(), String> {
        if input.program.is_empty() {
            return Err("program is empty".to_owned());
        }
        if input.program.chars().count() > MAX_PROGRAM {
            return Err(format!("program is longer than {MAX_PROGRAM} characters"));
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
        let ended = end(child, input.timeout)
            .await
            .map_err(|error| Failure::passing(format!("lost {}: {error}", input.program)))?;
        report(&input, &ended)
    }
}

fn spawn(input: &Input) -> io::Result<Child> {
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

/// How a command ended.
struct Ended {
    /// `None` if it had to be killed.
    status: Option<ExitStatus>,
    stdout: Captured,
    stderr: Captured,
}

/// Waits for a command, at most so long, and ends what it left behind in its process group.
async fn end(mut child: Child, limit: Duration) -> io::Result<Ended> {
    let mut group = Group::of(&child);
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (mut stdout, mut stderr) = (Captured::default(), Captured::default());
    let in_time = {
        let reading = async { tokio::try_join!(stdout.read(out), stderr.read(err)) }.fuse();
        let exited = exited(&child).fuse();
        tokio::pin!(reading, exited);
        let both = async {
            tokio::select! {
                exited = &mut exited => exited,
                read = &mut reading => {
                    read?;
                    exited.await
                }
            }
        };
        let in_time = tokio::time::timeout(limit, both).await;
        group.kill();
        // What the command wrote is in the pipes by now; who keeps them open is not of its group.
        if !reading.is_terminated()
            && let Ok(read) = tokio::time::timeout(GRACE, reading).await
        {
            read?;
        }
        in_time
    };
    let status = match in_time {
        Ok(exited) => {
            exited?;
            Some(child.wait().await?)
        }
        // Killed; it is reaped when dropped.
        Err(_) => None,
    };
    Ok(Ended {
        status,
        stdout,
        stderr,
    })
}

/// Waits until a child has exited, and leaves it unreaped: until then nobody else gets its number,
/// nor that of its group.
async fn exited(child: &Child) -> io::Result<()> {
    let pid = pid(child).ok_or(io::ErrorKind::NotFound)?;
    // From before the first look, so that no exit falls in between.
    let mut changes = signal(SignalKind::child())?;
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    loop {
        if waitid(WaitId::Pid(pid), look)?.is_some() {
            return Ok(());
        }
        changes.recv().await;
    }
}

fn pid(child: &Child) -> Option<Pid> {
    Pid::from_raw(i32::try_from(child.id()?).ok()?)
}

/// The process group of a child that is not reaped yet: killed once, at the latest when dropped,
/// which is what cancelling the job does. Must be dropped before the child is.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(pid(child))
    }

    fn kill(&mut self) {
        if let Some(pid) = self.0.take() {
            // Everybody in it may be gone already.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The beginning of an output stream.
#[derive(Default)]
struct Captured {
    text: Vec<u8>,
    /// Whether all of it was read.
    ended: bool,
    /// Whether some of what was read was thrown away.
    cut: bool,
}

impl Captured {
    /// Reads to the end. Dropping the future keeps what was read so far.
    async fn read(&mut self, stream: Option<impl AsyncRead + Unpin>) -> io::Result<()> {
        let Some(mut stream) = stream else {
            return Ok(());
        };
        let mut buffer = [0; 8192];
        loop {
            let read = stream.read(&mut buffer).await?;
            if read == 0 {
                self.ended = true;
                return Ok(());
            }
            let keep = read.min(OUTPUT_LIMIT - self.text.len());
            self.text.extend_from_slice(&buffer[..keep]);
            self.cut |= keep < read;
        }
    }

    fn is_whole(&self) -> bool {
        self.ended && !self.cut
    }
}

fn report(input: &Input, ended: &Ended) -> Result<Value, Failure> {
    let result = json!({
        "exit_code": ended.status.and_then(|status| status.code()),
        "stdout": String::from_utf8_lossy(&ended.stdout.text),
        "stderr": String::from_utf8_lossy(&ended.stderr.text),
        "truncated": !(ended.stdout.is_whole() && ended.stderr.is_whole()),
    });
    let error = match ended.status {
        Some(status) if status.success() => return Ok(result),
        Some(status) => format!("{} ended with {status}", input.program),
        None => {
            let limit = humantime::format_duration(input.timeout);
            format!("{} was killed after {limit}", input.program)
        }
    };
    Err(Failure::passing(error).with_result(result))
}
