//! `resnetc check`: every mistake of every spec, nothing else.

use std::path::Path;

use super::spec;
use crate::args::{CheckArgs, Overrides};
use crate::failure::{Failure, Result};
use crate::output::Output;

/// Runs the command: goes through all specs before it fails. One that cannot be read is told where its turn is.
pub fn check(args: &CheckArgs, output: &Output) -> Result {
    let (mut faults, mut unreadable) = (Vec::new(), false);
    for name in &args.specs {
        match check_one(name, &args.overrides, output) {
            Ok(()) => output.note(&format!("{}: ok", name.display()))?,
            Err(Failure::Spec(more)) => faults.extend(more),
            Err(Failure::Usage(reason)) => {
                let folder = if name.is_dir() { "; `resnetc verify` goes through a folder" } else { "" };
                output.error(&format!("{reason}{folder}"));
                unreadable = true;
            }
            Err(other) => return Err(other),
        }
    }
    match (faults.is_empty(), unreadable) {
        (true, false) => Ok(()),
        (true, true) => Err(Failure::Unreadable),
        (false, _) => Err(Failure::Spec(faults)),
    }
}

/// Loads the spec and compiles its training step, which takes in all that inference does.
fn check_one(name: &Path, overrides: &Overrides, output: &Output) -> Result {
    Ok(spec::load(name, &spec::options(overrides), output)?.check()?)
}
