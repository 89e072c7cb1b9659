//! A training's folder: its files, and who may write to it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::lock::Lock;
use crate::checkpoint::{self, Progress};
use crate::engines::Engines;
use crate::error::{Error, Result};

/// The checkpoint that a training goes on from, in its folder.
pub const LAST: &str = "last.safetensors";
/// The checkpoint of the best evaluation.
pub const BEST: &str = "best.safetensors";
/// One JSON object per epoch.
pub const LOG: &str = "log.jsonl";
/// What the run is: a [`super::RunFile`].
pub const RUN: &str = "run.json";
/// The spec with all defaults written out.
pub const SPEC: &str = "spec.yaml";
/// One JSON object for a step or an epoch.
pub const METRICS: &str = "metrics.jsonl";
/// The answers of the last evaluation, and of the best.
pub const PREDICTIONS: [&str; 2] = ["predictions-last.csv", "predictions-best.csv"];
/// The confusion matrix of the last evaluation, and of the best.
pub const CONFUSION: [&str; 2] = ["confusion-last.csv", "confusion-best.csv"];
/// The page about the training that the command line writes.
pub const REPORT: &str = "report.html";
/// What the names of files for TensorBoard begin with.
pub const EVENTS: &str = "events.out.tfevents.";
/// The checkpoint of an epoch is called `epoch-007.safetensors`.
const EPOCH: &str = "epoch-";
const EXTENSION: &str = ".safetensors";

/// How a training begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Start {
    /// In a folder without a training.
    #[default]
    New,
    /// In place of the training that the folder holds; that one stays until the new one's first checkpoint is written.
    Replace,
    /// Where the training in the folder stopped: from its last checkpoint or, where there is none, from its most advanced.
    Resume,
    /// From this checkpoint.
    From(PathBuf),
}

/// The file of an epoch's checkpoint, `epoch` counted from 1.
pub fn epoch_file(epoch: usize) -> String {
    format!("{EPOCH}{epoch:03}{EXTENSION}")
}

/// Checks early that a training may begin in a folder. Changes nothing; whoever begins one checks again, under a lock.
///
/// # Errors
/// [`Error::HoldsTraining`], [`Error::NothingToResume`], [`Error::InUse`]; where there is such a folder but it cannot be read.
pub fn check(out: &Path, start: &Start) -> Result<()> {
    Lock::probe(out)?;
    beginning(out, start).map(|_| ())
}

/// A folder that this training has for itself.
#[derive(Debug)]
pub(super) struct Folder {
    pub path: PathBuf,
    /// Files of another training, which go when the first checkpoint of this one is written.
    old: Vec<PathBuf>,
    /// Nobody's, of a process that writes nothing.
    _lock: Option<Lock>,
}

impl Folder {
    /// Makes the folder where it is missing, and takes it. Also returns the checkpoint to go on from.
    pub fn take(out: &Path, start: &Start) -> Result<(Folder, Option<PathBuf>)> {
        std::fs::create_dir_all(out).map_err(Error::io(out))?;
        let lock = Lock::take(out)?;
        let from = beginning(out, start)?;
        let old = if *start == Start::Replace { files(out)? } else { Vec::new() };
        Ok((Folder { path: out.to_owned(), old, _lock: Some(lock) }, from))
    }

    /// That of a process which leaves all writing to another.
    pub fn of_another(out: &Path) -> Folder {
        Folder { path: out.to_owned(), old: Vec::new(), _lock: None }
    }

    /// Whether another training's files are still here.
    pub fn replaces(&self) -> bool {
        !self.old.is_empty()
    }

    /// Removes the other training's files but the one that is about to be replaced.
    pub fn clear(&mut self, but: &Path) -> Result<()> {
        for file in self.old.drain(..).filter(|file| file != but) {
            match std::fs::remove_file(&file) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(Error::io(file)(error)),
                _ => (),
            }
        }
        Ok(())
    }

    /// Removes an epoch's checkpoint if there is one.
    pub fn forget(&self, epoch: usize) -> Result<()> {
        let file = self.path.join(epoch_file(epoch));
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io(file)(error)),
            _ => Ok(()),
        }
    }
}

/// The checkpoint to go on from, if any, where the folder allows this start.
fn beginning(out: &Path, start: &Start) -> Result<Option<PathBuf>> {
    match start {
        Start::New if checkpoints(out)?.is_empty() => Ok(None),
        Start::New => Err(Error::HoldsTraining { folder: out.to_owned() }),
        Start::Replace => Ok(None),
        Start::Resume => resume_point(out).map(Some),
        Start::From(path) => Ok(Some(path.clone())),
    }
}

/// How far the training in a folder is.
///
/// # Errors
/// Where there is none to go on with, or its checkpoint cannot be read.
pub fn progress_of(out: &Path) -> Result<Progress> {
    checkpoint::load_progress(&resume_point(out)?)
}

/// The engines that the checkpoint pins which a training would go on from; none where it would begin anew.
///
/// # Errors
/// Those of [`check`]; where the checkpoint cannot be read.
pub fn engines_of(out: &Path, start: &Start) -> Result<Engines> {
    beginning(out, start)?.map_or_else(|| Ok(Engines::default()), |path| checkpoint::engines(&path))
}

/// The last checkpoint; where there is none, the most advanced of the others: of a training that was killed before its first
/// checkpoint under that name, or whose file is gone.
fn resume_point(out: &Path) -> Result<PathBuf> {
    let last = out.join(LAST);
    if last.exists() {
        return Ok(last);
    }
    let readable = |path: PathBuf| Some((checkpoint::load_progress(&path).ok()?, path));
    let place = |progress: &Progress| (progress.epoch, progress.step, progress.open.is_none());
    let found = checkpoints(out)?.into_iter().filter_map(readable);
    match found.max_by_key(|(progress, _)| place(progress)) {
        Some((_, path)) => Ok(path),
        None => Err(Error::NothingToResume { folder: out.to_owned() }),
    }
}

/// A training's checkpoints. A log alone is no training: nothing can go on from it.
fn checkpoints(out: &Path) -> Result<Vec<PathBuf>> {
    let mut files = files(out)?;
    files.retain(|file| file.to_string_lossy().ends_with(EXTENSION));
    Ok(files)
}

/// What a training has left in a folder: checkpoints, log and what else it tells of the run.
fn files(out: &Path) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(out) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Error::io(out))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::io(out))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let epoch = name.strip_prefix(EPOCH).and_then(|rest| rest.strip_suffix(EXTENSION));
        let epoch = epoch.is_some_and(|number| number.parse::<usize>().is_ok());
        let known =
            [LOG, LAST, BEST, RUN, SPEC, METRICS, REPORT].iter().chain(&PREDICTIONS).chain(&CONFUSION);
        if epoch || name.starts_with(EVENTS) || known.into_iter().any(|known| *known == name) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}
