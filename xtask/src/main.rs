//! Everything a contributor runs; `cargo xtask help` lists it.

mod ci;
mod fuzz;
mod setup;
mod steps;
mod test;

use std::env;
use std::process::ExitCode;

use steps::{Options, Steps, cargo, succeed};
use xtask::tools::workspace;

const HELP: &str = "\
Everything a contributor runs.

    cargo xtask setup            install the pinned test tools into target/tools
    cargo xtask test             install what the tests need, run every test there is
    cargo xtask ci               formatting, lints, documentation, dependencies, then every test
    cargo xtask chaos            kill workers, APIs and brokers some hundred times under load, cut
                                 networks, fill brokers;
                                 scrape and push for minutes
    cargo xtask bench [ARGS]     the benchmarks, beside those of other libraries
    cargo xtask fuzz [TARGET...] [--seconds N]
                                 the fuzz targets, or those named, a minute each

    --offline   for setup, test, chaos and ci: reach for no network; tests whose tools are missing are
                left out, and said to be (with the variable CI set they fail instead)
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        ["bench", ref rest @ ..] => bench(rest),
        ["fuzz", ref rest @ ..] => fuzz::run(rest),
        [command] => run(command, false),
        [command, "--offline"] | ["--offline", command] => run(command, true),
        _ => wrong_usage(),
    }
}

fn run(command: &str, offline: bool) -> ExitCode {
    let options = Options::new(offline);
    let mut steps = Steps::new(options);
    match command {
        "setup" => setup::everything(&mut steps),
        "test" => test::run(&mut steps),
        "chaos" => test::chaos(&mut steps),
        "ci" => ci::run(&mut steps),
        _ => return wrong_usage(),
    }
    steps.finish()
}

fn bench(arguments: &[&str]) -> ExitCode {
    let manifest = workspace().join("bench/Cargo.toml");
    if !manifest.is_file() {
        eprintln!(
            "There are no benchmarks yet: {} is missing.",
            manifest.display()
        );
        return ExitCode::FAILURE;
    }
    let mut command = cargo(&["run", "--release", "--manifest-path"]);
    if let Err(why) = succeed(command.arg(manifest).arg("--").args(arguments)) {
        eprintln!("{why}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn wrong_usage() -> ExitCode {
    eprint!("{HELP}");
    ExitCode::from(2)
}
