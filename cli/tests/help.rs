//! The help texts, whole.

mod common;

use common::stdout;

#[test]
fn help_of_every_command() {
    insta::assert_snapshot!("help", stdout(&["--help"]));
    insta::assert_snapshot!("help_build", stdout(&["build", "--help"]));
    insta::assert_snapshot!("help_run", stdout(&["run", "--help"]));
    insta::assert_snapshot!("help_check", stdout(&["check", "--help"]));
    insta::assert_snapshot!("help_runs_compare", stdout(&["runs", "compare", "--help"]));
    let others = [
        "runs",
        "reproduce",
        "bench",
        "tune",
        "compile",
        "export",
        "verify",
        "explain",
        "diff",
        "lint",
        "new",
        "list",
        "devices",
        "schema",
    ];
    for command in others {
        insta::assert_snapshot!(format!("help_{command}"), stdout(&[command, "--help"]));
    }
}

#[test]
fn version_is_the_crates() {
    assert_eq!(stdout(&["--version"]).trim(), format!("resnetc {}", env!("CARGO_PKG_VERSION")));
}

/// What `docs/commands.md` begins with.
const HEAD: &str = "\
# Commands

This page is `resnetc COMMAND --help` for every command. A test writes it and fails where it is out of date:

    UPDATE_DOCS=1 cargo test -p resnetc-cli --test help

A `SPEC` is a file or the name of a compiled-in network (`resnetc list`). Every command also takes `--quiet`, `--color WHEN`,
`--help` and `--version`. Exit status: 0 done, 1 failed, 2 wrong usage or a wrong spec.
";

/// A command's help without the options that every command has.
fn own_help(command: &str) -> String {
    let help = stdout(&[command, "--help"]);
    let (options, examples) =
        help.split_once("\nOutput:\n").expect("the options of every command stand together");
    let (_, examples) = examples.split_once("\nExamples:\n").expect("every command has examples");
    let common = |part: &&str| {
        let part = part.strip_prefix("Options:\n").unwrap_or(part);
        part.starts_with("  -h, --help\n") || part.starts_with("  -V, --version\n")
    };
    let own: Vec<&str> = options.trim_end().split("\n\n").filter(|part| !common(part)).collect();
    format!("{}\n\nExamples:\n{}", own.join("\n\n"), examples.trim_end())
}

/// The names of all commands with what each does.
fn commands() -> Vec<(String, String)> {
    let help = stdout(&["--help"]);
    let list = help.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next());
    let entry = |line: &str| {
        let (name, about) = line.trim().split_once(' ').expect("a name and what it does");
        (name.to_owned(), about.trim().to_owned())
    };
    list.expect("a list of commands").lines().map(entry).collect()
}

#[test]
fn page_of_commands_is_current() {
    let commands = commands();
    let mut page = HEAD.to_owned() + "\n";
    for (name, about) in &commands {
        page += &format!("- [`{name}`](#{name}): {about}.\n");
    }
    for (name, _) in &commands {
        page += &format!("\n## {name}\n\n```text\n{}\n```\n", own_help(name));
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/commands.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(file, &page).expect("written");
    }
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    assert!(kept == page, "docs/commands.md is out of date: run with UPDATE_DOCS=1");
}
