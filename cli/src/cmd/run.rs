//! `resnetc run`: which of its works is wanted.

use super::setup::Setup;
use super::{eval, pictures, predict, train};
use crate::args::RunArgs;
use crate::environment::Environment;
use crate::failure::{Failure, Result};
use crate::output::Output;

/// Runs the command.
pub fn run(args: &RunArgs, environment: &Environment, output: &Output) -> Result {
    let setup = Setup::new(args, environment, output)?;
    if let Some(dataset) = &args.train {
        return train::train(args.spec.as_deref(), dataset.as_deref(), args, setup, output);
    }
    let Some(spec) = args.spec.as_deref() else {
        return Err(Failure::Usage("a SPEC is needed, or --train".into()));
    };
    if !args.pictures.predict.is_empty() {
        return pictures::predict(spec, args, &setup, output);
    }
    match (&args.eval, &args.checkpoint) {
        (Some(dataset), Some(checkpoint)) => eval::eval(spec, dataset, checkpoint, args, &setup, output),
        _ => predict::predict(spec, args, &setup.device, output),
    }
}
