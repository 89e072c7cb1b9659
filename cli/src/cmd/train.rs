//! `resnetc run --train`: what is to be trained, on what, and what is said meanwhile. The loop is the runtime's.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use resnetc::{Spec, SpecOptions, Trainer};
use resnetc_compiler::datasets::{DEFAULT, Facts};
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::report::{Summary, Target};
use resnetc_runtime::error::Error;
use resnetc_runtime::settings::Change;
use resnetc_runtime::train::{BEST, Event, LAST, Outcome, StepEvent, remains};

use super::setup::Setup;
use super::{data, spec};
use crate::args::RunArgs;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::progress::Progress;
use crate::report;
use crate::report::units::grouped;

/// Runs the command.
pub fn train(
    name: Option<&str>,
    dataset: Option<&str>,
    args: &RunArgs,
    setup: Setup,
    output: &Output,
) -> Result {
    let dataset = find_dataset(name, dataset, args)?;
    let mut set = if name.is_none() { data::overrides(dataset)? } else { Vec::new() };
    let dataset = dataset.name;
    set.extend(overrides(dataset, args));
    let options = SpecOptions { set, limits: args.overrides.bounds.limits() };
    let spec = spec::load(name.unwrap_or(data::NETWORK), &options, output)?;
    let target = Target::new(Mode::Train, spec.resolved().train.batch_size);
    let summary = spec.compile(&target)?.summary;
    let out = folder(&spec, dataset, args)?;
    let images = data::load(dataset, &setup.places, output)?;
    if args.overwrite {
        for file in remains(&out)? {
            std::fs::remove_file(&file).map_err(Error::io(&file))?;
        }
    }

    let stop = Arc::new(AtomicBool::new(false));
    stop_on_interrupt(&stop)?;
    let mut trainer = Trainer::builder(&spec, images).out(&out).stop(Arc::clone(&stop));
    if args.resume {
        trainer = trainer.resume(out.join(LAST));
    }
    let heading = heading(&spec, &summary, dataset, &out, setup.device.threads());
    let mut watcher = Watcher {
        heading,
        out,
        stop,
        epochs: spec.resolved().train.epochs,
        output,
        steps: 0,
        bar: None,
        failure: None,
    };
    let outcome = trainer.device(setup.device).build()?.run(|event| watcher.observe(event))?;
    watcher.end(outcome)
}

/// The data set: the command line's, else the spec's, else the default.
fn find_dataset(name: Option<&str>, dataset: Option<&str>, args: &RunArgs) -> Result<&'static Facts> {
    let default = &DEFAULT;
    match (dataset, name) {
        (Some(dataset), _) => data::find(dataset),
        (None, Some(name)) => {
            let spec = spec::open(name, &spec::options(&args.overrides))?;
            spec.resolved().train.dataset.as_deref().map_or(Ok(default), data::find)
        }
        (None, None) => Ok(default),
    }
}

/// The options that change the spec, as overrides; `--set` has the last word.
fn overrides(dataset: &str, args: &RunArgs) -> Vec<String> {
    let number = |key: &str, value: Option<String>| value.map(|value| format!("train.{key}={value}"));
    let flags = [
        number("epochs", args.epochs.map(|n| n.to_string())),
        number("batch_size", args.batch_size.map(|n| n.to_string())),
        number("optimizer.sgd.lr", args.lr.map(|rate| rate.to_string())),
        number("seed", args.seed.map(|seed| seed.to_string())),
    ];
    let dataset = format!("train.dataset={dataset}");
    std::iter::once(dataset).chain(flags.into_iter().flatten()).chain(args.overrides.sets()).collect()
}

/// Where checkpoints and log go: refuses to mix two trainings, and to go on with one that is not there.
fn folder(spec: &Spec, dataset: &str, args: &RunArgs) -> Result<PathBuf> {
    let out = args.out.clone().unwrap_or_else(|| Path::new("out").join(format!("{}-{dataset}", spec.name())));
    let last = out.join(LAST);
    if !args.resume && !args.overwrite && !remains(&out)?.is_empty() {
        let out = out.display();
        return Err(Failure::Usage(format!(
            "{out} holds a training: --resume goes on with it, --out DIR leaves it alone, --overwrite replaces it"
        )));
    }
    if args.resume && !last.exists() {
        return Err(Failure::Failed(format!("nothing to resume: there is no {}", last.display())));
    }
    Ok(out)
}

/// What is said before the training starts.
fn heading(spec: &Spec, summary: &Summary, dataset: &str, out: &Path, threads: usize) -> String {
    format!(
        "network   {}, {} parameters\ndata      {dataset}\nout       {}\nthreads   {threads}",
        spec.name(),
        grouped(summary.params),
        out.display(),
    )
}

