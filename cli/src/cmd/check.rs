//! `resnetc check`: every mistake of every spec, nothing else.

use super::spec;
use crate::args::{CheckArgs, Overrides};
use crate::failure::{Failure, Result};
use crate::output::Output;

/// Runs the command: goes through all specs before it fails.
pub fn check(args: &CheckArgs, output: &Output) -> Result {
    let mut faults = Vec::new();
    for name in &args.specs {
        match check_one(name, &args.overrides, output) {
            Ok(()) => output.note(&format!("{name}: ok"))?,
            Err(Failure::Spec(more)) => faults.extend(more),
            Err(other) => return Err(other),
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(Failure::Spec(faults)) }
}

/// Loads the spec and compiles its training step, which takes in all that inference does.
fn check_one(name: &str, overrides: &Overrides, output: &Output) -> Result {
    Ok(spec::load(name, &spec::options(overrides), output)?.check()?)
}
