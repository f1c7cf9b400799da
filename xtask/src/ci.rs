use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use xtask::tools::workspace;

use crate::setup;
use crate::steps::{Steps, cargo};
use crate::test;

const DATABASE_WITHIN: Duration = Duration::from_secs(60);

/// All that must be true of a commit.
pub(crate) fn run(steps: &mut Steps) {
    formatting_and_lints(steps);
    let documentation = ["doc", "--workspace", "--no-deps", "--all-features"];
    steps.run(
        "documentation",
        cargo(&documentation).env("RUSTDOCFLAGS", "-D warnings"),
    );
    dependencies(steps);
    test::run(steps);
}

fn formatting_and_lints(steps: &mut Steps) {
    let format = ["fmt", "--all", "--check"];
    let lint = ["clippy", "--workspace", "--all-targets", "--all-features"];
    let deny_warnings = ["--", "-D", "warnings"];
    steps.run("formatting", &mut cargo(&format));
    steps.run("lints", cargo(&lint).args(deny_warnings));
    // Workspaces of their own, for their dependencies' and their compiler flags' sake.
    for own in ["bench", "fuzz"] {
        let directory = workspace().join(own);
        if directory.join("Cargo.toml").is_file() {
            let mut formatting = cargo(&format);
            let name = format!("formatting of {own}");
            steps.run(&name, formatting.current_dir(&directory));
            let mut lints = cargo(&lint);
            let lints = lints.args(deny_warnings).current_dir(&directory);
            steps.run(&format!("lints of {own}"), lints);
        }
    }
}

fn dependencies(steps: &mut Steps) {
    let Some(deny) = setup::cargo_deny(steps) else {
        return;
    };
    let deny = || {
        let mut command = Command::new(&deny);
        command.current_dir(workspace()).arg("--workspace");
        command
    };
    let mut check = deny();
    steps.run(
        "dependencies",
        check.args(["check", "bans", "licenses", "sources"]),
    );
    // The database of known vulnerabilities lies elsewhere than the crates do.
    if steps.options.offline || !succeeds(deny().args(["fetch", "db"]), DATABASE_WITHIN) {
        steps.skip(
            "advisories",
            "the database of known vulnerabilities is out of reach",
        );
        return;
    }
    let mut advisories = deny();
    steps.run(
        "advisories",
        advisories.args(["check", "--disable-fetch", "advisories"]),
    );
}

/// Whether a program succeeds within a time; after it, it is killed.
fn succeeds(command: &mut Command, within: Duration) -> bool {
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = quiet.spawn() else {
        return false;
    };
    let deadline = Instant::now() + within;
    while Instant::now() < deadline {
        match child.try_wait() {
            Ok(None) => thread::sleep(Duration::from_millis(100)),
            ended => return ended.is_ok_and(|status| status.is_some_and(|ended| ended.success())),
        }
    }
    // Fails only if it has ended at this very moment.
    let _ = child.kill();
    let _ = child.wait();
    false
}
