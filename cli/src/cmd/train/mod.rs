//! `resnetc run --train`: what is to be trained, on what, and what is said meanwhile. The loop is the runtime's.

mod batch;
mod job;
mod page;
mod watcher;

use std::sync::Arc;

use resnetc::Trainer;
use resnetc::train::Start;
use resnetc_runtime::error::Error;
use resnetc_runtime::train::check_folder;

use super::setup::Setup;
use super::{find_lr, weights};
use crate::args::RunArgs;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::signals::Signals;

use job::Job;
use page::Page;
use watcher::Watcher;

/// What is said to the first signal that asks for an end.
const STOPPING: &str = "stopping: this step is finished and saved; Ctrl-C again ends at once, without saving";

/// Runs the command.
pub fn train(
    name: Option<&str>,
    dataset: Option<&str>,
    args: &RunArgs,
    setup: Setup,
    output: &Output,
) -> Result {
    let mut job = Job::new(name, dataset, args, &setup, output)?;
    let (out, start) = (job.out(args), start(args));
    // Before the pictures, which may take long.
    if args.rate.find_lr.is_none() {
        check_folder(&out, &start).map_err(advise)?;
    }
    let images = job.images(&setup, output)?;
    job.settle_batch(images.train.len(), args.resume.then_some(&*out), &setup, output)?;
    if let Some(warnings) = job.spec.training_warnings(images.train.len(), output.color, output.width)? {
        output.warn(&warnings);
    }

    // Before the folder is taken: a file that does not fit leaves all as it was. A training that goes on has its own weights.
    let first = args.weights.options(args.seed, &setup.downloads).filter(|_| !args.resume);
    let first =
        first.map(|options| weights::first(&job.spec, &options, job.other_classes, output)).transpose()?;
    if let Some(range) = args.rate.find_lr {
        let (range, picture) = (range.unwrap_or_default(), args.rate.svg.as_deref());
        return find_lr::find_lr(&job.spec, &images, &setup.device, first.as_ref(), &range, picture, output);
    }
    let signals = Signals::catch(STOPPING)?;
    let page = Page::new(&out, Arc::clone(&images.test));
    let heading = job.heading(&images, &out, setup.device.threads());
    let trainer = Trainer::builder(&job.spec, images).out(&out).start(start).stop(Arc::clone(&signals.stop));
    let trainer = trainer.command(watcher::command(std::env::args_os())).new_engines(args.new_engines);
    let trainer = match first {
        Some(first) => trainer.weights(first),
        None => trainer,
    };
    let epochs = job.spec.resolved().train.epochs;
    let mut watcher = Watcher::new(heading, page, signals, epochs, output);
    let mut trainer = trainer.device(setup.device).build().map_err(advise_on_start)?;
    let outcome = trainer.run(|event| watcher.observe(event))?;
    watcher.end(outcome)
}

/// How the command line says that the training begins.
fn start(args: &RunArgs) -> Start {
    match (args.resume, args.overwrite) {
        (true, _) => Start::Resume,
        (_, true) => Start::Replace,
        _ => Start::New,
    }
}

/// What to do about a folder that this training cannot begin in.
fn advise(error: Error) -> Failure {
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

fn advise_on_start(error: resnetc::Error) -> Failure {
    match error {
        resnetc::Error::Runtime(error) => advise(error),
        other => other.into(),
    }
}
