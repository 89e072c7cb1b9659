//! The training loop: epochs of steps, evaluation, checkpoints.
//!
//! Everything a step does follows from `(seed, epoch, step)` and the weights, so a training that was interrupted goes on
//! from its checkpoint as if it had never stopped.

mod batches;
mod eval;
mod event;
mod fit;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use resnetc_compiler::spec::train::TrainConfig;

pub use self::batches::BatchExecutor;
pub use self::eval::Evaluator;
pub use self::event::{Event, Outcome, StepEvent};

use self::fit::{check_fit, input_size};
use crate::checkpoint::{Checkpoint, Progress};
use crate::data::Dataset;
use crate::data::loader::{Batch, Epoch, Loader};
use crate::data::order::{Rank, shuffled};
use crate::data::transform::Transform;
use crate::error::{Error, Result};
use crate::exec::{Executor, RunArgs, StepResult};
use crate::metrics::{EpochRecord, Log, Sums};
use crate::optim::lr_at;
use crate::settings::{Change, Settings};
use crate::weights::ParamStore;
use crate::weights::file::write_atomic;

/// The checkpoint that a training goes on from, in its folder.
pub const LAST: &str = "last.safetensors";
/// The checkpoint of the best evaluation.
pub const BEST: &str = "best.safetensors";
/// One JSON object per epoch.
pub const LOG: &str = "log.jsonl";
/// The checkpoint of an epoch is called `epoch-007.safetensors`.
const EPOCH: &str = "epoch-";
const EXTENSION: &str = ".safetensors";

/// What a training has left in a folder: checkpoints, and a log that is not empty.
///
/// # Errors
/// Where there is such a folder but it cannot be read.
pub fn remains(out: &Path) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(out) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Error::io(out))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::io(out))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let epoch = name.strip_prefix(EPOCH).is_some_and(|rest| rest.ends_with(EXTENSION));
        let log = name == LOG && entry.metadata().map_err(Error::io(out))?.len() > 0;
        if epoch || log || name == LAST || name == BEST {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// What is not in the spec.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder of checkpoints and log; made where it is missing.
    pub out: PathBuf,
    /// Checkpoint to go on from.
    pub resume: Option<PathBuf>,
    /// Threads of the device, noted in checkpoints.
    pub threads: usize,
    /// Threads that prepare batches.
    pub workers: usize,
    /// Set from outside (Ctrl-C): the step is finished, a checkpoint written.
    pub stop: Arc<AtomicBool>,
}

/// A training, at some step.
pub struct Trainer {
    config: TrainConfig,
    options: Options,
    dataset: Dataset,
    transform: Arc<Transform>,
    network: BatchExecutor,
    evaluator: Evaluator,
    progress: Progress,
    /// Settings that the checkpoint was made with others of.
    changes: Vec<Change>,
    log: Log,
    /// Where the progress of this very moment, or the last good one, lies.
    last_good: Option<PathBuf>,
}

/// What is left of an epoch, while it lasts.
struct Pass {
    start: Instant,
    /// Images whose steps have been collected.
    images: usize,
    /// Steps that were submitted and not yet collected, with their images.
    submitted: Vec<(usize, usize)>,
}

impl Trainer {
    /// Sets the weights, first ones from the seed or those of a checkpoint. `train` has training plans for all training images at
    /// the configured batch size, `test` inference plans for all test images.
    ///
    /// # Errors
    /// Where the data do not fit the network, the checkpoint is of another training, or the folder cannot be written.
    pub fn new(
        config: &TrainConfig,
        dataset: Dataset,
        mut train: BatchExecutor,
        test: BatchExecutor,
        options: Options,
    ) -> Result<Trainer> {
        if dataset.train.is_empty() || dataset.test.is_empty() {
            return Err(Error::Data(format!("{} has no images to train or to test on", dataset.name)));
        }
        std::fs::create_dir_all(&options.out).map_err(Error::io(&options.out))?;
        check_fit(train.plan(), &*dataset.train)?;
        let size = input_size(train.plan())?;
        let transform = Arc::new(Transform::new(size, &config.normalize, &config.augment, config.seed)?);
        let evaluator = Evaluator::new(test, Arc::clone(&dataset.test), &config.normalize, options.workers)?;
        let mut progress = restore(&mut train.exec, config, &dataset, &options)?;
        let before = std::mem::replace(&mut progress.settings, Settings::of(config));
        let changes = before.changes(&progress.settings);
        let log = Log::open(&options.out.join(LOG), progress.epoch)?;
        let config = config.clone();
        let last_good = options.resume.clone();
        Ok(Trainer {
            config,
            options,
            dataset,
            transform,
            network: train,
            evaluator,
            progress,
            changes,
            log,
            last_good,
        })
    }

