//! What is said of a training while it lasts.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use resnetc_runtime::metrics::EpochRecord;
use resnetc_runtime::settings::Change;
use resnetc_runtime::train::{BEST, Event, LAST, LOG, Outcome, StepEvent};

use super::super::data::stood_in_for;
use super::page::Page;
use crate::chart::Spark;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::progress::Progress;
use crate::report;
use crate::report::units::{grouped, rate};
use crate::signals::Signals;

/// Turns what the training tells into lines and bars.
pub struct Watcher<'a> {
    output: &'a Output,
    heading: String,
    out: PathBuf,
    signals: Signals,
    epochs: usize,
    steps: usize,
    bar: Option<Progress>,
    /// The steps' losses.
    losses: Spark,
    /// Nobody reads what is printed any more.
    mute: bool,
    /// It has been said what helps where steps wait for images.
    told_of_waiting: bool,
    /// What leads the bar's line where epochs have no line of their own: in a sweep.
    within: Option<String>,
    page: Page,
    /// Another process of the training says all this.
    silent: bool,
    /// The page cannot be written, and that has been said.
    pageless: bool,
}

/// Most characters of the curve of losses.
const LONGEST: usize = 64;
/// What stands beside it.
const BESIDE: usize = 20;
/// Share of the steps' time that they may wait for images before it is said what helps.
const LONG: f64 = 0.1;

impl<'a> Watcher<'a> {
    /// Of a training that begins; `heading` is said when it does.
    pub fn new(heading: String, page: Page, signals: Signals, epochs: usize, output: &'a Output) -> Self {
        let out = page.folder().to_owned();
        Watcher {
            page,
            silent: false,
            pageless: false,
            within: None,
            heading,
            out,
            signals,
            epochs,
            output,
            steps: 0,
            bar: None,
            losses: Spark::new(output.width.saturating_sub(BESIDE).min(LONGEST)),
            mute: false,
            told_of_waiting: false,
        }
    }

    /// The same of one training of a sweep: what is said of it are its bars and its warnings.
    pub fn within(self, sweep: String) -> Self {
        Watcher { within: Some(sweep), ..self }
    }

    /// Leaves it to another process of the same training to say what all of them do.
    pub fn silent(self) -> Self {
        Watcher { silent: true, ..self }
    }

    /// Tells what happened.
    pub fn observe(&mut self, event: Event<'_>) {
        match event {
            Event::Unreadable { text } => stood_in_for(text, self.output),
            _ if self.silent => {}
            Event::Started { device, epochs, steps_per_epoch, images } => {
                self.steps = steps_per_epoch;
                if self.within.is_some() {
                    return;
                }
                let images = grouped(images as u64);
                let heading = &self.heading;
                self.say(&format!(
                    "{heading}\ndevice    {device}\nepochs    {epochs} of {steps_per_epoch} steps, {images} images"
                ));
            }
            Event::Resumed { .. } if self.within.is_some() => {}
            Event::Resumed { checkpoint, epoch, step, threads_before } => {
                self.resumed(checkpoint, epoch, step, threads_before);
            }
            Event::Changed(Change { setting, was, is }) => {
                self.say(&format!("warning: {setting} was {was} in the checkpoint, it is {is} from now on"));
            }
            Event::EpochStarted { epoch } => {
                let within = self.within.as_ref().map(|within| format!("{within}  "));
                let what = format!("{}epoch {epoch}/{}", within.unwrap_or_default(), self.epochs);
                self.bar = Some(Progress::steps(self.output, &what, self.steps as u64));
            }
            Event::Step(step) => self.step(&step),
            Event::EpochDone(record) => {
                self.bar = None;
                if self.within.is_none() {
                    self.say(&report::training::epoch(record, self.epochs));
                    self.waiting(record);
                }
                self.write_page();
            }
            Event::RateReduced { lr } => self.say(&format!("learning rate {lr} from now on: no better")),
            Event::EndsEarly { metric, evaluations } => {
                let (metric, epochs) = (metric.word(), self.epochs);
                let more = format!("--set train.early_stopping.patience={} goes on", evaluations + 10);
                self.say(&format!(
                    "ends before epoch {epochs}: {evaluations} evaluations without a better {metric}; --resume {more}"
                ));
            }
            Event::Evaluated { evaluation, .. } => self.page.evaluated(evaluation),
            Event::Saved { .. } => {}
        }
    }

    fn step(&mut self, event: &StepEvent) {
        self.losses.push(event.loss.into());
        if let Some(bar) = &self.bar {
            bar.set(event.step as u64);
            bar.below(format!("step loss {}  {:.4}", self.losses.text(self.output.unicode), event.loss));
            bar.say(format!("loss {:.4}  {} images/s", event.mean_loss, rate(event.images_per_second)));
        }
    }

    /// Once, where an epoch's steps waited long: what helps.
    fn waiting(&mut self, record: &EpochRecord) {
        if self.told_of_waiting || report::training::waited(record).is_none_or(|share| share < LONG) {
            return;
        }
        self.told_of_waiting = true;
        self.say(
            "the steps wait for images: --workers N prepares them in more threads, `resnetc data pack` decodes them once and for all",
        );
    }

    /// The page is for looking at: the training goes on without it.
    fn write_page(&mut self) {
        if let Err(Failure::Failed(why)) = self.page.write()
            && !std::mem::replace(&mut self.pageless, true)
        {
            self.output.warn(&format!("warning: {why}; the training goes on"));
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

    /// How it ended, and how to go on.
    pub fn end(mut self, outcome: Outcome) -> Result {
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
                (format!("{done}\ngo on with: {command}"), Some(self.signals.status_here_or_elsewhere()))
            }
        };
        let told = if self.mute || self.silent { Ok(()) } else { self.output.result(&text) };
        // The work is done, whether anybody reads of it or not.
        match status {
            Some(status) => Err(Failure::Signal(status)),
            None => told,
        }
    }
}

/// An argument as a shell reads it.
fn quoted(arg: OsString) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    let arg = arg.to_string_lossy().into_owned();
    match !arg.is_empty() && arg.chars().all(plain) {
        true => arg,
        false => format!("'{}'", arg.replace('\'', r"'\''")),
    }
}

/// The command, quoted for a shell.
pub fn command(args: impl Iterator<Item = OsString>) -> String {
    args.map(quoted).collect::<Vec<_>>().join(" ")
}

/// The same command with `--resume`.
fn resume_command(args: impl Iterator<Item = OsString>) -> String {
    // What was to be replaced has been, and resuming refuses it.
    let mut words: Vec<_> = args.filter(|arg| arg != "--overwrite").collect();
    if !words.iter().any(|word| word == "--resume") {
        words.push("--resume".into());
    }
    command(words.into_iter())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::resume_command;

    #[test]
    fn the_command_to_resume_survives_a_shell() {
        let command = |args: &[&str]| resume_command(args.iter().map(OsString::from));
        assert_eq!(command(&["resnetc", "run", "--train"]), "resnetc run --train --resume");
        assert_eq!(command(&["resnetc", "run", "--resume", "--train"]), "resnetc run --resume --train");
        assert_eq!(command(&["resnetc", "run", "--overwrite"]), "resnetc run --resume");
        assert_eq!(command(&["a b", "it's", ""]), r"'a b' 'it'\''s' '' --resume");
    }
}
