//! What a training survives: kills, signals, closed terminals, full disks, another training in its folder. Each test runs the
//! binary as its user would.

#![cfg(unix)]

// The other suites of the binary use more of it.
#[allow(dead_code)]
#[path = "../../cli/tests/common/mod.rs"]
mod common;
mod disk;
mod folder;
// With the `script` of util-linux.
#[cfg(target_os = "linux")]
mod hangup;
mod kill;
mod signal;
mod terminal;
mod training;
