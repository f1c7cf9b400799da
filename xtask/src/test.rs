use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use xtask::tools::{Tool, output, workspace};

use crate::setup;
use crate::steps::{Steps, cargo};

/// How much chaos makes of what [`run`] does in short form.
const CHAOS: [(&str, &str); 4] = [
    // Processes killed, in random order.
    ("OSAPI_CHAOS_KILLS", "120"),
    // Leaders of a cluster killed.
    ("OSAPI_CHAOS_LEADERS", "12"),
    // Jobs that ten workers share.
    ("OSAPI_CHAOS_JOBS", "10000"),
    // Seconds that scrape and push are kept under load, by each protocol.
    ("METERLINE_LOAD_SECONDS", "120"),
];

/// Every test there is.
pub(crate) fn run(steps: &mut Steps) {
    let (tools, left_out) = setup::test_tools(steps);
    let runner = Runner {
        nextest: setup::has_nextest(),
        offline: steps.options.offline,
        tools,
        left_out,
    };
    steps.run("tests", &mut runner.tests(&["--workspace"]));
    let mut doc_tests = cargo(&["test", "--workspace", "--doc"]);
    steps.run("tests in documentation", runner.prepare(&mut doc_tests));
    let combinations = steps.step("features of the libraries", feature_combinations);
    for (package, features) in combinations.unwrap_or_default() {
        let name = format!("tests of {package} with features [{features}]");
        let select = [
            "--package",
            &package,
            "--no-default-features",
            "--features",
            &features,
        ];
        steps.run(&name, &mut runner.tests(&select));
    }
}

/// The tests of processes, networks and brokers that fail, and of scrape and push under load, in their long form.
pub(crate) fn chaos(steps: &mut Steps) {
    const NATS: [&str; 5] = ["killed", "cluster", "cut_off", "fleet", "full"];
    let (tools, left_out) = setup::test_tools(steps);
    let of_nats = NATS.map(|module| format!("with_nats::{module}"));
    for (name, package, test, filters) in [
        ("chaos", "osapi", "program", &of_nats[..]),
        (
            "scrape and push under load",
            "meterline",
            "push",
            &["under_load".to_owned()],
        ),
    ] {
        let mut command = cargo(&["test", "--package", package, "--test", test]);
        if steps.options.offline {
            command.arg("--offline");
        }
        command.args(["--", "--nocapture", "--test-threads=1"]);
        command.args(filters).envs(CHAOS);
        command.envs(tools.iter().map(|(tool, path)| (tool.variable(), path)));
        for tool in &left_out {
            command.args(["--skip", tool.marker()]);
        }
        steps.run(name, &mut command);
    }
}

/// How tests are run on this machine.
struct Runner {
    nextest: bool,
    offline: bool,
    tools: Vec<(Tool, PathBuf)>,
    left_out: Vec<Tool>,
}

impl Runner {
    /// Tests of what is selected, without those in documentation. Examples are compiled, too.
    fn tests(&self, select: &[&str]) -> Command {
        let markers = self.left_out.iter().map(|tool| tool.marker());
        let mut command = if self.nextest {
            cargo(&["nextest", "run", "--no-fail-fast", "--no-tests=pass"])
        } else {
            cargo(&[
                "test",
                "--no-fail-fast",
                "--lib",
                "--bins",
                "--tests",
                "--examples",
            ])
        };
        command.args(select);
        self.prepare(&mut command);
        if self.nextest {
            let filter: Vec<_> = markers
                .map(|marker| format!("not test({marker})"))
                .collect();
            if !filter.is_empty() {
                command.args(["--filterset", &filter.join(" and ")]);
            }
        } else {
            command.arg("--");
            for marker in markers {
                command.args(["--skip", marker]);
            }
        }
        command
    }

    /// Tells cargo what to do without, and the tests where their tools are.
    fn prepare<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        if self.offline {
            command.arg("--offline");
        }
        let variables = self
            .tools
            .iter()
            .map(|(tool, path)| (tool.variable(), path));
        command.envs(variables)
    }
}

/// Every published library that has features, with every set of them: what is tested together with
/// the whole workspace has the features of its neediest user.
fn feature_combinations() -> Result<Vec<(String, String)>, String> {
    let manifest = workspace().join("Cargo.toml");
    let manifest = manifest.to_string_lossy();
    let cargo = PathBuf::from(cargo(&[]).get_program());
    let arguments = [
        "metadata",
        "--no-deps",
        "--format-version=1",
        "--manifest-path",
        &manifest,
    ];
    let metadata: Value = serde_json::from_str(&output(&cargo, &arguments)?)
        .map_err(|error| format!("cargo metadata: {error}"))?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let published = packages.filter(|package| package["publish"].is_null());
    let mut combinations = Vec::new();
    for package in published {
        let name = package["name"].as_str().unwrap_or_default();
        let features = package["features"].as_object().into_iter().flatten();
        let features: Vec<_> = features.map(|(name, _)| name.as_str()).collect();
        let sets = subsets(&features);
        println!("    {name}: {}", sets.len());
        combinations.extend(sets.into_iter().map(|set| (name.to_owned(), set)));
    }
    Ok(combinations)
}

/// All sets of these features, comma-separated; none if there are no features. `default` is not one
/// of them, as it only names others.
fn subsets(features: &[&str]) -> Vec<String> {
    let features: Vec<_> = features.iter().filter(|name| **name != "default").collect();
    if features.is_empty() {
        return Vec::new();
    }
    let sets = 0..1_u32 << features.len();
    let members = |set: u32| {
        let with = features.iter().enumerate();
        let with = with.filter(move |(index, _)| set >> index & 1 == 1);
        with.map(|(_, name)| **name).collect::<Vec<_>>().join(",")
    };
    sets.map(members).collect()
}

#[cfg(test)]
mod tests {
    use super::subsets;

    #[test]
    fn every_set_of_features_is_tried_once() {
        assert_eq!(
            subsets(&["axum", "bound", "default"]),
            ["", "axum", "bound", "axum,bound"]
        );
        assert!(subsets(&["default"]).is_empty());
        assert!(subsets(&[]).is_empty());
    }
}
