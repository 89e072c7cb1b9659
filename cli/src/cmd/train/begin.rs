//! How a training begins: alone, or as one of a sweep.

use std::path::Path;

use resnetc::{Trainer, TrainerBuilder};
use resnetc_runtime::data::Dataset;
use resnetc_runtime::error::Error;
use resnetc_runtime::weights::ParamStore;

use super::super::setup::Setup;
use super::super::weights;
use super::job::Job;
use super::watcher;
use crate::args::RunArgs;
use crate::failure::{Failure, Result};
use crate::output::Output;

/// What is said to the first signal that asks for an end.
pub const STOPPING: &str =
    "stopping: this step is finished and saved; Ctrl-C again ends at once, without saving";

/// The weights that a training begins with, where a file of them is named.
pub fn first_weights(
    job: &Job,
    seed: Option<u64>,
    args: &RunArgs,
    setup: &Setup,
    output: &Output,
) -> Result<Option<ParamStore>> {
    let options = args.weights.options(seed, &setup.downloads);
    options.map(|options| weights::first(&job.spec, &options, job.other_classes, output)).transpose()
}

/// What a training is made of, but for how it begins and who may stop it.
pub fn trainer<'j>(
    job: &'j Job,
    images: Dataset,
    first: Option<ParamStore>,
    out: &Path,
    setup: &Setup,
) -> TrainerBuilder<'j> {
    let trainer = Trainer::builder(&job.spec, images).out(out).device(setup.device.clone());
    let trainer = trainer.command(watcher::command(std::env::args_os()));
    match first {
        Some(first) => trainer.weights(first),
        None => trainer,
    }
}

/// What to do about a folder that this training cannot begin in.
pub fn advise(error: Error) -> Failure {
    match error {
        Error::HoldsTraining { .. } => Failure::Usage(format!(
            "{error}: --resume goes on with it, --out DIR leaves it alone, --overwrite replaces it"
        )),
        Error::NothingToResume { .. } => {
            Failure::Failed(format!("{error}; without --resume a new training begins there"))
        }
        Error::InUse { .. } => Failure::Failed(format!("{error}; --out DIR names another folder")),
        other => other.into(),
    }
}

/// The same of a training that could not be made.
pub fn advise_on_start(error: resnetc::Error) -> Failure {
    match error {
        resnetc::Error::Runtime(error) => advise(error),
        other => other.into(),
    }
}
