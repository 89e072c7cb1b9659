//! `resnetc run --train`: what is to be trained, on what, and what is said meanwhile. The loop is the runtime's.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use resnetc::train::Start;
use resnetc::{Spec, SpecOptions, Trainer};
use resnetc_compiler::backend::Backend;
use resnetc_compiler::datasets::DEFAULT;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::report::{Summary, Target};
use resnetc_runtime::error::Error;
use resnetc_runtime::settings::Change;
use resnetc_runtime::train::{BEST, Event, LAST, LOG, Outcome, StepEvent, check_folder};

use super::data::Wanted;
use super::setup::Setup;
use super::{batch, data, find_lr, spec, weights};
use crate::args::RunArgs;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::progress::Progress;
use crate::report;
use crate::report::units::grouped;
use crate::signals::Signals;

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
    let wanted = find_dataset(name, dataset, args)?;
    let (network, mut set) = match name {
        Some(name) => (name, Vec::new()),
        None => wanted.network()?,
    };
    set.extend(overrides(&wanted, args));
    let mut options = SpecOptions { set, limits: args.overrides.bounds.limits() };
    // Pictures are listed, which is quick, for their classes.
    let pictures = match &wanted {
        Wanted::Path(path) => {
            Some(data::pictures(path, &spec::open(network, &options)?.resolved().train, output)?)
        }
        Wanted::Named(_) => None,
    };
    let before = options.set.len();
    let spec = match &pictures {
        Some(pictures) => data::with_classes(network, &mut options, pictures.classes(), output)?,
        None => spec::load(network, &options, output)?,
    };
    let other_classes = options.set.len() > before;
    let dataset = match (&wanted, &pictures) {
        (Wanted::Named(facts), _) => facts.name,
        (Wanted::Path(path), pictures) => pictures.as_ref().map_or(path, |pictures| &pictures.name),
    }
    .to_owned();
    let summarised = |spec: &Spec| {
        let target = Target::new(Mode::Train, spec.resolved().train.batch_size);
        spec.compile(&Target { backend: setup.device.backend(), ..target }).map(|compiled| compiled.summary)
    };
    let summary = summarised(&spec)?;
    let elsewhere = setup.device.backend() != Backend::CPU;
    if let Some(key) = spec.resolved().train.images_on_host().filter(|_| elsewhere) {
        output.note(&format!("`{key}` has what only the CPU does: it makes the training images"))?;
    }
    let out = args.out.clone();
    let out = out.unwrap_or_else(|| Path::new("out").join(format!("{}-{dataset}", spec.name())));
    let start = start(args);
    // Before the pictures, which may take long.
    if args.rate.find_lr.is_none() {
        check_folder(&out, &start).map_err(advise)?;
    }
    let images = match pictures {
        Some(pictures) => pictures,
        None => data::load(&dataset, &setup.places, output)?,
    };
    let (spec, summary) = match spec.resolved().train.auto_batch {
        true => {
            let resumed = args.resume.then_some(&*out);
            let size = batch::settle(&spec, resumed, images.train.len(), &setup.device, output)?;
            options.set.push(format!("train.batch_size={size}"));
            let spec = spec::open(network, &options)?;
            let summary = summarised(&spec)?;
            (spec, summary)
        }
        false => (spec, summary),
    };
    if let Some(warnings) = spec.training_warnings(images.train.len(), output.color, output.width)? {
        output.warn(&warnings);
    }

    // Before the folder is taken: a file that does not fit leaves all as it was. A training that goes on has its own weights.
    let first = args.weights.options(args.seed, &setup.downloads).filter(|_| !args.resume);
    let first = first.map(|options| weights::first(&spec, &options, other_classes, output)).transpose()?;
    if let Some(range) = args.rate.find_lr {
        let (range, picture) = (range.unwrap_or_default(), args.rate.svg.as_deref());
        return find_lr::find_lr(&spec, &images, &setup.device, first.as_ref(), &range, picture, output);
    }
    let signals = Signals::catch(STOPPING)?;
    let data = match &wanted {
        Wanted::Named(_) => dataset,
        Wanted::Path(path) => {
            let (train, test) = (grouped(images.train.len() as u64), grouped(images.test.len() as u64));
            format!("{path}, {} classes, {train} pictures, {test} to test on", images.classes().len())
        }
    };
    let trainer = Trainer::builder(&spec, images).out(&out).start(start).stop(Arc::clone(&signals.stop));
    let trainer = match first {
        Some(first) => trainer.weights(first),
        None => trainer,
    };
    let heading = heading(&spec, &summary, &data, &out, setup.device.threads());
    let epochs = spec.resolved().train.epochs;
    let mut watcher = Watcher { heading, out, signals, epochs, output, steps: 0, bar: None, mute: false };
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

