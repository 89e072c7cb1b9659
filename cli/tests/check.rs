//! `resnetc check`, and how wrong specs and wrong usage are told.

mod common;

use common::{resnetc, run, stderr, stdout};

#[test]
fn right_specs_are_ok() {
    assert_eq!(
        stdout(&["check", "resnet20", "tests/specs/tiny.yaml"]),
        "resnet20: ok\ntests/specs/tiny.yaml: ok\n"
    );
    assert_eq!(stdout(&["check", "--quiet", "resnet20"]), "");
}

#[test]
fn wrong_specs_are_underlined_and_fail_with_2() {
    let output = run(&["check", "tests/specs/wrong.yaml", "resnet20"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "resnet20: ok\n");
    insta::assert_snapshot!("wrong_spec", stderr(&output));
}

#[test]
fn every_command_refuses_a_wrong_spec_with_2() {
    for args in [&["build", "tests/specs/wrong.yaml"][..], &["run", "tests/specs/wrong.yaml", "--train"]] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr(&output).contains("wrong.yaml:"), "{}", stderr(&output));
    }
}

#[test]
fn a_name_that_is_no_spec_is_wrong_usage() {
    let output = run(&["build", "resnet51"]);
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!("unknown_network", stderr(&output));
    let output = run(&["build", "no/such/file.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("no/such/file.yaml"));
}

#[test]
fn wrong_overrides_point_at_the_argument() {
    let output = run(&["check", "resnet20", "--set", "train.epoch=3"]);
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!("wrong_override", stderr(&output));
}

#[test]
fn colour_is_as_asked() {
    let colored = |args: &[&str], no_color: &str| {
        let output = resnetc(args).env("NO_COLOR", no_color).output().expect("the binary starts");
        stderr(&output).contains('\u{1b}')
    };
    let check = ["check", "tests/specs/wrong.yaml"];
    assert!(!colored(&check, ""), "standard error is no terminal here");
    assert!(colored(&[check[0], check[1], "--color", "always"], ""));
    assert!(!colored(&[check[0], check[1], "--color", "never"], ""));
}
