//! Data sets by name, with a bar while one is downloaded.

use resnetc_runtime::data::{self, Dataset, NAMES, Places};

use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::progress::Progress;

/// The data set where neither the command line nor the spec names one: it needs no files.
pub const DEFAULT: &str = "shapes10";

/// The network that a data set is trained on where the command line names none, with its overrides.
pub fn network(dataset: &str) -> (&'static str, &'static [&'static str]) {
    match dataset {
        "cifar100" => ("resnet20", &["classes=100"]),
        _ => ("resnet20", &[]),
    }
}

/// Refuses a name that no data set has, before anything expensive.
pub fn check(name: &str) -> Result {
    if NAMES.contains(&name) {
        return Ok(());
    }
    Err(Failure::Usage(format!("no data set is called `{name}`; there are {}", NAMES.join(", "))))
}

/// Finds, downloads or generates a data set.
pub fn load(name: &str, places: &Places, output: &Output) -> Result<Dataset> {
    let mut bar: Option<Progress> = None;
    let dataset = data::load(name, places, &mut |progress| {
        bar.get_or_insert_with(|| Progress::bytes(output, name, progress.total)).set(progress.done);
    });
    Ok(dataset?)
}
