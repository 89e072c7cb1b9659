//! `resnetc weights`: looks at files of weights, converts and compares them; and how other commands load weights.

mod convert;
mod diff;
mod inspect;

use resnetc::{Spec, Weights, WeightsOptions};
use resnetc_runtime::weights::ParamStore;

use crate::args::{WeightsAction, WeightsCommand};
use crate::failure::Result;
use crate::output::Output;

/// Runs the command.
pub fn weights(args: &WeightsCommand, output: &Output) -> Result {
    match &args.action {
        WeightsAction::Inspect(args) => inspect::inspect(args, output),
        WeightsAction::Convert(args) => convert::convert(args, output),
        WeightsAction::Diff(args) => diff::diff(args, output),
    }
}

/// A network's weights from a file. What was decided about the file is told where it is not this program's.
pub fn store(spec: &Spec, options: &WeightsOptions, output: &Output) -> Result<ParamStore> {
    Ok(load(spec, options, output)?.store()?)
}

/// The same, of which no tensor is read yet.
pub fn load(spec: &Spec, options: &WeightsOptions, output: &Output) -> Result<Weights> {
    let weights = Weights::load(spec, options)?;
    for line in weights.told() {
        output.warn(&format!("weights   {line}"));
    }
    Ok(weights)
}