    /// How far the training is.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Parameters and running statistics as they are now.
    pub fn params(&self) -> Result<ParamStore> {
        self.network.exec.store_params()
    }

    /// Trains to the end, or until the stop flag is set.
    ///
    /// # Errors
    /// [`Error::Diverged`] when the loss is not finite any more; the device's and the disk's.
    pub fn run(&mut self, observe: &mut dyn FnMut(Event<'_>)) -> Result<Outcome> {
        self.announce(observe);
        while self.progress.epoch < self.config.epochs {
            let stopped = !self.epoch(observe)? || self.options.stop.load(Ordering::Relaxed);
            if stopped && self.progress.epoch < self.config.epochs {
                let checkpoint = self.save(&[LAST.to_string()], observe)?;
                let Progress { epoch, step, .. } = self.progress;
                return Ok(Outcome::Interrupted { checkpoint, epoch, step });
            }
        }
        let checkpoint = self.options.out.join(LAST);
        Ok(Outcome::Finished { checkpoint, best: self.progress.best })
    }

    fn announce(&self, observe: &mut dyn FnMut(Event<'_>)) {
        observe(Event::Started {
            device: &self.network.exec.describe(),
            epochs: self.config.epochs,
            steps_per_epoch: self.steps(),
            images: self.dataset.train.len(),
        });
        if self.options.resume.is_some() {
            let Progress { epoch, step, threads, .. } = self.progress;
            observe(Event::Resumed { epoch, step, threads_before: threads });
            self.changes.iter().for_each(|change| observe(Event::Changed(change)));
        }
    }

    /// Steps of an epoch.
    fn steps(&self) -> usize {
        self.dataset.train.len().div_ceil(self.network.batch_size())
    }

    /// What is left of the current epoch; false where the stop flag ended it early.
    fn epoch(&mut self, observe: &mut dyn FnMut(Event<'_>)) -> Result<bool> {
        let number = self.progress.epoch;
        observe(Event::EpochStarted { epoch: number + 1 });
        let epoch = Epoch {
            epoch: number,
            order: shuffled(self.dataset.train.len(), self.config.seed, number as u64, Rank::ONLY),
            batch_size: self.network.batch_size(),
            first_step: self.progress.step,
        };
        let source = Arc::clone(&self.dataset.train);
        let mut loader = Loader::start(source, Arc::clone(&self.transform), epoch, self.options.workers)?;
        let mut pass = Pass { start: Instant::now(), images: 0, submitted: Vec::new() };
        while let Some((step, batch)) = loader.next_batch()? {
            self.submit(step, &batch)?;
            pass.submitted.push((step, batch.labels.len()));
            loader.recycle(step, batch);
            let stop = self.options.stop.load(Ordering::Relaxed);
            let last = step + 1 == self.steps();
            if last || stop || pass.submitted.len() >= self.network.exec.depth() {
                self.collect(&mut pass, observe)?;
            }
            // What was told may have asked for an end, too.
            if !last && pass.submitted.is_empty() && self.options.stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
        }
        self.finish_epoch(pass.start.elapsed().as_secs_f64(), pass.images, observe)?;
        Ok(true)
    }

    fn lr(&self, step: usize) -> f32 {
        lr_at(&self.config, self.progress.epoch * self.steps() + step, self.steps())
    }

    /// Forward, backward, update: hands them over to the device.
    fn submit(&mut self, step: usize, batch: &Batch) -> Result<()> {
        let index = self.network.plan_for(batch.labels.len());
        let number = (self.progress.epoch * self.steps() + step) as u64;
        let args = RunArgs { lr: self.lr(step), seed: self.config.seed, step: number };
        self.network.exec.submit(index, &batch.images, &batch.labels, &args)
    }

    /// Waits for the steps that were submitted, and tells of each; their losses are finite.
    fn collect(&mut self, pass: &mut Pass, observe: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        let results: Vec<StepResult> = self.network.exec.collect()?.collect();
        for ((step, images), StepResult { loss, correct }) in pass.submitted.drain(..).zip(results) {
            let epoch = self.progress.epoch + 1;
            if !loss.is_finite() {
                let last_good = self.last_good.clone();
                return Err(Error::Diverged { loss, epoch, step: step + 1, last_good });
            }
            self.progress.sums.add(loss, correct as u64, images);
            self.progress.step = step + 1;
            pass.images += images;
            observe(Event::Step(StepEvent {
                epoch,
                step: step + 1,
                steps: self.steps(),
                loss,
                mean_loss: self.progress.sums.mean_loss(),
                lr: self.lr(step),
                images_per_second: pass.images as f64 / pass.start.elapsed().as_secs_f64(),
            }));
        }
        Ok(())
    }

    /// Evaluates and saves where it is time to, and writes the log.
    fn finish_epoch(
        &mut self,
        seconds: f64,
        images: usize,
        observe: &mut dyn FnMut(Event<'_>),
    ) -> Result<()> {
        let lr = self.lr(self.steps() - 1);
        let sums = std::mem::take(&mut self.progress.sums);
        self.progress.epoch += 1;
        self.progress.step = 0;
        let epoch = self.progress.epoch;
        let due = |every: usize| epoch == self.config.epochs || epoch.is_multiple_of(every.max(1));
        let (evaluate, checkpoint) = (due(self.config.evaluate_every), due(self.config.checkpoint_every));
        let mut names = Vec::new();
        let test = if evaluate { Some(self.evaluate(&mut names, observe)?) } else { None };
        let record = EpochRecord {
            epoch,
            lr,
            train_loss: sums.mean_loss(),
            train_accuracy: sums.accuracy(),
            test_accuracy: test.map(|t| t.accuracy()),
            test_loss: test.map(|t| t.mean_loss()),
            seconds,
            images_per_second: images as f64 / seconds,
        };
        // The log first: a resumed training cuts what is beyond its checkpoint, but cannot write what is missing.
        self.log.append(&record)?;
        observe(Event::EpochDone(&record));
        if checkpoint {
            names.extend([format!("{EPOCH}{epoch:03}{EXTENSION}"), LAST.to_string()]);
        }
        if !names.is_empty() {
            self.save(&names, observe)?;
        }
        Ok(())
    }

    /// Evaluates the weights; a new best one is noted, to be saved.
    fn evaluate(&mut self, names: &mut Vec<String>, observe: &mut dyn FnMut(Event<'_>)) -> Result<Sums> {
        let sums = self.evaluator.evaluate_as(&self.network.exec)?;
        let best = self.progress.best.is_none_or(|before| sums.correct > before.correct);
        if best {
            self.progress.best = Some(sums);
            names.push(BEST.to_string());
        }
        observe(Event::Evaluated { epoch: self.progress.epoch, sums, best });
        Ok(sums)
    }

    /// Writes the state under each of these names; returns the path of the last one.
    fn save(&mut self, names: &[String], observe: &mut dyn FnMut(Event<'_>)) -> Result<PathBuf> {
        let mut progress = self.progress.clone();
        progress.threads = self.options.threads;
        let params = self.network.exec.store_params()?;
        let optimizer = self.network.exec.store_optimizer()?;
        let bytes = Checkpoint { progress, params, optimizer }.to_bytes()?;
        let mut path = PathBuf::new();
        for name in names {
            path = self.options.out.join(name);
            write_atomic(&path, &bytes)?;
            observe(Event::Saved { path: &path });
        }
        self.last_good = Some(path.clone());
        Ok(path)
    }
}

/// Sets the weights a training starts or goes on with.
fn restore(
    exec: &mut Executor,
    config: &TrainConfig,
    dataset: &Dataset,
    options: &Options,
) -> Result<Progress> {
    let network = exec.plan(0).name.clone();
    let fresh = Progress::start(&network, &dataset.name, config.seed, config.batch_size, options.threads);
    let Some(path) = &options.resume else {
        let params = crate::init::initial(exec.plan(0), config.seed)?;
        exec.load_params(&params)?;
        return Ok(fresh);
    };
    let checkpoint = Checkpoint::load(path)?;
    checkpoint.check(path, exec.plan(0), &fresh)?;
    check_position(path, &checkpoint.progress, dataset.train.len().div_ceil(config.batch_size))?;
    exec.load_params(&checkpoint.params)?;
    exec.load_optimizer(&checkpoint.optimizer)?;
    Ok(checkpoint.progress)
}

/// A step beyond the epoch's end is a checkpoint of a larger data set.
fn check_position(path: &Path, progress: &Progress, steps: usize) -> Result<()> {
    if progress.step >= steps.max(1) {
        let reason = format!("it stopped at step {}, an epoch has {steps} here", progress.step);
        return Err(Error::Checkpoint { path: path.to_path_buf(), reason });
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
