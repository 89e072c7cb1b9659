//! The spec that the command line names.

use std::io::Read;
use std::path::Path;
use std::sync::OnceLock;

use resnetc::{Spec, SpecOptions};

use crate::args::{Overrides, RunArgs, TtaArg};
use crate::failure::{Failure, Result};
use crate::output::Output;

/// The name of standard input on the command line, and in messages.
const STDIN: [&str; 2] = ["-", "<stdin>"];

/// Reads and resolves a spec, and tells its warnings.
pub fn load(name: impl AsRef<Path>, options: &SpecOptions, output: &Output) -> Result<Spec> {
    let spec = open(name, options)?;
    if let Some(warnings) = spec.warnings(output.color, output.width) {
        output.warn(&warnings);
    }
    Ok(spec)
}

/// Reads and resolves a spec: a file, the name of a compiled-in one, or `-`.
pub fn open(name: impl AsRef<Path>, options: &SpecOptions) -> Result<Spec> {
    let [argument, told] = STDIN;
    if !is_stdin(name.as_ref()) {
        return Ok(Spec::open(name, options)?);
    }
    let text =
        stdin(options.limits.bytes).map_err(|e| Failure::Usage(format!("cannot read `{argument}`: {e}")))?;
    Ok(Spec::from_reader(told, text, options)?)
}

/// Whether standard input is meant.
pub fn is_stdin(name: &Path) -> bool {
    name == Path::new(STDIN[0])
}

/// All of standard input, or as much of it as is too much. It can be read once, while a command may open a spec twice.
fn stdin(limit: usize) -> std::io::Result<&'static [u8]> {
    static TEXT: OnceLock<Vec<u8>> = OnceLock::new();
    if let Some(text) = TEXT.get() {
        return Ok(text);
    }
    let mut text = Vec::new();
    std::io::stdin().lock().take((limit as u64).saturating_add(1)).read_to_end(&mut text)?;
    Ok(TEXT.get_or_init(|| text))
}

/// How a command's arguments say that specs are read.
pub fn options(overrides: &Overrides) -> SpecOptions {
    SpecOptions { set: overrides.sets(), limits: overrides.bounds.limits() }
}

/// The same of `run`, whose options are in it; `--set` has the last word.
pub fn run_options(args: &RunArgs) -> SpecOptions {
    let mut options = options(&args.overrides);
    options.set.splice(0..0, args.tta.map(TtaArg::set));
    options
}
