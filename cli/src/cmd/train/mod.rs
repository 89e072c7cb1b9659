//! `resnetc run --train`: what is to be trained, on what, and what is said meanwhile. The loop is the runtime's.

mod batch;
mod begin;
mod job;
mod page;
mod shared;
mod sweep;
mod watcher;

use std::sync::Arc;

use resnetc::train::Start;
use resnetc_runtime::ranks::{Collective, Launch};
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
use shared::GetsReady;
use watcher::Watcher;

/// Runs the command.
pub fn train(asked: &Asked<'_>, mut setup: Setup, launch: &Launch, output: &Output) -> Result {
    if launch.size == 1 {
        return train_one(asked, setup, None, output);
    }
    shared::share_cores(&mut setup, launch);
    // One of them talks.
    let output = if launch.rank == 0 { output.clone() } else { output.quieted() };
    shared::shared(launch, asked.args.ranks_by, &output, |ranks| {
        train_one(asked, setup, Some(ranks), &output)
    })
}

/// Trains, alone or as one of several ranks.
fn train_one(asked: &Asked<'_>, setup: Setup, ranks: Option<&Arc<Collective>>, output: &Output) -> Result {
    let args = asked.args;
    let first_of_all = ranks.is_none_or(|ranks| ranks.rank() == 0);
    let ready = ranks.map(GetsReady::new);
    let mut job = Job::new(asked, &[], &setup, output)?;
    let wanted = if args.rate.find_lr.is_none() { sweep::wanted(&job.spec, args)? } else { None };
    if ranks.is_some() {
        shared::check(args, wanted.is_some(), job.spec.resolved().train.auto_batch)?;
    }
    if let Some(wanted) = wanted {
        return sweep::sweep(asked, &job, wanted, &setup, output);
    }
    let (out, start) = (args.out.clone().unwrap_or_else(|| job.out()), start(args));
    // Before the pictures, which may take long.
    if args.rate.find_lr.is_none() && first_of_all {
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
    let signals = if first_of_all { Signals::catch(STOPPING)? } else { Signals::catch_silently()? };
    let page = Page::new(&out, Arc::clone(&images.test));
    let mut heading = job.heading(&images, &out, setup.device.threads());
    if let Some(ranks) = ranks {
        heading += &format!("\n{}", shared::heading(ranks)?);
        let synchronised = shared::synchronised(&job.spec.resolved().train, ranks.size(), images.train.len());
        heading += &synchronised.map_or(String::new(), |line| format!("\n{line}"));
    }
    let epochs = job.spec.resolved().train.epochs;
    let mut watcher = Watcher::new(heading, page, signals.clone(), epochs, output);
    if !first_of_all {
        watcher = watcher.silent();
    }
    let trainer = trainer(&job, images, first, &out, &setup).start(start).stop(signals.stop);
    let mut trainer = trainer.new_engines(args.new_engines);
    if let Some(ranks) = ranks {
        trainer = trainer.ranks(Arc::clone(ranks));
    }
    let mut trainer = trainer.build().map_err(advise_on_start)?;
    drop(ready);
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
