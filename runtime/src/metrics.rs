//! What a training reports: running sums of an epoch, and the log with one JSON object per epoch.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::lines::{self, Lines};

/// Sums over images, from which means are taken.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Sums {
    /// Sum of the images' losses.
    #[serde(with = "bits")]
    pub loss: f64,
    /// Images classified right.
    pub correct: u64,
    /// Images.
    pub images: u64,
}

impl Sums {
    /// Adds a batch: its mean loss, and how many of its images were classified right.
    pub fn add(&mut self, mean_loss: f32, correct: u64, images: usize) {
        self.loss += f64::from(mean_loss) * images as f64;
        self.correct += correct;
        self.images += images as u64;
    }

    /// Mean loss of an image; 0 without images.
    pub fn mean_loss(&self) -> f64 {
        if self.images == 0 { 0.0 } else { self.loss / self.images as f64 }
    }

    /// Fraction of images classified right, `0..1`; 0 without images.
    pub fn accuracy(&self) -> f64 {
        if self.images == 0 { 0.0 } else { self.correct as f64 / self.images as f64 }
    }
}

/// A float as the integer with its bits: a decimal may come back as a neighbour, and a resumed epoch's mean would differ.
mod bits {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(value.to_bits())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        u64::deserialize(deserializer).map(f64::from_bits)
    }
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Counted from 1.
    pub epoch: usize,
    /// Learning rate of the epoch's last step.
    pub lr: f32,
    /// `[height, width]` of the training images, where it changes over the training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<[usize; 2]>,
    /// Mean loss of the training images, each before its step's update.
    pub train_loss: f64,
    /// Fraction of the training images classified right, likewise.
    pub train_accuracy: f64,
    /// Fraction of the test images classified right; none where the epoch was not evaluated.
    pub test_accuracy: Option<f64>,
    /// Mean loss of the test images.
    pub test_loss: Option<f64>,
    /// Fraction of the test images that the weights' average classified right, where one is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_accuracy: Option<f64>,
    /// Mean loss of the test images by the average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_loss: Option<f64>,
    /// More of the evaluation of the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_metrics: Option<Metrics>,
    /// The same of their average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_metrics: Option<Metrics>,
    /// Time of the epoch's training steps (of those since an interruption), evaluation not counted.
    pub seconds: f64,
    /// How much of that the steps waited for images.
    #[serde(default)]
    pub data_seconds: f64,
    /// Time of the evaluation, where there was one.
    #[serde(default)]
    pub evaluation_seconds: Option<f64>,
    /// Training images over the time of the steps.
    pub images_per_second: f64,
}

impl EpochRecord {
    /// Without what differs from run to run: all times.
    pub fn timeless(self) -> Self {
        EpochRecord {
            seconds: 0.0,
            data_seconds: 0.0,
            evaluation_seconds: None,
            images_per_second: 0.0,
            ..self
        }
    }
}

/// What an evaluation says besides its [`Sums`], over all test images. `crate::evaluation` computes it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Fraction of the images whose class is among the five likeliest, where there are more than five classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top5_accuracy: Option<f64>,
    /// Mean recall of the classes that have images, as scikit-learn's `balanced_accuracy_score`.
    pub balanced_accuracy: f64,
    /// Unweighted mean of the classes' F1, of those that have images or were answered, as scikit-learn's `f1_score` with
    /// `average="macro"`.
    pub macro_f1: f64,
    /// Area under the ROC curve of the second class, where there are two and images of both, as scikit-learn's `roc_auc_score`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auroc: Option<f64>,
    /// Expected calibration error (Guo et al. 2017): how far the probability of the answer is from the share of right answers, in
    /// 15 bins of equal width, weighted by their images.
    pub calibration_error: f64,
}

/// `log.jsonl`: one [`EpochRecord`] per line.
#[derive(Debug)]
pub struct Log {
    lines: Lines,
    /// Whole epochs that the file may have lines of.
    epochs: usize,
}

impl Log {
    /// The log of a training that continues after `epochs` whole epochs. Nothing is read or written before [`Log::begin`].
    pub fn new(path: &Path, epochs: usize) -> Log {
        Log { lines: Lines::new(path), epochs }
    }

