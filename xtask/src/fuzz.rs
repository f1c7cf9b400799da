//! `cargo xtask fuzz`: the fuzz targets, each for a bounded time.
//!
//! libFuzzer comes with the crate libfuzzer-sys, and what its coverage needs the stable compiler can
//! do. So neither a nightly nor cargo-fuzz is asked for; the layout is cargo-fuzz's, for those who
//! have it. Without it there is no address sanitizer, which code without `unsafe` does not miss.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

use xtask::tools::workspace;

use crate::steps::{Options, Steps, cargo, succeed};

/// What cargo-fuzz tells the compiler, without sanitizers.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

const SECONDS: u32 = 60;

/// Runs the targets named, or all, for so many seconds each.
pub(crate) fn run(arguments: &[&str]) -> ExitCode {
    let (targets, seconds) = match parse(arguments) {
        Ok(parsed) => parsed,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let mut steps = Steps::new(Options::new(false));
    if let Some(built) = steps.step("build the fuzz targets", build) {
        for target in targets {
            let name = format!("fuzz {target} for {seconds} s");
            steps.step(&name, || fuzz(&built, &target, seconds));
        }
    }
    steps.finish()
}

/// The targets there are: files of `fuzz/fuzz_targets`.
fn known() -> Vec<String> {
    let files = fs::read_dir(workspace().join("fuzz/fuzz_targets"));
    let files = files.into_iter().flatten().flatten();
    let mut names: Vec<_> = files
        .filter_map(|file| Some(file.path().file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    names
}

fn parse(arguments: &[&str]) -> Result<(Vec<String>, u32), String> {
    let known = known();
    let (mut targets, mut seconds) = (Vec::new(), SECONDS);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if *argument == "--seconds" {
            let given = arguments.next().and_then(|given| given.parse().ok());
            seconds = given
                .filter(|seconds| *seconds > 0)
                .ok_or("--seconds takes a whole number from 1 on")?;
        } else if known.iter().any(|name| name == argument) {
            targets.push((*argument).to_owned());
        } else {
            let known = known.join(", ");
            return Err(format!("no fuzz target {argument}; there are {known}"));
        }
    }
    if targets.is_empty() {
        targets = known;
    }
    Ok((targets, seconds))
}

/// Builds the targets and returns the directory they are in.
fn build() -> Result<PathBuf, String> {
    let directory = scratch().join("build");
    // With a target named, build scripts and macros are left without coverage.
    let host = host()?;
    let mut command = cargo(&["build", "--release", "--bins", "--target", &host]);
    command
        .arg("--manifest-path")
        .arg(workspace().join("fuzz/Cargo.toml"))
        .arg("--target-dir")
        .arg(&directory)
        .env("RUSTFLAGS", COVERAGE);
    succeed(&mut command)?;
    Ok(directory.join(host).join("release"))
}

fn host() -> Result<String, String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = xtask::tools::output(Path::new(&rustc), &["-vV"])?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or_else(|| "rustc does not say what it compiles for".to_owned())
}

/// Where builds, new inputs and findings are; `cargo clean` removes it.
fn scratch() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target
        .unwrap_or_else(|| workspace().join("target"))
        .join("fuzz")
}

fn fuzz(built: &Path, target: &str, seconds: u32) -> Result<(), String> {
    let found = scratch().join("corpus").join(target);
    fs::create_dir_all(&found).map_err(|error| format!("{}: {error}", found.display()))?;
    let artifacts = scratch().join(format!("{target}-"));
    let mut command = Command::new(built.join(target));
    command
        // New inputs go to the first, and stay out of the repository.
        .arg(&found)
        .arg(workspace().join("fuzz/corpus").join(target))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}", artifacts.display()))
        .args([
            "-max_len=4096",
            "-timeout=10",
            "-rss_limit_mb=2048",
            "-verbosity=0",
            "-print_final_stats=1",
        ]);
    succeed(&mut command).map_err(|why| {
        let kept = artifacts.display();
        format!("{why}; the input is kept as {kept}..., give it to the program as its argument to see the fault again")
    })
}
