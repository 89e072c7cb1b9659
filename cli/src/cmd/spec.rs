//! The spec that the command line names.

use resnetc::error::WIDTH;
use resnetc::{Spec, SpecOptions};

use crate::args::Overrides;
use crate::failure::Result;
use crate::output::Output;

/// Reads and resolves a spec, and tells its warnings.
pub fn load(name: &str, options: &SpecOptions, output: &Output) -> Result<Spec> {
    let spec = Spec::open(name, options)?;
    if let Some(warnings) = spec.warnings(output.color, WIDTH) {
        output.warn(&warnings);
    }
    Ok(spec)
}

/// How a command's arguments say that specs are read.
pub fn options(overrides: &Overrides) -> SpecOptions {
    SpecOptions { set: overrides.sets(), limits: overrides.bounds.limits() }
}
