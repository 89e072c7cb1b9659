//! `resnetc weights convert`: the same weights as safetensors, by the same names or another program's.

use resnetc::hub::to_dialect;
use resnetc::resnetc_weights::TensorFile;
use resnetc::resnetc_weights::write::{Written, safetensors};
use resnetc::weights::{dialect_names, fitting, open, weights_of};
use resnetc::{Spec, SpecOptions, WeightsOptions};
use resnetc_runtime::weights::file::{Metadata, to_bytes};

use super::load::store;
use crate::args::ConvertArgs;
use crate::cmd::spec;
use crate::failure::{Failure, Result};
use crate::files;
use crate::output::Output;

/// Runs the command.
pub fn convert(args: &ConvertArgs, output: &Output) -> Result {
    let file = open(&args.input)?;
    let (bytes, told) = match args.dialect.as_deref() {
        None => (plain(&file)?, format!("{} tensors by the same names", weights_of(&file).len())),
        Some(dialect) => renamed(args, &file, dialect, output)?,
    };
    files::write(&args.output, &bytes)?;
    output.note(&format!("wrote {}: {told}", args.output.display()))
}

/// The same names.
fn plain(file: &TensorFile) -> Result<Vec<u8>> {
    let floats = weights_of(file).into_iter().filter(|(_, listed)| listed.dtype.is_float());
    let tensors: Vec<Written<'_>> = floats
        .filter_map(|(name, listed)| file.floats(&name).map(|data| (name, listed.shape, data)))
        .collect();
    safetensors(&tensors).map_err(Failure::Failed)
}

/// The names of a dialect; the file's bytes, and what is said of them.
fn renamed(
    args: &ConvertArgs,
    file: &TensorFile,
    dialect: &str,
    output: &Output,
) -> Result<(Vec<u8>, String)> {
    let spec = match &args.spec {
        Some(name) => spec::load(name, &SpecOptions::default(), output)?,
        None => fitting_spec(args, file)?,
    };
    let names = dialect_names(&spec, dialect)?;
    let from = WeightsOptions { dialect: Some(args.from.clone()), ..WeightsOptions::file(&args.input) };
    let store = store(&spec, &from, output)?;
    let told = format!("{} tensors of {} by the names of {dialect}", names.len(), spec.name());
    if dialect == "resnetc" {
        let metadata = Metadata::from([("network".to_owned(), spec.name().to_owned())]);
        return Ok((to_bytes(&store, &metadata)?, told));
    }
    Ok((to_dialect(&spec, &store, dialect)?, told))
}

/// The first compiled-in network that the file fits: those that it fits have the same tensors.
fn fitting_spec(args: &ConvertArgs, file: &TensorFile) -> Result<Spec> {
    let mut whole = fitting(file)?.into_iter().filter(|(_, fit)| fit.fresh.is_empty());
    whole.next().map(|(spec, _)| spec).ok_or_else(|| {
        Failure::Usage(format!(
            "{} fits none of the compiled-in networks: `--spec SPEC` says which network it is of",
            args.input.display()
        ))
    })
}