/// The data set: the command line's, else the spec's, else the default.
fn find_dataset(name: Option<&str>, dataset: Option<&str>, args: &RunArgs) -> Result<Wanted> {
    let default = Wanted::Named(&DEFAULT);
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
fn overrides(dataset: &Wanted, args: &RunArgs) -> Vec<String> {
    let number = |key: &str, value: Option<String>| value.map(|value| format!("train.{key}={value}"));
    let flags = [
        number("epochs", args.epochs.map(|n| n.to_string())),
        number("batch_size", args.batch_size.clone()),
        number("optimizer.lr", args.lr.map(|rate| rate.to_string())),
        number("seed", args.seed.map(|seed| seed.to_string())),
    ];
    std::iter::once(dataset.set()).chain(flags.into_iter().flatten()).chain(args.overrides.sets()).collect()
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

/// Turns what the training tells into lines and bars.
struct Watcher<'a> {
    output: &'a Output,
    heading: String,
    out: PathBuf,
    signals: Signals,
    epochs: usize,
    steps: usize,
    bar: Option<Progress>,
    /// Nobody reads what is printed any more.
    mute: bool,
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
            Event::Resumed { checkpoint, epoch, step, threads_before } => {
                self.resumed(checkpoint, epoch, step, threads_before);
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
            Event::RateReduced { lr } => self.say(&format!("learning rate {lr} from now on: no better")),
            Event::EndsEarly { metric, evaluations } => {
                let (metric, epochs) = (metric.word(), self.epochs);
                let more = format!("--set train.early_stopping.patience={} goes on", evaluations + 10);
                self.say(&format!(
                    "ends before epoch {epochs}: {evaluations} evaluations without a better {metric}; --resume {more}"
                ));
            }
            Event::Unreadable { text } => {
                self.output.warn(&format!("warning: {text}; another picture of its class stands in for it"));
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

    fn resumed(&mut self, checkpoint: &Path, epoch: usize, step: usize, threads: usize) {
        let from = match checkpoint.ends_with(LAST) {
            true => String::new(),
            false => format!(" from {}, for there is no {LAST}", checkpoint.display()),
        };
        if epoch >= self.epochs {
            self.say(&format!("finished before{from}: {epoch} epochs are done; --epochs N trains on"));
        } else {
            self.say(&format!(
                "resumed{from} after {epoch} epochs and {step} steps, made with {threads} threads"
            ));
        }
    }

    /// A line. Where it cannot be printed the training goes on without further ones: its log has them, too.
    fn say(&mut self, text: &str) {
        if self.mute {
            return;
        }
        let why = match self.output.note(text) {
            Err(Failure::Failed(why)) => why,
            _ if self.output.is_closed() => "standard output is closed".to_owned(),
            _ => return,
        };
        self.mute = true;
        let log = self.out.join(LOG);
        self.output.warn(&format!("warning: {why}; the training goes on, and writes {}", log.display()));
    }

    fn end(mut self, outcome: Outcome) -> Result {
        self.bar = None;
        let (text, status) = match outcome {
            Outcome::Finished { checkpoint, best } => {
                let best = best.filter(|_| self.out.join(BEST).exists()).map(|sums| {
                    let accuracy = report::training::percent(sums.accuracy());
                    format!("best      {accuracy} of the test images: {}\n", self.out.join(BEST).display())
                });
                (best.unwrap_or_default() + &format!("last      {}", checkpoint.display()), None)
            }
            Outcome::Interrupted { checkpoint, epoch, step } => {
                let command = resume_command(std::env::args_os());
                let done =
                    format!("stopped after {epoch} epochs and {step} steps, saved {}", checkpoint.display());
                (format!("{done}\ngo on with: {command}"), self.signals.status())
            }
        };
        let told = if self.mute { Ok(()) } else { self.output.result(&text) };
        // The work is done, whether anybody reads of it or not.
        match status {
            Some(status) => Err(Failure::Signal(status)),
            None => told,
        }
    }
}

/// The same command with `--resume`, quoted for a shell.
fn resume_command(args: impl Iterator<Item = OsString>) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    let quote = |arg: String| match !arg.is_empty() && arg.chars().all(plain) {
        true => arg,
        false => format!("'{}'", arg.replace('\'', r"'\''")),
    };
    // What was to be replaced has been, and resuming refuses it.
    let words = args.filter(|arg| arg != "--overwrite").map(|arg| quote(arg.to_string_lossy().into_owned()));
    let mut words: Vec<_> = words.collect();
    if !words.iter().any(|word| word == "--resume") {
        words.push("--resume".to_owned());
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use clap::Parser;

    use resnetc_compiler::datasets::DEFAULT;

    use super::{Wanted, overrides, resume_command};
    use crate::args::{Cli, Command};

    /// Naming a rule would turn another optimizer into that one.
    #[test]
    fn a_rate_leaves_the_optimizer_alone() {
        let cli =
            Cli::try_parse_from(["resnetc", "run", "--train", "shapes10", "--lr", "0.5"]).expect("valid");
        let Command::Run(args) = cli.command else { panic!("another command") };
        assert!(overrides(&Wanted::Named(&DEFAULT), &args).contains(&"train.optimizer.lr=0.5".to_owned()));
    }

    #[test]
    fn the_command_to_resume_survives_a_shell() {
        let command = |args: &[&str]| resume_command(args.iter().map(OsString::from));
        assert_eq!(command(&["resnetc", "run", "--train"]), "resnetc run --train --resume");
        assert_eq!(command(&["resnetc", "run", "--resume", "--train"]), "resnetc run --resume --train");
        assert_eq!(command(&["resnetc", "run", "--overwrite"]), "resnetc run --resume");
        assert_eq!(command(&["a b", "it's", ""]), r"'a b' 'it'\''s' '' --resume");
    }
}
