//! `docs/authoring.md` says the truth: its specs compile, its commands print what it shows, its picture is current.

mod common;

use std::path::Path;

use common::{resnetc, stdout};

const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/authoring.md");

/// The fenced blocks of a language, in order.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let open = format!("```{language}\n");
    text.split(&open).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

/// Runs one line and gives all that it prints.
fn run(folder: &Path, line: &str) -> String {
    let args: Vec<_> = line.strip_prefix("resnetc ").expect("a command of ours").split(' ').collect();
    let output = resnetc(&args).current_dir(folder).output().expect("the binary starts");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Whether the lines stand in the text in this order; between those that `...` parts there may be others.
fn shows(text: &str, expected: &str) -> bool {
    let mut rest = text;
    for (i, part) in expected.split("...\n").enumerate() {
        match rest.find(part) {
            Some(at) if i > 0 || at == 0 => rest = &rest[at + part.len()..],
            _ => return false,
        }
    }
    rest.is_empty() || expected.ends_with("...\n")
}

#[test]
fn every_spec_compiles_and_every_command_prints_what_is_shown() {
    let guide = std::fs::read_to_string(GUIDE).expect("readable");
    let folder = tempfile::tempdir().expect("a folder");
    let mut specs = Vec::new();
    for block in blocks(&guide, "yaml") {
        let head = block.lines().next().unwrap_or_default();
        let (kind, name) = head.trim_start_matches("# ").split_once(": ").expect("a block names its file");
        std::fs::write(folder.path().join(name), block).expect("written");
        specs.push((kind, name));
    }
    assert!(specs.len() >= 4, "the guide has lost its specs");
    for (kind, name) in specs {
        let output = run(folder.path(), &format!("resnetc check {name}"));
        assert_eq!(output == format!("{name}: ok\n"), kind == "file", "{output}");
    }
    for block in blocks(&guide, "console") {
        for command in block.split("$ ").skip(1) {
            let (line, expected) = command.split_once('\n').expect("a command ends its line");
            let output = run(folder.path(), line);
            assert!(shows(&output, expected), "{line} prints\n{output}\nnot\n{expected}");
        }
    }
}

/// `resnetc build resnet18 --emit svg -o docs/resnet18.svg` makes it current again.
#[test]
fn picture_is_current() {
    let drawn = stdout(&["build", "resnet18", "--emit", "svg"]);
    let file = Path::new(GUIDE).with_file_name("resnet18.svg");
    assert!(drawn == std::fs::read_to_string(file).expect("readable"), "docs/resnet18.svg is out of date");
}

#[test]
fn left_out_lines_may_be_anything_and_shown_ones_not() {
    assert!(shows("a\nb\nc\n", "a\n...\nc\n") && shows("a\nb\n", "a\n...\n") && shows("", ""));
    assert!(!shows("a\nb\n", "a\n") && !shows("x\na\n", "a\n") && !shows("a\nc\nb\n", "b\n...\nc\n"));
}
