//! What a training's folder tells of the run besides checkpoints and `log.jsonl`: what it is (`run.json`, `spec.yaml`), how it went
//! (`metrics.jsonl`) and what the network answered (`predictions-*.csv`, `confusion-*.csv`).

mod git;
mod run;
mod steps;
mod tables;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use self::steps::Steps;
use super::event::StepEvent;
use super::folder::{CONFUSION, PREDICTIONS, RUN, SPEC};
use crate::data::Source;
use crate::error::Result;
use crate::evaluation::Evaluation;
use crate::metrics::EpochRecord;
use crate::weights::file::write_atomic;

pub use self::git::Git;
pub use self::run::{Facts, RunFile, StartedBy};
pub use self::steps::MetricsLine;
pub(super) use self::steps::Done;
pub use self::tables::predictions;

/// What a run's folder tells that neither spec nor data say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct About {
    /// The spec with all defaults, as YAML.
    pub spec: String,
    /// The command line that began the training, or went on with it.
    pub command: String,
    /// The instruction set of the CPU's kernels.
    pub isa: Option<String>,
    /// What is checked out in the working directory.
    pub git: Option<Git>,
}

/// The records of a training; those by default write nothing.
#[derive(Debug, Default)]
pub(super) struct Records(Option<Open>);

#[derive(Debug)]
struct Open {
    folder: PathBuf,
    facts: Facts,
    spec: String,
    place: Done,
    steps: Steps,
    begun: bool,
}

impl Records {
    /// Of a training of so many epochs with so many updates each, of which `place` is done. Nothing is written before
    /// [`Records::begin`].
    pub fn new(folder: &Path, facts: Facts, spec: &str, place: Done, length: [usize; 2]) -> Self {
        let steps = Steps::new(folder, place, length);
        let (folder, spec) = (folder.to_owned(), spec.to_owned());
        Records(Some(Open { folder, facts, spec, place, steps, begun: false }))
    }

    /// Writes what the run is, cuts what lies beyond the checkpoint that it goes on from, and writes what waited.
    ///
    /// # Errors
    /// Where a file cannot be read or written.
    pub fn begin(&mut self) -> Result<()> {
        match &mut self.0 {
            Some(open) if !open.begun => open.begin(),
            _ => Ok(()),
        }
    }

    /// A step is done. It is written now and then, and with [`Records::flush`] at the latest.
    pub fn step(&mut self, event: &StepEvent) -> Result<()> {
        self.0.as_mut().map_or(Ok(()), |open| open.steps.step(event))
    }

    /// An epoch is done, after so many updates of the whole training.
    pub fn epoch(&mut self, record: &EpochRecord, updates: usize) -> Result<()> {
        self.0.as_mut().map_or(Ok(()), |open| open.steps.epoch(record, updates))
    }

    /// The test images have been classified.
    pub fn evaluated(&self, evaluation: &Evaluation, source: &dyn Source, best: bool) -> Result<()> {
        let Some(open) = &self.0 else { return Ok(()) };
        let (answers, cells) =
            (tables::predictions(evaluation, source), tables::confusion(evaluation, source.classes()));
        for which in 0..1 + usize::from(best) {
            write_atomic(&open.folder.join(PREDICTIONS[which]), &answers)?;
            write_atomic(&open.folder.join(CONFUSION[which]), &cells)?;
        }
        Ok(())
    }

    /// Writes the steps that wait, and waits until they are on the disk.
    pub fn flush(&mut self) -> Result<()> {
        self.0.as_mut().map_or(Ok(()), |open| open.steps.flush(true))
    }
}

impl Open {
    fn begin(&mut self) -> Result<()> {
        let path = self.folder.join(RUN);
        let before = match self.place.is_start() {
            true => None,
            false => RunFile::load(&path),
        };
        let run = RunFile::new(&self.facts, before, self.place, SystemTime::now());
        write_atomic(&path, &run.to_bytes())?;
        write_atomic(&self.folder.join(SPEC), self.spec.as_bytes())?;
        self.steps.begin()?;
        self.begun = true;
        Ok(())
    }
}
