//! The help texts, whole.

mod common;

use common::stdout;

#[test]
fn help_of_every_command() {
    insta::assert_snapshot!("help", stdout(&["--help"]));
    insta::assert_snapshot!("help_build", stdout(&["build", "--help"]));
    insta::assert_snapshot!("help_run", stdout(&["run", "--help"]));
    insta::assert_snapshot!("help_check", stdout(&["check", "--help"]));
    for command in ["bench", "tune", "verify", "explain", "diff", "lint", "new", "list", "schema"] {
        insta::assert_snapshot!(format!("help_{command}"), stdout(&[command, "--help"]));
    }
}

#[test]
fn version_is_the_crates() {
    assert_eq!(stdout(&["--version"]).trim(), format!("resnetc {}", env!("CARGO_PKG_VERSION")));
}
