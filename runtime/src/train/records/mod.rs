//! What a training's folder tells of the run besides checkpoints and `log.jsonl`: what it is (`run.json`, `spec.yaml`), how it went
//! (`metrics.jsonl`, and TensorBoard's files) and what the network answered (`predictions-*.csv`, `confusion-*.csv`).

mod events;
mod git;
mod run;
mod steps;
mod tables;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use self::events::EventFile;
use self::steps::Steps;
use super::event::StepEvent;
use super::folder::{CONFUSION, PREDICTIONS, RUN, SPEC};
use crate::data::Source;
use crate::error::Result;
use crate::evaluation::Evaluation;
use crate::metrics::{EpochRecord, Metrics};
use crate::weights::file::write_atomic;

pub use self::git::Git;
pub use self::run::{About, Facts, RunFile, StartedBy};
pub(super) use self::steps::Done;
pub use self::steps::MetricsLine;
pub use self::tables::predictions;

/// The records of a training; those by default write nothing.
#[derive(Debug, Default)]
pub(super) struct Records(Option<Open>);

#[derive(Debug)]
struct Open {
    folder: PathBuf,
    facts: Facts,
    about: About,
    place: Done,
    steps: Steps,
    events: EventFile,
    begun: bool,
}

impl Records {
    /// Of a training of so many epochs with so many updates each, of which `place` is done. Nothing is written before
    /// [`Records::begin`].
    pub fn new(folder: &Path, facts: Facts, about: &About, place: Done, length: [usize; 2]) -> Self {
        let steps = Steps::new(folder, place, length);
        let events = EventFile::new(folder, place.epochs * length[1] + place.step, SystemTime::now());
        let (folder, about) = (folder.to_owned(), about.clone());
        Records(Some(Open { folder, facts, about, place, steps, events, begun: false }))
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
        let Some(Open { steps, events, .. }) = &mut self.0 else { return Ok(()) };
        let Some(update) = steps.step(event) else { return Ok(()) };
        let values = [
            ("step/loss", f64::from(event.loss)),
            ("step/learning_rate", event.lr.into()),
            ("step/images_per_second", event.images_per_second),
        ];
        events.scalars(update, &values, SystemTime::now());
        if steps.is_due() { self.write(false) } else { Ok(()) }
    }

    /// An epoch is done, after so many updates of the whole training.
    pub fn epoch(&mut self, record: &EpochRecord, updates: usize) -> Result<()> {
        let Some(Open { steps, events, .. }) = &mut self.0 else { return Ok(()) };
        steps.epoch(record);
        events.scalars(updates, &scalars(record), SystemTime::now());
        self.write(true)
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
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        self.write(true)
    }

    fn write(&mut self, sync: bool) -> Result<()> {
        let Some(Open { steps, events, .. }) = &mut self.0 else { return Ok(()) };
        steps.flush(sync)?;
        events.flush()
    }
}

/// What TensorBoard shows of an epoch; figures that there are not are left out.
fn scalars(record: &EpochRecord) -> Vec<(&'static str, f64)> {
    let of =
        |metrics: &Option<Metrics>, figure: fn(&Metrics) -> Option<f64>| metrics.as_ref().and_then(figure);
    let (test, average) = (&record.test_metrics, &record.average_metrics);
    let all = [
        ("train/loss", Some(record.train_loss)),
        ("train/accuracy", Some(record.train_accuracy)),
        ("test/loss", record.test_loss),
        ("test/accuracy", record.test_accuracy),
        ("test/top5_accuracy", of(test, |metrics| metrics.top5_accuracy)),
        ("test/balanced_accuracy", of(test, |metrics| Some(metrics.balanced_accuracy))),
        ("test/macro_f1", of(test, |metrics| Some(metrics.macro_f1))),
        ("test/auroc", of(test, |metrics| metrics.auroc)),
        ("test/calibration_error", of(test, |metrics| Some(metrics.calibration_error))),
        ("average/loss", record.average_loss),
        ("average/accuracy", record.average_accuracy),
        ("average/top5_accuracy", of(average, |metrics| metrics.top5_accuracy)),
        ("average/balanced_accuracy", of(average, |metrics| Some(metrics.balanced_accuracy))),
        ("average/macro_f1", of(average, |metrics| Some(metrics.macro_f1))),
        ("average/auroc", of(average, |metrics| metrics.auroc)),
        ("average/calibration_error", of(average, |metrics| Some(metrics.calibration_error))),
        ("time/steps", Some(record.seconds)),
        ("time/waiting_for_images", Some(record.data_seconds)),
        ("time/evaluation", record.evaluation_seconds),
    ];
    all.into_iter().filter_map(|(tag, value)| Some((tag, value?))).collect()
}

impl Open {
    fn begin(&mut self) -> Result<()> {
        let path = self.folder.join(RUN);
        let before = match self.place.is_start() {
            true => None,
            false => RunFile::load(&path),
        };
        let run = RunFile::new(self.facts.clone(), &self.about, before, self.place, SystemTime::now());
        write_atomic(&path, &run.to_bytes())?;
        write_atomic(&self.folder.join(SPEC), self.about.spec.as_bytes())?;
        self.steps.begin()?;
        self.events.begin(SystemTime::now())?;
        self.begun = true;
        Ok(())
    }
}
