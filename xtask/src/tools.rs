//! Where the programs are that tests run against.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The pinned Python packages, as pip reads them.
pub const REQUIREMENTS: &str = include_str!("../py/requirements.txt");

/// The pinned package of the NATS server, as pip reads it.
pub const NATS_SERVER: &str = include_str!("../py/nats-server.txt");

/// The pinned packages of schemathesis, as pip reads them.
pub const SCHEMATHESIS: &str = include_str!("../py/schemathesis.txt");

/// A program that tests need and cargo does not bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// The Prometheus server, 2.42 or newer.
    Prometheus,
    /// Its linter, of the same version.
    Promtool,
    /// A Python interpreter with the packages of [`REQUIREMENTS`].
    Python,
    /// The NATS server, 2.10 or newer.
    NatsServer,
    /// The browser Chromium, which Python drives.
    Chromium,
    /// schemathesis, which makes requests of an OpenAPI document.
    Schemathesis,
    /// libfaketime, a library that tells one process another wall-clock time.
    Faketime,
}

impl Tool {
    /// All of them. Python comes before what its pip installs.
    pub const ALL: [Self; 7] = [
        Self::Prometheus,
        Self::Promtool,
        Self::Python,
        Self::NatsServer,
        Self::Chromium,
        Self::Schemathesis,
        Self::Faketime,
    ];

    /// What it is called, also on PATH.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Prometheus => "prometheus",
            Self::Promtool => "promtool",
            Self::Python => "python3",
            Self::NatsServer => "nats-server",
            Self::Chromium => "chromium",
            Self::Schemathesis => "schemathesis",
            Self::Faketime => "libfaketime.so.1",
        }
    }

    /// The environment variable that names its path, before any other place is looked at.
    #[must_use]
    pub fn variable(self) -> &'static str {
        match self {
            Self::Prometheus => "METERLINE_PROMETHEUS",
            Self::Promtool => "METERLINE_PROMTOOL",
            Self::Python => "METERLINE_PYTHON",
            Self::NatsServer => "METERLINE_NATS_SERVER",
            Self::Chromium => "METERLINE_CHROMIUM",
            Self::Schemathesis => "METERLINE_SCHEMATHESIS",
            Self::Faketime => "METERLINE_FAKETIME",
        }
    }

    /// What the path of every test contains that needs it.
    #[must_use]
    pub fn marker(self) -> &'static str {
        match self {
            Self::Prometheus => "with_prometheus",
            Self::Promtool => "with_promtool",
            Self::Python => "with_python",
            Self::NatsServer => "with_nats",
            Self::Chromium => "with_chromium",
            Self::Schemathesis => "with_schemathesis",
            Self::Faketime => "with_faketime",
        }
    }

    /// Its path: from the environment, else under [`directory`], else on PATH.
    ///
    /// # Panics
    /// If it is in none of these places, too old, or cannot be run.
    #[must_use]
    pub fn path(self) -> PathBuf {
        self.find()
            .unwrap_or_else(|why| panic!("{why}; run `cargo xtask setup`"))
    }

    /// Its path, looked for in the same places.
    ///
    /// # Errors
    /// In words: what is missing, or what is wrong with what was found.
    pub fn find(self) -> Result<PathBuf, String> {
        if let Some(path) = env::var_os(self.variable()).map(PathBuf::from) {
            return match self.check(&path) {
                Ok(()) => Ok(path),
                Err(why) => Err(format!("{}: {why}", self.variable())),
            };
        }
        let on_path = env::var_os("PATH").unwrap_or_default();
        let system = (self == Self::Faketime).then(|| Path::new("/").join(faketime()));
        let candidates = std::iter::once(self.installed_path())
            .chain(system)
            .chain(env::split_paths(&on_path).map(|dir| dir.join(self.name())));
        let mut why = None;
        for path in candidates.filter(|path| path.is_file()) {
            match self.check(&path) {
                Ok(()) => return Ok(path),
                Err(fault) => why = why.or(Some(fault)),
            }
        }
        Err(why.unwrap_or_else(|| format!("{} is not installed", self.name())))
    }

    /// Where `cargo xtask setup` puts it.
    #[must_use]
    pub fn installed_path(self) -> PathBuf {
        match self {
            Self::Prometheus | Self::Promtool => {
                directory().join("prometheus/usr/bin").join(self.name())
            }
            Self::Python => directory().join("python/bin/python3"),
            Self::NatsServer => directory().join("nats-server/bin/nats-server"),
            // A package of many parts, which apt puts together.
            Self::Chromium => PathBuf::from("/usr/bin/chromium"),
            Self::Faketime => directory().join("faketime").join(faketime()),
            Self::Schemathesis => directory().join("schemathesis/bin/schemathesis"),
        }
    }

    fn check(self, path: &Path) -> Result<(), String> {
        match self {
            Self::Faketime => fakes_time(path),
            Self::Prometheus | Self::Promtool => {
                at_least(path, (2, 42), &output(path, &["--version"])?)
            }
            Self::NatsServer => at_least(path, (2, 10), &output(path, &["--version"])?),
            // Its window and protocol have been stable for long.
            Self::Chromium => at_least(path, (100, 0), &output(path, &["--version"])?),
            // Its checks and their names change between versions.
            Self::Schemathesis => at_least(path, (4, 32), &output(path, &["--version"])?),
            Self::Python => pinned_packages()
                .try_for_each(|(package, version)| has_package(path, package, version)),
        }
    }
}

