//! What a training reports: running sums of an epoch, and the log with one JSON object per epoch.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::weights::file::write_atomic;

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
    /// Mean loss of the training images, each before its step's update.
    pub train_loss: f64,
    /// Fraction of the training images classified right, likewise.
    pub train_accuracy: f64,
    /// Fraction of the test images classified right; none where the epoch was not evaluated.
    pub test_accuracy: Option<f64>,
    /// Mean loss of the test images.
    pub test_loss: Option<f64>,
    /// Time of the epoch's training steps (of those since an interruption), evaluation not counted.
    pub seconds: f64,
    /// Training images over that time.
    pub images_per_second: f64,
}

/// `log.jsonl`: one [`EpochRecord`] per line.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
}

impl Log {
    /// The log of a training that continues after `epochs` whole epochs: lines beyond them (of a training that went on
    /// from an older checkpoint), and a last line cut by a crash, are dropped. With 0 the log starts empty.
    pub fn open(path: &Path, epochs: usize) -> Result<Log> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(Error::io(path)(e)),
        };
        let keep: String = text
            .lines()
            .filter(|line| serde_json::from_str::<EpochRecord>(line).is_ok_and(|r| r.epoch <= epochs))
            .map(|line| format!("{line}\n"))
            .collect();
        if keep != text || !path.exists() {
            write_atomic(path, keep.as_bytes())?;
        }
        Ok(Log { path: path.to_path_buf() })
    }

    /// Appends a line in one write, and waits until it is on the disk.
    pub fn append(&self, record: &EpochRecord) -> Result<()> {
        let mut line = serde_json::to_string(record).expect("numbers serialise");
        line.push('\n');
        let mut file = OpenOptions::new().append(true).open(&self.path).map_err(Error::io(&self.path))?;
        file.write_all(line.as_bytes()).and_then(|()| file.sync_data()).map_err(Error::io(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(epoch: usize) -> EpochRecord {
        EpochRecord {
            epoch,
            lr: 0.1,
            train_loss: 1.5,
            train_accuracy: 0.25,
            test_accuracy: None,
            test_loss: None,
            seconds: 2.0,
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

    #[test]
    fn the_log_is_cut_back_to_the_checkpoint() {
        let dir = tempfile::tempdir().expect("temp folder");
        let path = dir.path().join("log.jsonl");
        let log = Log::open(&path, 0).expect("new");
        for epoch in 1..=3 {
            log.append(&record(epoch)).expect("writable");
        }
        let mut text = fs::read_to_string(&path).expect("written");
        assert_eq!(text.lines().count(), 3);
        text.push_str("{\"epoch\":4,\"lr\":");
        fs::write(&path, text).expect("writable");
        let log = Log::open(&path, 2).expect("again");
        log.append(&record(3)).expect("writable");
        let epochs: Vec<usize> = fs::read_to_string(&path)
            .expect("written")
            .lines()
            .map(|l| serde_json::from_str::<EpochRecord>(l).expect("one object per line").epoch)
            .collect();
        assert_eq!(epochs, [1, 2, 3]);
        Log::open(&path, 0).expect("anew");
        assert_eq!(fs::read_to_string(&path).expect("there"), "");
    }
}
