//! `resnetc check`: every mistake of every spec, nothing else.

use resnetc_compiler::source::SourceMap;

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
            Err(Failure::Spec(text)) => faults.push(text),
            Err(other) => return Err(other),
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(Failure::Spec(faults.join("\n"))) }
}

/// Loads the spec and compiles its training step, which takes in all that inference does.
fn check_one(name: &str, overrides: &Overrides, output: &Output) -> Result {
    let mut sources = SourceMap::default();
    let spec = spec::load(name, &overrides.sets(), overrides.bounds.limits(), &mut sources, output)?;
    spec::check(&spec, &sources, output)
}
