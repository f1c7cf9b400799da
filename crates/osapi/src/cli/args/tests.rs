use super::*;
use clap::CommandFactory;

#[test]
fn the_arguments_are_consistent() {
    Cli::command().debug_assert();
}

/// The command and all below it, each with the words that lead to it.
fn walk(
    command: &clap::Command,
    path: &[String],
    visit: &mut impl FnMut(&clap::Command, &[String]),
) {
    visit(command, path);
    for sub in command.get_subcommands() {
        let path = [path, &[sub.get_name().to_owned()]].concat();
        walk(sub, &path, visit);
    }
}

#[test]
fn every_command_shows_examples_of_itself_that_parse() {
    let mut seen = Vec::new();
    walk(&Cli::command(), &[], &mut |command, path| {
        let help = command
            .get_after_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        let examples: Vec<&str> = help.lines().skip(1).map(str::trim).collect();
        assert!(
            help.starts_with("Examples:\n") && !examples.is_empty(),
            "{path:?}"
        );
        for example in examples {
            // Quotes stand around JSON only, which has no spaces here; `>` and `|` are the shell's.
            let line = example
                .split(" > ")
                .next()
                .and_then(|line| line.split(" | ").next())
                .unwrap_or_default()
                .replace('\'', "");
            let words: Vec<&str> = line.split(' ').collect();
            assert!(
                words[1..].starts_with(&path.iter().map(String::as_str).collect::<Vec<_>>()),
                "{example}"
            );
            if let Err(error) = Cli::try_parse_from(&words) {
                panic!("{example}: {error}");
            }
        }
        seen.push(path.join(" "));
    });
    for known in [
        "",
        "up",
        "job submit",
        "workers undrain",
        "config check",
        "check",
        "metrics",
        "completions",
    ] {
        assert!(
            seen.iter().any(|path| path == known),
            "{known:?} not in {seen:?}"
        );
    }
}
