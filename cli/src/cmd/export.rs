//! `resnetc export`: a network with weights as a file for other programs.

use std::path::PathBuf;

use resnetc::onnx::{OnnxOptions, to_onnx};

use super::{spec, weights};
use crate::args::ExportArgs;
use crate::failure::Result;
use crate::files;
use crate::output::Output;
use crate::report::units::grouped;

/// Runs the command.
pub fn export(args: &ExportArgs, output: &Output) -> Result {
    let spec = spec::load(&args.spec, &spec::options(&args.overrides), output)?;
    let target = args.output.clone().unwrap_or_else(|| file_name(spec.name()));
    let weights = match args.weights.options(args.seed) {
        Some(options) => weights::store(&spec, &options, output)?,
        None => spec.initial_weights(args.seed.unwrap_or(spec.resolved().train.seed))?,
    };
    let source = args.weights.weights.as_deref().and_then(|path| path.file_name());
    let source = source.map_or("fresh".to_owned(), |name| name.to_string_lossy().into_owned());
    let options = OnnxOptions {
        opset: args.opset,
        batch: (!args.dynamic_batch).then_some(args.batch.unwrap_or(1)),
        fold_bn: args.fold_bn,
        metadata: vec![("weights".to_owned(), source)],
    };
    let bytes = to_onnx(&spec, &weights, &options)?;
    files::write(&target, &bytes)?;
    let (size, opset) = (grouped(bytes.len() as u64), args.opset);
    output.note(&format!("wrote {}: {}, opset {opset}, {size} bytes", target.display(), spec.name()))
}

/// A file in the working folder that says what it is of, and of which version of the program.
fn file_name(network: &str) -> PathBuf {
    // A network's name may be any text.
    let safe = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = network.chars().map(safe).collect();
    format!("{name}-{}.onnx", env!("CARGO_PKG_VERSION")).into()
}