    /// Drops the file's lines of later epochs (of a training that went on from an older checkpoint) and a last line cut by a
    /// crash, and writes what waited. With 0 epochs it starts empty. Lines of other programs stay.
    ///
    /// # Errors
    /// Where the file cannot be read or written.
    pub fn begin(&mut self) -> Result<()> {
        let epochs = self.epochs;
        self.lines.begin(|text| kept(text, epochs))
    }

    /// Appends a line in one write, and waits until it is on the disk. A file that was taken away is written anew.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn append(&mut self, record: &EpochRecord) -> Result<()> {
        self.lines.push(&serde_json::to_string(record).expect("numbers serialise"));
        self.lines.flush(true)
    }
}

/// The lines of a log that a training after so many epochs goes on from: all whole ones that are no records of later epochs.
pub fn kept(text: &[u8], epochs: usize) -> Vec<u8> {
    if epochs == 0 {
        return Vec::new();
    }
    lines::whole(text, |line| {
        serde_json::from_slice::<EpochRecord>(line).map_or(true, |record| record.epoch <= epochs)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn record(epoch: usize) -> EpochRecord {
        EpochRecord {
            epoch,
            lr: 0.1,
            size: None,
            train_loss: 1.5,
            train_accuracy: 0.25,
            test_accuracy: None,
            test_loss: None,
            average_accuracy: None,
            average_loss: None,
            test_metrics: None,
            average_metrics: None,
            seconds: 2.0,
            data_seconds: 0.1,
            evaluation_seconds: None,
            images_per_second: 100.0,
        }
    }

    #[test]
    fn sums_weigh_batches_by_their_images() {
        let mut sums = Sums::default();
        sums.add(1.0, 3, 6);
        sums.add(4.0, 1, 2);
        assert_eq!((sums.mean_loss(), sums.accuracy()), (1.75, 0.5));
        assert_eq!((Sums::default().mean_loss(), Sums::default().accuracy()), (0.0, 0.0));
    }

    fn log(path: &Path, epochs: usize) -> Log {
        let mut log = Log::new(path, epochs);
        log.begin().expect("readable");
        log
    }

    #[test]
    fn the_log_is_cut_back_to_the_checkpoint() {
        let dir = tempfile::tempdir().expect("temp folder");
        let path = dir.path().join("log.jsonl");
        let mut first = log(&path, 0);
        for epoch in 1..=3 {
            first.append(&record(epoch)).expect("writable");
        }
        let mut text = fs::read_to_string(&path).expect("written");
        assert_eq!(text.lines().count(), 3);
        text.push_str("{\"epoch\":4,\"lr\":");
        fs::write(&path, text).expect("writable");
        log(&path, 2).append(&record(3)).expect("writable");
        let epochs: Vec<usize> = fs::read_to_string(&path)
            .expect("written")
            .lines()
            .map(|l| serde_json::from_str::<EpochRecord>(l).expect("one object per line").epoch)
            .collect();
        assert_eq!(epochs, [1, 2, 3]);
        log(&path, 0);
        assert_eq!(fs::read_to_string(&path).expect("there"), "");
    }

    #[test]
    fn what_others_wrote_stays() {
        let dir = tempfile::tempdir().expect("temp folder");
        let path = dir.path().join("log.jsonl");
        log(&path, 0).append(&record(1)).expect("writable");
        let mut text = fs::read(&path).expect("written");
        text.extend(b"a note in Latin-1: caf\xe9\n");
        fs::write(&path, &text).expect("writable");
        log(&path, 1);
        assert_eq!(fs::read(&path).expect("there"), text);
    }

    #[test]
    fn a_log_that_was_taken_away_comes_back_whole() {
        let dir = tempfile::tempdir().expect("temp folder");
        let path = dir.path().join("log.jsonl");
        let mut log = log(&path, 0);
        log.append(&record(1)).expect("writable");
        fs::remove_file(&path).expect("there");
        log.append(&record(2)).expect("writable");
        assert_eq!(fs::read_to_string(&path).expect("there").lines().count(), 2);
    }

    #[test]
    fn nothing_is_touched_before_it_begins() {
        let dir = tempfile::tempdir().expect("temp folder");
        let path = dir.path().join("log.jsonl");
        fs::write(&path, "another training's\n").expect("writable");
        let mut log = Log::new(&path, 0);
        log.append(&record(1)).expect("kept back");
        assert_eq!(fs::read_to_string(&path).expect("there"), "another training's\n");
        log.begin().expect("writable");
        assert_eq!(fs::read_to_string(&path).expect("there").lines().count(), 1);
    }
}
