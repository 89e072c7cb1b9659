//! Tests in a process of their own: what ends a process, or changes all of it, cannot be done among others.

use std::process::{Command, Output};

/// This program with nothing but one test, ignored or not. `module` is `module_path!()` of the file that the test is in.
///
/// # Panics
/// If the system does not tell which file this program is.
#[must_use]
pub fn only(module: &str, test: &str) -> Command {
    // The first part is the crate, which names of tests leave out.
    let name = module.split_once("::").map_or_else(|| test.to_owned(), |(_, rest)| format!("{rest}::{test}"));
    let mut command = Command::new(std::env::current_exe().expect("this program's path"));
    command.args([&name, "--exact", "--include-ignored", "--nocapture"]);
    command
}

/// Whether its test ran and passed: a program without a test of that name succeeds too.
#[must_use]
pub fn passed(output: &Output) -> bool {
    output.status.success() && String::from_utf8_lossy(&output.stdout).contains("1 passed")
}
