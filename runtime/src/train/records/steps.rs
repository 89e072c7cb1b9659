//! `metrics.jsonl`: a line for a step or an epoch.
//!
//! The file stays bounded: of trainings with more than [`MOST_STEPS`] updates every second, third ... update is written, each with its own
//! loss, and an epoch has one line. Steps wait in memory for [`OFTEN`] at most before they are written, and are on the disk before
//! the checkpoint that stands for them.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::super::event::StepEvent;
use super::super::folder::METRICS;
use crate::error::Result;
use crate::lines::{self, Lines};
use crate::metrics::EpochRecord;

/// Lines of steps that a training writes at most.
const MOST_STEPS: usize = 10_000;
/// How long steps wait to be written.
const OFTEN: Duration = Duration::from_secs(2);

/// A line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum MetricsLine {
    /// An update.
    Step {
        /// Epoch, counted from 1.
        epoch: usize,
        /// Update within it, counted from 1.
        step: usize,
        /// Update of the whole training, counted from 1.
        update: usize,
        /// Mean loss of the update's images.
        loss: f32,
        /// Learning rate.
        lr: f32,
        /// `[height, width]` of its images, where it changes over the training.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size: Option<[usize; 2]>,
        /// Speed since the epoch began or went on.
        images_per_second: f64,
    },
    /// An epoch: the same as in `log.jsonl`.
    Epoch(Box<EpochRecord>),
}

/// What is done of a training that begins or goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Done {
    /// Whole epochs whose steps are done.
    pub epochs: usize,
    /// Updates of the next one.
    pub step: usize,
    /// Epochs that have their line.
    pub logged: usize,
}

impl Done {
    pub fn is_start(self) -> bool {
        self == Done::default()
    }

    /// Whether a line is of what is done; lines of other programs are.
    fn covers(self, line: &[u8]) -> bool {
        match serde_json::from_slice(line) {
            Ok(MetricsLine::Step { epoch, step, .. }) => {
                epoch <= self.epochs || (epoch == self.epochs + 1 && step <= self.step)
            }
            Ok(MetricsLine::Epoch(record)) => record.epoch <= self.logged,
            Err(_) => true,
        }
    }
}

/// The file, while the training lasts.
#[derive(Debug)]
pub(super) struct Steps {
    lines: Lines,
    done: Done,
    /// Updates of an epoch.
    updates: usize,
    /// Every so manieth update is written.
    every: usize,
    flushed: Instant,
}

impl Steps {
    /// Of a training of so many epochs with so many updates each.
    pub fn new(folder: &Path, done: Done, [epochs, updates]: [usize; 2]) -> Self {
        let every = epochs.saturating_mul(updates).div_ceil(MOST_STEPS).max(1);
        Steps { lines: Lines::new(&folder.join(METRICS)), done, updates, every, flushed: Instant::now() }
    }

    /// Cuts what lies beyond the checkpoint, and writes what waited.
    pub fn begin(&mut self) -> Result<()> {
        let done = self.done;
        self.lines.begin(|text| match done.is_start() {
            true => Vec::new(),
            false => lines::whole(text, |line| done.covers(line)),
        })
    }

    /// Takes a step, which then waits for [`Steps::flush`]; its number in the whole training, or `None` where it is one of those that are
    /// left out.
    pub fn step(&mut self, event: &StepEvent) -> Option<usize> {
        let StepEvent { epoch, step, loss, lr, size, images_per_second, .. } = *event;
        let update = (epoch - 1) * self.updates + step;
        if !update.is_multiple_of(self.every) {
            return None;
        }
        self.push(&MetricsLine::Step { epoch, step, update, loss, lr, size, images_per_second });
        Some(update)
    }

    /// Takes an epoch.
    pub fn epoch(&mut self, record: &EpochRecord) {
        self.push(&MetricsLine::Epoch(Box::new(record.clone())));
    }

    /// Whether steps have waited long enough.
    pub fn is_due(&self) -> bool {
        self.flushed.elapsed() >= OFTEN
    }

    pub fn flush(&mut self, sync: bool) -> Result<()> {
        self.flushed = Instant::now();
        self.lines.flush(sync)
    }

    fn push(&mut self, line: &MetricsLine) {
        self.lines.push(&serde_json::to_string(line).expect("numbers serialise"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(epoch: usize, step: usize) -> StepEvent {
        let (steps, loss, mean_loss) = (100, 1.5, 1.5);
        StepEvent { epoch, step, steps, loss, mean_loss, lr: 0.1, size: None, images_per_second: 9.0 }
    }

    fn places(folder: &Path) -> Vec<(usize, usize)> {
        let text = std::fs::read_to_string(folder.join(METRICS)).expect("written");
        let lines = text.lines().map(|line| serde_json::from_str(line).expect("a line"));
        lines
            .map(|line| match line {
                MetricsLine::Step { epoch, step, .. } => (epoch, step),
                MetricsLine::Epoch(record) => (record.epoch, 0),
            })
            .collect()
    }

    #[test]
    fn long_trainings_write_every_nth_step() {
        let folder = tempfile::tempdir().expect("temp folder");
        let mut steps = Steps::new(folder.path(), Done::default(), [250, 100]);
        steps.begin().expect("writable");
        for step in 1..=100 {
            steps.step(&event(1, step));
        }
        steps.step(&event(2, 2));
        steps.flush(true).expect("writable");
        let found = places(folder.path());
        assert_eq!(
            (found.len(), found[0], found[33]),
            (34, (1, 3), (2, 2)),
            "the 102nd is the 34th third one"
        );
    }

    #[test]
    fn what_lies_beyond_the_checkpoint_is_cut() {
        let folder = tempfile::tempdir().expect("temp folder");
        let mut steps = Steps::new(folder.path(), Done::default(), [2, 100]);
        steps.begin().expect("writable");
        for (epoch, step) in [(1, 99), (1, 100), (2, 1), (2, 2), (2, 3)] {
            steps.step(&event(epoch, step));
        }
        steps.flush(true).expect("writable");
        let done = Done { epochs: 1, step: 2, logged: 1 };
        Steps::new(folder.path(), done, [2, 100]).begin().expect("writable");
        assert_eq!(places(folder.path()), [(1, 99), (1, 100), (2, 1), (2, 2)]);
    }
}
