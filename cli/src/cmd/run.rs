//! `resnetc run`: which of its works is wanted.

use resnetc::WeightsOptions;

use super::setup::Setup;
use super::{eval, pictures, predict, tensors, train};
use crate::args::RunArgs;
use crate::environment::Environment;
use crate::failure::{Failure, Result};
use crate::output::Output;

/// Runs the command.
pub fn run(args: &RunArgs, environment: &Environment, output: &Output) -> Result {
    let setup = Setup::new(args, environment, output)?;
    if let Some(dataset) = &args.train {
        let asked = train::Asked { name: args.spec.as_deref(), dataset: dataset.as_deref(), args };
        return train::train(&asked, setup, &environment.launch()?, output);
    }
    let Some(spec) = args.spec.as_deref() else {
        return Err(Failure::Usage("a SPEC is needed, or --train".into()));
    };
    let raw = args.weights.raw_weights;
    let of = |file| WeightsOptions { raw, ..WeightsOptions::file(file) };
    let checkpoint = args.checkpoint.as_ref().map(of);
    let weights = args.weights.options(args.seed, &setup.downloads).or(checkpoint);
    if let (false, Some(weights)) = (args.pictures.predict.is_empty(), &weights) {
        return pictures::predict(spec, weights, args, &setup, output);
    }
    if let (Some(input), Some(target)) = (&args.tensors.input, &args.tensors.output) {
        return tensors::run(spec, input, target, weights.as_ref(), args, &setup.device, output);
    }
    match (&args.eval, weights) {
        (Some(dataset), Some(weights)) => eval::eval(spec, dataset, &weights, args, &setup, output),
        (_, weights) => predict::predict(spec, weights.as_ref(), args, &setup.device, output),
    }
}
