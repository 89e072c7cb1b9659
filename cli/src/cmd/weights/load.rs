//! How commands load weights: from a file, or published ones.

use std::path::PathBuf;

use resnetc::download::is_published;
use resnetc::{Spec, Weights, WeightsOptions};
use resnetc_runtime::weights::ParamStore;

use crate::failure::Result;
use crate::output::Output;
use crate::progress::Progress;

/// A network's weights from a file, or published ones, which are fetched once. What was decided about the file is told where it is
/// not this program's.
pub fn store(spec: &Spec, options: &WeightsOptions, output: &Output) -> Result<ParamStore> {
    Ok(load(spec, options, output)?.store()?)
}

/// What a training starts with. Where the network has other classes than what its weights were made for, the last layer starts
/// afresh, unless it fits all the same.
pub fn first(
    spec: &Spec,
    options: &WeightsOptions,
    other_classes: bool,
    output: &Output,
) -> Result<ParamStore> {
    let file = located(spec, options, output)?;
    let whole = WeightsOptions { file, ..options.clone() };
    let fits = !other_classes || whole.new_head || Weights::load(spec, &whole).is_ok();
    store(spec, &WeightsOptions { new_head: whole.new_head || !fits, ..whole }, output)
}

/// The same, of which no tensor is read yet.
pub fn load(spec: &Spec, options: &WeightsOptions, output: &Output) -> Result<Weights> {
    let file = located(spec, options, output)?;
    let weights = Weights::load(spec, &WeightsOptions { file, ..options.clone() })?;
    for line in weights.told() {
        output.warn(&format!("weights   {line}"));
    }
    Ok(weights)
}

/// The file of weights; a bar is shown while it is fetched.
fn located(spec: &Spec, options: &WeightsOptions, output: &Output) -> Result<PathBuf> {
    let mut bar: Option<Progress> = None;
    let what = options.file.display().to_string();
    let file = options.locate(spec, &mut |progress| {
        bar.get_or_insert_with(|| Progress::bytes(output, &what, progress.total)).set(progress.done);
    })?;
    if is_published(&options.file) {
        output.warn(&format!("weights   {what}: {}", file.display()));
    }
    Ok(file)
}