/// The first Ctrl-C asks for an end after the step; the second ends the process.
fn stop_on_interrupt(stop: &Arc<AtomicBool>) -> Result {
    let stop = Arc::clone(stop);
    ctrlc::set_handler(move || {
        if stop.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })
    .map_err(|error| Failure::Failed(format!("cannot catch Ctrl-C: {error}")))
}

/// Turns what the training tells into lines and bars.
struct Watcher<'a> {
    output: &'a Output,
    heading: String,
    out: PathBuf,
    stop: Arc<AtomicBool>,
    epochs: usize,
    steps: usize,
    bar: Option<Progress>,
    /// What went wrong while printing; the training stops for it.
    failure: Option<Failure>,
}

impl Watcher<'_> {
    fn observe(&mut self, event: Event<'_>) {
        match event {
            Event::Started { device, epochs, steps_per_epoch, images } => {
                self.steps = steps_per_epoch;
                let images = grouped(images as u64);
                let heading = &self.heading;
                self.say(&format!(
                    "{heading}\ndevice    {device}\nepochs    {epochs} of {steps_per_epoch} steps, {images} images"
                ));
            }
            Event::Resumed { epoch, step, threads_before } => {
                self.say(&format!(
                    "resumed after {epoch} epochs and {step} steps, made with {threads_before} threads"
                ));
            }
            Event::Changed(Change { setting, was, is }) => {
                self.say(&format!("warning: {setting} was {was} in the checkpoint, it is {is} from now on"));
            }
            Event::EpochStarted { epoch } => {
                let what = format!("epoch {epoch}/{}", self.epochs);
                self.bar = Some(Progress::count(self.output, &what, self.steps as u64));
            }
            Event::Step(step) => self.step(&step),
            Event::EpochDone(record) => {
                self.bar = None;
                self.say(&report::training::epoch(record, self.epochs));
            }
            Event::Evaluated { .. } | Event::Saved { .. } => {}
        }
    }

    fn step(&self, event: &StepEvent) {
        if let Some(bar) = &self.bar {
            bar.set(event.step as u64);
            bar.say(format!("loss {:.4}  {:.0} images/s", event.mean_loss, event.images_per_second));
        }
    }

    /// A line; where it cannot be printed the training ends, with a checkpoint.
    fn say(&mut self, text: &str) {
        if let Err(failure) = self.output.note(text) {
            self.stop.store(true, Ordering::Relaxed);
            self.failure.get_or_insert(failure);
        }
    }

    fn end(mut self, outcome: Outcome) -> Result {
        self.bar = None;
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        match outcome {
            Outcome::Finished { checkpoint, best } => {
                let best = best.map(|sums| {
                    let accuracy = report::training::percent(sums.accuracy());
                    format!("best      {accuracy} of the test images: {}\n", self.out.join(BEST).display())
                });
                let last = format!("last      {}", checkpoint.display());
                self.output.result(&(best.unwrap_or_default() + &last))
            }
            Outcome::Interrupted { checkpoint, epoch, step } => {
                let done =
                    format!("stopped after {epoch} epochs and {step} steps, saved {}", checkpoint.display());
                self.output.result(&format!("{done}\ngo on with: {}", resume_command(std::env::args())))
            }
        }
    }
}

/// The same command with `--resume`, quoted for a shell.
fn resume_command(args: impl Iterator<Item = String>) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    let quote = |arg: String| match !arg.is_empty() && arg.chars().all(plain) {
        true => arg,
        false => format!("'{}'", arg.replace('\'', r"'\''")),
    };
    // What was to be replaced has been, and resuming refuses it.
    let mut words: Vec<_> = args.filter(|arg| arg != "--overwrite").map(quote).collect();
    if !words.iter().any(|word| word == "--resume") {
        words.push("--resume".to_owned());
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::resume_command;

    #[test]
    fn the_command_to_resume_survives_a_shell() {
        let command = |args: &[&str]| resume_command(args.iter().map(|arg| (*arg).to_owned()));
        assert_eq!(command(&["resnetc", "run", "--train"]), "resnetc run --train --resume");
        assert_eq!(command(&["resnetc", "run", "--resume", "--train"]), "resnetc run --resume --train");
        assert_eq!(command(&["resnetc", "run", "--overwrite"]), "resnetc run --resume");
        assert_eq!(command(&["a b", "it's", ""]), r"'a b' 'it'\''s' '' --resume");
    }
}
