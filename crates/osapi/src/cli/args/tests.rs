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

/// The words of a command line, up to where the shell goes on with something else.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in line.chars() {
        match (quote, c) {
            (None, '#' | '|' | '>' | ';' | '&' | ')') => break,
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), _) if c == open => quote = None,
            (None, ' ') => words.extend(Some(std::mem::take(&mut word)).filter(|w| !w.is_empty())),
            _ => word.push(c),
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

#[test]
fn commands_in_the_documents_parse() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let documents = std::fs::read_dir(root.join("docs")).unwrap();
    let mut documents: Vec<_> = documents.map(|entry| entry.unwrap().path()).collect();
    documents.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    documents.push(root.join("README.md"));
    let mut parsed = 0;
    for document in documents {
        let text = std::fs::read_to_string(&document).unwrap();
        for block in text.split("```sh\n").skip(1) {
            let (block, _) = block.split_once("```").unwrap();
            for line in block.lines() {
                let begin = ["osapi ", "target/release/osapi ", "cargo run --release -- "];
                // Also behind a pipe, or in `$(...)`.
                let line = line.rsplit("$(").next().unwrap_or_default();
                let line = line.rsplit(" | ").find_map(|part| {
                    begin
                        .iter()
                        .find_map(|begin| part.trim().strip_prefix(begin))
                });
                let Some(line) = line else { continue };
                let line = [vec!["osapi".to_owned()], words(line)].concat();
                if let Err(error) = Cli::try_parse_from(&line) {
                    panic!("{}: {line:?}: {error}", document.display());
                }
                parsed += 1;
            }
        }
    }
    assert!(parsed > 30, "only {parsed} commands found");
}
