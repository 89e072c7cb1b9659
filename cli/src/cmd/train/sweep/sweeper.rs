//! The trainings of a sweep, one after the other, round by round.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use resnetc::Error;
use resnetc::train::{Outcome, Start};
use resnetc_runtime::data::Dataset;
use resnetc_runtime::error::Error as RuntimeError;
use resnetc_runtime::train::progress_of;

use super::super::super::setup::Setup;
use super::super::begin::{advise_on_start, first_weights, trainer};
use super::super::job::{Asked, Job};
use super::super::page::Page;
use super::super::watcher::{Watcher, command};
use super::ask::overrides;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::report;
use crate::report::units::{counted, duration};
use crate::runs::{self, Run};
use crate::signals::Signals;
use crate::sweep::{FILE, Grid, Row, Score, State, SweepFile, TABLE, points, survivors};

/// How fast this process has trained.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    epochs: usize,
    time: Duration,
}

/// Why the trainings ended.
pub enum Ended {
    /// There is nothing left to train.
    Done,
    /// A signal asked for it.
    Stopped,
}

/// A sweep, at some training.
pub struct Sweeper<'a> {
    /// The command.
    pub asked: Asked<'a>,
    /// Device and places.
    pub setup: &'a Setup,
    /// Who hears of it.
    pub output: &'a Output,
    /// The same, which says nothing: of what is said of each training, the first has said it.
    pub quiet: Output,
    /// Who may end it.
    pub signals: Signals,
    /// Its folder.
    pub out: PathBuf,
    /// All variants.
    pub grid: Grid,
    /// How they stand.
    pub file: SweepFile,
    /// The data set, where all trainings have the same, once it is read.
    pub images: Option<Dataset>,
    /// For estimates.
    pub pace: Pace,
}

