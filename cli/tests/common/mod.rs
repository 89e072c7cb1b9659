//! Running the built binary.

use std::process::{Command, Output};

/// The binary, in the folder of this crate, without anything of the caller's environment that changes what it says.
pub fn resnetc(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_resnetc"));
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR"));
    command
        .env_remove("NO_COLOR")
        .env_remove("RESNETC_DATA")
        .env("RESNETC_TUNING", "off")
        .env("COLUMNS", "100");
    command
}

/// Runs to the end.
pub fn run(args: &[&str]) -> Output {
    resnetc(args).output().expect("the binary starts")
}

/// Standard output of a run that succeeded.
pub fn stdout(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Standard error of any run.
pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}
