//! `resnetc run SPEC --input FILE --output FILE`: tensors in, tensors out, to be compared with any other program.

use std::path::Path;

use resnetc::tensors::{self, Array, Format};
use resnetc::{DeviceOptions, Logits, Runner, WeightsOptions};

use super::{spec, weights};
use crate::args::RunArgs;
use crate::failure::{Failure, Result};
use crate::files;
use crate::output::Output;
use crate::report::units::shape;

/// Images per run where the command line says nothing.
const BATCH: usize = 16;

/// Runs the command.
pub fn run(
    name: &str,
    input: &Path,
    target: &Path,
    weights: Option<&WeightsOptions>,
    args: &RunArgs,
    device: &DeviceOptions,
    output: &Output,
) -> Result {
    check(target, &args.tensors.emit_activations)?;
    let spec = spec::load(name, &spec::options(&args.overrides), output)?;
    let images = tensors::read_images(input, spec.resolved().input.value)?;
    let weights = match weights {
        Some(options) => weights::store(&spec, options, output)?,
        None => spec.initial_weights(args.seed.unwrap_or(spec.resolved().train.seed))?,
    };
    let batch = args.batch.unwrap_or(BATCH).min(images.shape()[0]);
    let mut runner = Runner::new(&spec, &weights, device, &args.tensors.emit_activations, batch)?;
    let mut results = runner.run(images.data())?;
    if args.softmax {
        results
            .iter_mut()
            .filter(|(name, _)| name == "logits")
            .for_each(|(_, array)| *array = softmax(array));
    }
    files::write(target, &tensors::to_bytes(target, &results)?)?;
    let list: Vec<String> =
        results.iter().map(|(name, array)| format!("{name} {}", shape(array.shape()))).collect();
    output.note(&format!("wrote {}: {}", target.display(), list.join(", ")))
}

/// Refuses an output that cannot hold what is wanted, before anything is computed.
fn check(target: &Path, emit: &[String]) -> Result {
    let usage = |error: resnetc::Error| Failure::Usage(error.to_string());
    if Format::of(target).map_err(usage)? == Format::Npy && !emit.is_empty() {
        let text = "a .npy holds one tensor: with --emit-activations, --output is a .safetensors";
        return Err(Failure::Usage(text.into()));
    }
    Ok(())
}

/// Probabilities in place of logits.
fn softmax(logits: &Array) -> Array {
    let rows = Logits::new(logits.data().to_vec(), logits.shape()[0]).softmax();
    Array::new(logits.shape().to_vec(), rows.values().to_vec()).expect("as many as before")
}
