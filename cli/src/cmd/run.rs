//! `resnetc run`: which of its three works is wanted.

use super::{device, eval, predict, train};
use crate::args::RunArgs;
use crate::failure::{Failure, Result};
use crate::output::Output;

/// Runs the command.
pub fn run(args: &RunArgs, output: &Output) -> Result {
    device::check(args, output)?;
    if let Some(dataset) = &args.train {
        return train::train(args.spec.as_deref(), dataset.as_deref(), args, output);
    }
    let Some(spec) = args.spec.as_deref() else {
        return Err(Failure::Usage("a SPEC is needed, or --train".into()));
    };
    match (&args.eval, &args.checkpoint) {
        (Some(dataset), Some(checkpoint)) => eval::eval(spec, dataset, checkpoint, args, output),
        _ => predict::predict(spec, args, output),
    }
}
