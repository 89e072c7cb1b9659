//! `run.json`: what a run is, and the commands that it was begun and gone on with.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::git::Git;
use super::steps::Done;
use crate::files;

/// More than such a file has, with ten thousand long names of classes.
const LARGEST: u64 = 1 << 24;

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

/// What a training is, as far as spec, data and options say it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Name of the network.
    pub network: String,
    /// Name of the data set.
    pub dataset: String,
    /// Images that are trained on.
    pub train_images: usize,
    /// Images that are tested on.
    pub test_images: usize,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Epochs of the whole training.
    pub epochs: usize,
    /// Updates of an epoch; runs of earlier programs do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updates: Option<usize>,
    /// Images of a batch, of each process.
    pub batch_size: usize,
    /// Processes that share the training.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub ranks: usize,
    /// What all chance follows from.
    pub seed: u64,
    /// The device, in its own words.
    pub device: String,
    /// Instruction set of the CPU's kernels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isa: Option<String>,
    /// Threads of the device.
    pub threads: usize,
    /// Threads that prepare images.
    pub workers: usize,
}

fn one() -> usize {
    1
}

fn is_one(count: &usize) -> bool {
    *count == 1
}

/// A command that began a training or went on with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedBy {
    /// The command line.
    pub command: String,
    /// When, in UTC: `2026-11-28T21:05:00Z`.
    pub started: String,
    /// Version of the program.
    pub version: String,
    /// Whole epochs that were done before.
    pub after_epochs: usize,
    /// Updates of the next one that were.
    pub after_steps: usize,
    /// What was checked out in the working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<Git>,
}

/// The content of `run.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunFile {
    /// Version of this format.
    pub format: u32,
    /// What it is, as the last command has it.
    #[serde(flatten)]
    pub facts: Facts,
    /// When it began, in UTC.
    pub started: String,
    /// The commands, in their order.
    pub history: Vec<StartedBy>,
}

impl RunFile {
    /// What this program writes.
    const FORMAT: u32 = 1;

    /// Of a run that begins or, with the file as it was `before`, goes on.
    pub(super) fn new(
        facts: Facts,
        about: &About,
        before: Option<RunFile>,
        done: Done,
        now: SystemTime,
    ) -> Self {
        let mut history = before.map(|before| before.history).unwrap_or_default();
        history.push(StartedBy {
            command: about.command.clone(),
            started: utc(now),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            after_epochs: done.epochs,
            after_steps: done.step,
            git: about.git.clone(),
        });
        RunFile { format: Self::FORMAT, facts, started: history[0].started.clone(), history }
    }

    /// The file's content; `None` where there is none that can be read: of a training that an earlier program began.
    pub fn load(path: &Path) -> Option<RunFile> {
        serde_json::from_slice(&files::read_bytes(path, LARGEST).ok()?).ok()
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("numbers and strings serialise");
        bytes.push(b'\n');
        bytes
    }
}

/// `2026-11-28T21:05:00Z`, by the proleptic Gregorian calendar; times before 1970 are its first second.
fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (mut days, second) = (seconds / 86_400, seconds % 86_400);
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{:02}Z", days + 1, second % 60)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// As `date -u -d @SECONDS +%FT%TZ` has them.
    #[test]
    fn times_are_those_of_the_calendar() {
        let known = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (1_795_899_900, "2026-11-28T21:05:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ];
        for (seconds, text) in known {
            assert_eq!(utc(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }
}