/// The workspace this program was built in.
#[must_use]
pub fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// Where tools are installed: `tools` in cargo's target directory.
#[must_use]
pub fn directory() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    workspace().join(target).join("tools")
}

/// Whether what a program says about its version (`name, version 2.42.0+ds (...)`, `name 0.20.2`,
/// `name: v2.15.1`) is at least this one.
///
/// # Errors
/// In words, naming the program, the version it has and the one wanted.
pub fn at_least(path: &Path, minimum: (u32, u32), said: &str) -> Result<(), String> {
    let (major, minor) = minimum;
    let words = said.split_ascii_whitespace();
    let Some(version) = words.filter_map(major_and_minor).next() else {
        return Err(format!("{}: no version in {said:?}", path.display()));
    };
    if version >= minimum {
        return Ok(());
    }
    Err(format!(
        "{} is version {}.{}, at least {major}.{minor} is needed",
        path.display(),
        version.0,
        version.1
    ))
}

/// What a program prints on standard output when run to its end.
///
/// # Errors
/// In words, if it cannot be run or does not succeed.
pub fn output(program: &Path, arguments: &[&str]) -> Result<String, String> {
    let name = program.display();
    let run = Command::new(program).args(arguments).output();
    let output = run.map_err(|error| format!("{name} cannot be run: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{name}: {}: {}", output.status, said.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Where Debian and Ubuntu have the library, below the root of the file system.
fn faketime() -> PathBuf {
    let machine = format!("{}-linux-gnu", env::consts::ARCH);
    Path::new("usr/lib")
        .join(machine)
        .join("faketime/libfaketime.so.1")
}

fn fakes_time(library: &Path) -> Result<(), String> {
    let year = Command::new("date")
        .arg("+%Y")
        .env("LD_PRELOAD", library)
        .env("FAKETIME", "2001-02-03 04:05:06")
        .output();
    let said = year.map(|output| output.stdout).unwrap_or_default();
    if said.starts_with(b"2001") {
        return Ok(());
    }
    Err(format!(
        "{} does not change what `date` says",
        library.display()
    ))
}

fn major_and_minor(word: &str) -> Option<(u32, u32)> {
    let mut parts = word.trim_start_matches('v').split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn pinned_packages() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = REQUIREMENTS.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.trim_end_matches('\\').trim().split_once("=="))
}

fn has_package(python: &Path, package: &str, version: &str) -> Result<(), String> {
    let program = format!("import importlib.metadata as m; print(m.version('{package}'))");
    let missing = |has: &str| {
        let python = python.display();
        Err(format!("{python} lacks {package} {version} (it has {has})"))
    };
    match output(python, &["-c", &program]) {
        Ok(has) if has.trim() == version => Ok(()),
        Ok(has) => missing(has.trim()),
        Err(_) => missing("none"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        let said = "prometheus, version 2.42.0+ds (branch: debian/sid)";
        let path = Path::new("prometheus");
        assert_eq!(at_least(path, (2, 42), said), Ok(()));
        assert_eq!(at_least(path, (2, 5), said), Ok(()));
        assert_eq!(at_least(path, (0, 9), "cargo-deny 0.20.2"), Ok(()));
        assert_eq!(at_least(path, (2, 10), "nats-server: v2.15.1"), Ok(()));
        let fault = at_least(path, (3, 0), said).expect_err("2.42 is older than 3.0");
        assert!(fault.contains("2.42") && fault.contains("3.0"), "{fault}");
        assert!(at_least(path, (2, 42), "nothing of the kind").is_err());
    }

    #[test]
    fn every_requirement_is_pinned_with_a_hash() {
        for requirements in [REQUIREMENTS, NATS_SERVER, SCHEMATHESIS] {
            assert!(requirements.contains("=="));
            let mut lines = requirements
                .lines()
                .filter(|line| !line.starts_with('#'))
                .peekable();
            while let Some(line) = lines.next() {
                let continued = lines
                    .peek()
                    .is_some_and(|next| next.trim().starts_with("--hash=sha256:"));
                assert!(line.trim().starts_with("--hash") || continued, "{line}");
            }
        }
    }

    #[test]
    fn a_tool_without_its_packages_is_refused_by_name() {
        let fault = has_package(Path::new("/bin/false"), "some_package", "1.2.3")
            .expect_err("there is no such package");
        assert!(fault.contains("some_package 1.2.3"), "{fault}");
    }
}
