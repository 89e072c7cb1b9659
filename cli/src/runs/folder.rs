//! What the folder of a training tells.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use resnetc::{Spec, SpecOptions};
use resnetc_runtime::files::read_text;
use resnetc_runtime::metrics::EpochRecord;
use resnetc_runtime::train::{LOG, RUN, RunFile, SPEC, is_held, progress_of};

/// More than a log or a spec has.
const LARGEST: u64 = 1 << 28;

/// Whether a training goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// A process trains in the folder.
    Running,
    /// All epochs are done, or evaluations ended it.
    Finished,
    /// It can go on.
    Stopped,
}

impl State {
    /// As people and programs read it.
    pub fn word(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Finished => "finished",
            State::Stopped => "stopped",
        }
    }
}

/// A training, as its folder tells of it.
#[derive(Debug, Clone)]
pub struct Run {
    /// Where it lies.
    pub folder: PathBuf,
    /// What it is.
    pub file: RunFile,
    /// How it went, epoch by epoch.
    pub epochs: Vec<EpochRecord>,
}

impl Run {
    /// Reads a folder.
    ///
    /// # Errors
    /// Why it is no run, in a few words.
    pub fn read(folder: &Path) -> Result<Run, String> {
        let path = folder.join(RUN);
        let file = RunFile::load(&path).ok_or_else(|| match path.exists() {
            true => format!("{RUN} cannot be read"),
            false => format!("there is no {RUN}"),
        })?;
        Ok(Run { folder: folder.to_owned(), file, epochs: epochs(folder) })
    }

    /// Its spec with all defaults, as text; empty where there is none.
    pub fn spec(&self) -> String {
        spec(&self.folder)
    }

    /// Every setting of its spec, by path.
    ///
    /// # Errors
    /// Where the spec is not there, or this program does not read it any more.
    pub fn settings(&self) -> Result<BTreeMap<String, String>, String> {
        let path = self.folder.join(SPEC);
        let failed = |error: resnetc::Error| error.to_string();
        Spec::from_path(path, &SpecOptions::default()).and_then(|spec| spec.settings()).map_err(failed)
    }

    /// Whole epochs that are in the log.
    pub fn done(&self) -> usize {
        self.epochs.last().map_or(0, |record| record.epoch)
    }

    /// Whether it goes on, and whether it could.
    pub fn state(&self) -> State {
        match () {
            () if is_held(&self.folder) => State::Running,
            () if self.done() >= self.file.facts.epochs || self.ended_early() => State::Finished,
            () => State::Stopped,
        }
    }

    /// Whether evaluations were no better for too long.
    fn ended_early(&self) -> bool {
        // Few specs have it: the others need not be read.
        if !self.spec().contains("early_stopping") {
            return false;
        }
        let spec = Spec::from_path(self.folder.join(SPEC), &SpecOptions::default());
        let early = spec.ok().and_then(|spec| spec.resolved().train.early_stopping);
        let patience = progress_of(&self.folder).ok().map(|progress| progress.patience);
        early.zip(patience).is_some_and(|(early, patience)| patience.is_over(&early))
    }

    /// Seconds of steps and evaluations, those before an interruption within an epoch aside.
    pub fn seconds(&self) -> f64 {
        seconds(&self.epochs)
    }

    /// Seconds of a step: the median over epochs of their mean, without what steps waited for images.
    pub fn step_seconds(&self) -> Option<f64> {
        let facts = &self.file.facts;
        let updates = facts.updates.unwrap_or_else(|| facts.train_images.div_ceil(facts.batch_size.max(1)));
        let images = facts.train_images as f64 / updates.max(1) as f64;
        let of = |record: &EpochRecord| {
            let working = 1.0 - record.data_seconds / record.seconds;
            let step = images / record.images_per_second * working;
            (step.is_finite() && step > 0.0).then_some(step)
        };
        median(self.epochs.iter().filter_map(of).collect())
    }
}

/// The middle of some values, of an even number the mean of the two in the middle; `None` of none.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        1 => Some(values[middle]),
        _ => Some((values.get(middle.checked_sub(1)?)? + values.get(middle)?) / 2.0),
    }
}

/// The epochs that a folder's log has. A line that is cut or another program's is left out.
pub fn epochs(folder: &Path) -> Vec<EpochRecord> {
    let log = read_text(&folder.join(LOG), LARGEST).unwrap_or_default();
    log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// A folder's spec as text; empty where there is none.
pub fn spec(folder: &Path) -> String {
    read_text(&folder.join(SPEC), LARGEST).unwrap_or_default()
}

/// Seconds of the epochs' steps and evaluations.
pub fn seconds(records: &[EpochRecord]) -> f64 {
    records.iter().map(|record| record.seconds + record.evaluation_seconds.unwrap_or_default()).sum()
}

/// What evaluations found, first to last: of the weights' average where one is kept, as it decides which is the best.
pub fn accuracies(records: &[EpochRecord]) -> impl DoubleEndedIterator<Item = f64> {
    records.iter().filter_map(|record| record.average_accuracy.or(record.test_accuracy))
}

/// The losses of the same.
pub fn losses(records: &[EpochRecord]) -> impl DoubleEndedIterator<Item = f64> {
    records.iter().filter_map(|record| record.average_loss.or(record.test_loss))
}

/// What people want to know of a run first. Fractions of the test images, and mean losses of them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Figures {
    /// The best accuracy.
    pub best_accuracy: Option<f64>,
    /// That of the last evaluation.
    pub last_accuracy: Option<f64>,
    /// The least loss.
    pub best_loss: Option<f64>,
    /// That of the last evaluation.
    pub last_loss: Option<f64>,
}

impl Figures {
    /// Of these epochs.
    pub fn of(records: &[EpochRecord]) -> Self {
        Figures {
            best_accuracy: accuracies(records).max_by(f64::total_cmp),
            last_accuracy: accuracies(records).next_back(),
            best_loss: losses(records).min_by(f64::total_cmp),
            last_loss: losses(records).next_back(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0]), Some(3.0));
        assert_eq!(median(vec![3.0, 1.0]), Some(2.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
    }
}
