//! What a training tells its observer; the runtime itself prints nothing.

use std::path::{Path, PathBuf};

use resnetc_compiler::spec::train::Metric;

use crate::evaluation::Evaluation;
use crate::metrics::{EpochRecord, Sums};
use crate::settings::Change;

/// Something happened. Epochs and steps count from 1.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// The first of all.
    Started {
        /// The device, in its own words.
        device: &'a str,
        /// Epochs of the whole training.
        epochs: usize,
        /// Steps of each.
        steps_per_epoch: usize,
        /// Training images.
        images: usize,
    },
    /// The training goes on from a checkpoint.
    Resumed {
        /// Which: the last one, unless it is not there.
        checkpoint: &'a Path,
        /// Whole epochs done.
        epoch: usize,
        /// Steps done of the next one.
        step: usize,
        /// Threads it ran with before: with another number now, results may differ in the last bits.
        threads_before: usize,
    },
    /// The checkpoint was made with another value of this setting: the training ends otherwise than it would have.
    Changed(&'a Change),
    /// An epoch begins (or goes on).
    EpochStarted {
        /// Which one.
        epoch: usize,
    },
    /// A step is done.
    Step(StepEvent),
    /// The test images have been classified.
    Evaluated {
        /// After which epoch.
        epoch: usize,
        /// Over all test images.
        sums: Sums,
        /// The same of the weights' average, where one is kept.
        average: Option<Sums>,
        /// Whether no evaluation before was as good; that of the average counts, where there is one.
        best: bool,
        /// The answers that count: the average's, where one is kept.
        evaluation: &'a Evaluation,
    },
    /// Evaluations got no better for so long that the rate falls.
    RateReduced {
        /// To this one.
        lr: f32,
    },
    /// Evaluations got no better for so long that the training ends before its last epoch.
    EndsEarly {
        /// What did not get better.
        metric: Metric,
        /// Evaluations since the best one.
        evaluations: usize,
    },
    /// An epoch is done and logged.
    EpochDone(&'a EpochRecord),
    /// A picture could not be read; another one stands in for it.
    Unreadable {
        /// Its file and the reason.
        text: &'a str,
    },
    /// A checkpoint was written.
    Saved {
        /// The file.
        path: &'a PathBuf,
    },
}

/// A step of training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepEvent {
    /// Epoch, counted from 1.
    pub epoch: usize,
    /// Step within it, counted from 1.
    pub step: usize,
    /// Steps of the epoch.
    pub steps: usize,
    /// Mean loss of the step's images.
    pub loss: f32,
    /// Mean loss of the epoch's images so far.
    pub mean_loss: f64,
    /// Learning rate.
    pub lr: f32,
    /// `[height, width]` of its images, where it changes over the training.
    pub size: Option<[usize; 2]>,
    /// Speed since the epoch began or went on.
    pub images_per_second: f64,
}

/// How a training ended, errors apart.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// All epochs are done.
    Finished {
        /// The last checkpoint.
        checkpoint: PathBuf,
        /// The best evaluation.
        best: Option<Sums>,
    },
    /// The stop flag was set; the training can go on bit for bit from the checkpoint.
    Interrupted {
        /// The checkpoint.
        checkpoint: PathBuf,
        /// Whole epochs done.
        epoch: usize,
        /// Steps done of the next one.
        step: usize,
    },
}