impl Sweeper<'_> {
    /// Takes over what was done before: from the folders, and what they do not tell from the file.
    pub fn take_over(&mut self, before: Option<&SweepFile>) -> Result {
        let out = self.out.clone();
        for row in &mut self.file.runs {
            let known = before.and_then(|before| before.runs.iter().find(|known| known.name == row.name));
            if let Some(known) = known.filter(|known| known.state == State::Diverged) {
                *row = known.clone();
            } else if let Ok(run) = Run::read(&out.join(&row.name)) {
                take(row, &run);
            }
        }
        let of = |state| self.file.runs.iter().filter(|row| row.state == state).count();
        let (all, finished, diverged) = (self.file.runs.len(), of(State::Finished), of(State::Diverged));
        let (runs, points) = (counted(all, "run"), counted(self.grid.points().len(), "point"));
        self.output.note(&format!("sweep     {runs} of {points}, into {}", self.out.display()))?;
        if let Some(eta) = self.file.definition.halving {
            let rounds: Vec<String> = self.file.definition.rounds.iter().map(usize::to_string).collect();
            let rounds = rounds.join(", ");
            self.output.note(&format!(
                "halving   rounds to epochs {rounds}; after each, one point in {eta} goes on"
            ))?;
        }
        if finished + diverged > 0 {
            let more = if diverged > 0 { format!(", {diverged} diverged") } else { String::new() };
            self.output.note(&format!(
                "done      {} finished{more}: they stay as they are",
                counted(finished, "run")
            ))?;
        }
        self.save()
    }

    /// All rounds.
    ///
    /// # Errors
    /// What concerns all trainings; one that diverges is a row of the table.
    pub fn run(&mut self) -> Result<Ended> {
        let mut alive = self.grid.points();
        for round in 0..self.file.definition.rounds.len() {
            for number in alive.concat() {
                if let Ended::Stopped = self.reach(number, round, &alive)? {
                    return Ok(Ended::Stopped);
                }
            }
            if round + 1 < self.file.definition.rounds.len() {
                alive = self.halve(alive, round)?;
            }
        }
        Ok(Ended::Done)
    }

    /// Leaves out the points that others are better than after a round.
    fn halve(&mut self, alive: Vec<Vec<usize>>, round: usize) -> Result<Vec<Vec<usize>>> {
        let (eta, epochs) = (self.file.definition.halving.unwrap_or(1), self.file.definition.rounds[round]);
        let scores: Vec<Option<Score>> = alive.iter().map(|members| self.score(members, epochs)).collect();
        let kept = survivors(&scores, eta);
        let left_out = (0..alive.len()).filter(|place| !kept.contains(place));
        for &number in left_out.flat_map(|place| &alive[place]) {
            let row = &mut self.file.runs[number];
            if row.state != State::Diverged {
                row.state = State::LeftOut;
            }
        }
        self.save()?;
        self.output.note(&format!("after epoch {epochs}, {} of {} points go on", kept.len(), alive.len()))?;
        Ok(kept.into_iter().map(|place| alive[place].clone()).collect())
    }

    /// The mean over a point's seeds after so many epochs; none where one of them diverged. From the logs, so that it is the same
    /// whatever came later.
    fn score(&self, members: &[usize], epochs: usize) -> Option<Score> {
        let mut sum = Score { accuracy: 0.0, loss: 0.0 };
        for &number in members {
            let row = &self.file.runs[number];
            let mut records = runs::epochs(&self.out.join(&row.name));
            records.retain(|record| record.epoch <= epochs);
            if row.state == State::Diverged {
                return None;
            }
            sum.accuracy += runs::accuracies(&records).next_back()?;
            sum.loss += runs::losses(&records).next_back()?;
        }
        let n = members.len() as f64;
        Some(Score { accuracy: sum.accuracy / n, loss: sum.loss / n })
    }

    /// Trains a variant to the end of a round, unless it is there.
    fn reach(&mut self, number: usize, round: usize, alive: &[Vec<usize>]) -> Result<Ended> {
        let epochs = self.file.definition.rounds[round];
        let last = round + 1 == self.file.definition.rounds.len();
        let row = &self.file.runs[number];
        if row.is_over() || (!last && row.epochs >= epochs) {
            return Ok(Ended::Done);
        }
        if self.signals.stop.load(Ordering::Relaxed) {
            return Ok(Ended::Stopped);
        }
        self.announce(number, round)?;
        let (before, started) = (row_epochs(&self.file, number), Instant::now());
        let trained = self.train(number, (!last).then_some(epochs));
        let diverged = match trained {
            Ok(_) => None,
            Err(Trouble::Diverged(reason)) => Some(reason),
            Err(Trouble::Other(failure)) => return Err(failure),
        };
        self.settle(number, diverged)?;
        self.pace.epochs += row_epochs(&self.file, number).saturating_sub(before);
        self.pace.time += started.elapsed();
        if self.signals.status().is_some() {
            return Ok(Ended::Stopped);
        }
        self.tell(number, self.left(round, alive))?;
        Ok(Ended::Done)
    }

    /// Says which training begins or goes on.
    fn announce(&self, number: usize, round: usize) -> Result {
        let (row, rounds) = (&self.file.runs[number], &self.file.definition.rounds);
        let told = self.grid.told(&self.grid.variants[number]);
        let of = match rounds.len() {
            1 => String::new(),
            all => format!("round {} of {all}, to epoch {}: ", round + 1, rounds[round]),
        };
        // Where the round before ended, a round begins.
        let begins = round > 0 && row.epochs == rounds[round - 1];
        let on = match row.state {
            State::Waiting => String::new(),
            _ if begins => String::new(),
            _ => format!(" (goes on after {} epochs)", row.epochs),
        };
        self.output.note(&format!("{of}run {} of {}: {told}{on}", number + 1, self.file.runs.len()))
    }

    /// Makes a variant, and trains it.
    fn train(&mut self, number: usize, pause_after: Option<usize>) -> std::result::Result<Outcome, Trouble> {
        let folder = self.out.join(&self.file.runs[number].name);
        let sets = overrides(self.grid.sets(&self.grid.variants[number]));
        let mut job = Job::new(&self.asked, &sets, self.setup, &self.quiet)?;
        let images = self.images_of(&mut job)?;
        let resumed = progress_of(&folder).is_ok();
        job.settle_batch(images.train.len(), resumed.then_some(&*folder), self.setup, &self.quiet)?;
        let spec = &job.spec;
        let before = runs::spec(&folder);
        if resumed && !before.is_empty() && before != spec.resolved().to_yaml() {
            let why = "holds a training with another spec; --out DIR names another folder for the sweep";
            return Err(Failure::Usage(format!("{} {why}", folder.display())).into());
        }
        let seed = Some(spec.resolved().train.seed);
        let first = match resumed {
            true => None,
            false => first_weights(&job, seed, self.asked.args, self.setup, &self.quiet)?,
        };
        let page = Page::new(&folder, Arc::clone(&images.test));
        let within = format!("run {} of {}", number + 1, self.file.runs.len());
        let epochs = spec.resolved().train.epochs;
        let watcher = Watcher::new(String::new(), page, self.signals.clone(), epochs, self.output);
        let mut watcher = watcher.within(within);
        let start = if resumed { Start::Resume } else { Start::New };
        let trainer = trainer(&job, images, first, &folder, self.setup).start(start);
        let trainer = trainer.stop(Arc::clone(&self.signals.stop));
        let trainer = match pause_after {
            Some(epochs) => trainer.pause_after(epochs),
            None => trainer,
        };
        let mut trainer = trainer.build().map_err(advise_on_start)?;
        Ok(trainer.run(|event| watcher.observe(event))?)
    }

    /// The images of a variant. How people's own pictures are split its settings say; other data sets are read once.
    fn images_of(&mut self, job: &mut Job) -> Result<Dataset> {
        if job.reads_pictures() {
            return job.images(self.setup, &self.quiet);
        }
        let images = match self.images.take() {
            Some(images) => images,
            None => job.images(self.setup, self.output)?,
        };
        self.images = Some(images.clone());
        Ok(images)
    }

    /// Notes how a variant stands now.
    fn settle(&mut self, number: usize, diverged: Option<String>) -> Result {
        let row = &mut self.file.runs[number];
        if let Ok(run) = Run::read(&self.out.join(&row.name)) {
            take(row, &run);
        }
        if diverged.is_some() {
            row.state = State::Diverged;
            row.reason = diverged;
        }
        self.save()
    }

    /// What came of a training, and how long the others may take.
    fn tell(&self, number: usize, left: usize) -> Result {
        let row = &self.file.runs[number];
        if let Some(reason) = &row.reason {
            return self.output.note(&format!("  diverged: {reason}"));
        }
        let percent =
            |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{:.2} %", value * 100.0));
        let loss = row.last_loss.map_or("-".to_owned(), |loss| format!("{loss:.4}"));
        let (best, last) = (percent(row.best_accuracy), percent(row.last_accuracy));
        let took = duration(Duration::from_secs_f64(row.seconds.max(0.0)));
        let time = self.pace.time.as_secs_f64() * left as f64 / self.pace.epochs.max(1) as f64;
        let left = match (left, self.pace.epochs) {
            (0, _) | (_, 0) => String::new(),
            _ => format!("; about {} left", duration(Duration::from_secs_f64(time))),
        };
        self.output
            .note(&format!("  epoch {}: best {best}, last {last}, loss {loss}, {took}{left}", row.epochs))
    }

    /// Epochs that are still to be trained, in this round and those behind it.
    fn left(&self, round: usize, alive: &[Vec<usize>]) -> usize {
        let (rounds, eta) = (&self.file.definition.rounds, self.file.definition.halving.unwrap_or(1));
        let of = |row: &Row| if row.is_over() { 0 } else { rounds[round].saturating_sub(row.epochs) };
        let now: usize = alive.concat().into_iter().map(|number| of(&self.file.runs[number])).sum();
        let seeds = self.file.runs.len() / self.grid.points().len().max(1);
        let mut points = alive.len();
        let later = rounds[round..].windows(2).map(|pair| {
            points = (points / eta).max(1);
            points * seeds * (pair[1] - pair[0])
        });
        now + later.sum::<usize>()
    }

    fn save(&mut self) -> Result {
        self.file.points = points(&self.grid, &self.file.runs);
        self.file.save(&self.out)
    }

    /// The table, and how it ended.
    pub fn end(self, ended: Result<Ended>) -> Result {
        let go_on = format!("go on with: {}", command(std::env::args_os()));
        let stopped = match ended {
            Ok(Ended::Done) => false,
            Ok(Ended::Stopped) => true,
            Err(Failure::Failed(text)) => {
                return Err(Failure::Failed(format!("{text}\nWhat is finished stays. {go_on}")));
            }
            Err(other) => return Err(other),
        };
        let of = |state| self.file.runs.iter().filter(|row| row.state == state).count();
        let (finished, diverged, all) = (of(State::Finished), of(State::Diverged), self.file.runs.len());
        let mut text = report::sweep::table(&self.file.points, self.output.page.columns);
        text.extend(report::sweep::best(&self.file.points).map(|best| best + "\n"));
        text += &format!("written   {FILE}, {TABLE} in {}", self.out.display());
        if stopped {
            text += &format!(
                "\nstopped with {finished} of {all} runs finished; what was under way is saved\n{go_on}"
            );
        }
        self.output.result(&text)?;
        match (stopped.then(|| self.signals.status()).flatten(), diverged) {
            (Some(status), _) => Err(Failure::Signal(status)),
            (None, 0) => Ok(()),
            (None, _) => {
                Err(Failure::Failed(format!("{diverged} of {all} runs diverged; {TABLE} has the reasons")))
            }
        }
    }
}

/// Epochs that a variant has.
fn row_epochs(file: &SweepFile, number: usize) -> usize {
    file.runs[number].epochs
}

/// What a folder tells of a training that nobody else trains.
fn take(row: &mut Row, run: &Run) {
    row.update(run);
    row.state = match run.state() {
        runs::State::Finished => State::Finished,
        runs::State::Running | runs::State::Stopped => State::Stopped,
    };
}

/// Why a training of a sweep ended otherwise than it should.
enum Trouble {
    /// Its numbers were not finite; the others go on.
    Diverged(String),
    /// What concerns all.
    Other(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Trouble::Other(failure)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            Error::Runtime(error @ RuntimeError::Diverged(_)) => {
                let text = error.to_string();
                Trouble::Diverged(text.lines().next().unwrap_or_default().to_owned())
            }
            other => Trouble::Other(other.into()),
        }
    }
}
