//! `resnetc run --train`: what is to be trained, on what, and what is said meanwhile. The loop is the runtime's.

mod batch;
mod begin;
mod job;
mod page;
mod sweep;
mod watcher;

use std::sync::Arc;

use resnetc::train::Start;
use resnetc_runtime::train::check_folder;

use super::find_lr;
use super::setup::Setup;
use crate::args::RunArgs;
use crate::failure::Result;
use crate::output::Output;
use crate::signals::Signals;

pub use begin::STOPPING;
pub use job::{Asked, Job};
pub use sweep::{Ended, begin as begin_sweep};
pub use watcher::command;

use begin::{advise, advise_on_start, first_weights, trainer};
use page::Page;
use watcher::Watcher;

/// Runs the command.
pub fn train(asked: &Asked<'_>, setup: Setup, output: &Output) -> Result {
    let args = asked.args;
    let mut job = Job::new(asked, &[], &setup, output)?;
    if args.rate.find_lr.is_none()
        && let Some(wanted) = sweep::wanted(&job.spec, args)?
    {
        return sweep::sweep(asked, &job, wanted, &setup, output);
    }
    let (out, start) = (args.out.clone().unwrap_or_else(|| job.out()), start(args));
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
    let first = if args.resume { None } else { first_weights(&job, args.seed, args, &setup, output)? };
    if let Some(range) = args.rate.find_lr {
        let (range, picture) = (range.unwrap_or_default(), args.rate.svg.as_deref());
        return find_lr::find_lr(&job.spec, &images, &setup.device, first.as_ref(), &range, picture, output);
    }
    let signals = Signals::catch(STOPPING)?;
    let page = Page::new(&out, Arc::clone(&images.test));
    let heading = job.heading(&images, &out, setup.device.threads());
    let epochs = job.spec.resolved().train.epochs;
    let mut watcher = Watcher::new(heading, page, signals.clone(), epochs, output);
    let trainer = trainer(&job, images, first, &out, &setup).start(start).stop(signals.stop);
    let trainer = trainer.new_engines(args.new_engines);
    let mut trainer = trainer.build().map_err(advise_on_start)?;
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
