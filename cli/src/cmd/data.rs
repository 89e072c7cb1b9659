//! Data sets by name, with a bar while one is downloaded.

use resnetc::{Spec, SpecOptions};
use resnetc_compiler::datasets::{self, Facts};
use resnetc_runtime::data::{self, Dataset, Places};

use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::progress::Progress;

/// The network that is trained where the command line names none.
pub const NETWORK: &str = "resnet20";

/// What to override in [`NETWORK`] for it to fit a data set. Nothing that is so already: of a changed network, the figures in
/// its spec do not hold and are not checked.
pub fn overrides(dataset: &Facts) -> Result<Vec<String>> {
    let spec = Spec::builtin(NETWORK, &SpecOptions::default())?;
    let spec = spec.resolved();
    let mut set = Vec::new();
    if spec.input.value != dataset.input {
        set.push(format!("input={:?}", dataset.input));
    }
    if spec.classes.value != dataset.classes {
        set.push(format!("classes={}", dataset.classes));
    }
    Ok(set)
}

/// What is known of the data set of that name; refuses others before anything expensive.
pub fn find(name: &str) -> Result<&'static Facts> {
    let names = || datasets::NAMES.join(", ");
    datasets::find(name)
        .ok_or_else(|| Failure::Usage(format!("no data set is called `{name}`; there are {}", names())))
}

/// Finds, downloads or generates a data set.
pub fn load(name: &str, places: &Places, output: &Output) -> Result<Dataset> {
    let mut bar: Option<Progress> = None;
    let dataset = data::load(name, places, &mut |progress| {
        bar.get_or_insert_with(|| Progress::bytes(output, name, progress.total)).set(progress.done);
    });
    Ok(dataset?)
}
