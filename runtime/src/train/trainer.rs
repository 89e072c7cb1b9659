//! A training from its beginning to its end; what happens within an epoch is in `epoch`, what is written in `save`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use resnetc_compiler::datasets;
use resnetc_compiler::spec::preprocess::Preprocess;
use resnetc_compiler::spec::train::TrainConfig;

use super::batches::BatchExecutor;
use super::eval::Evaluator;
use super::event::{Event, Outcome};
use super::folder::{Folder, LAST, LOG, Start};
use super::health;
use super::material::Materials;
use super::records::{About, Done, Facts, Records};
use super::teacher::{Pupil, Teacher};
use super::team::{Fetched, Team};
use super::updates::Updates;
use crate::checkpoint::{Checkpoint, Progress};
use crate::data::Dataset;
use crate::data::order::Rank;
use crate::engines::Engines;
use crate::error::{Error, NotFinite, Result};
use crate::exec::Executor;
use crate::identity::Identity;
use crate::metrics::Log;
use crate::ranks::Collective;
use crate::settings::{Change, Settings};
use crate::weights::ParamStore;

/// What is not in the spec.
#[derive(Clone)]
pub struct Options {
    /// Folder of checkpoints and log; made where it is missing.
    pub out: PathBuf,
    /// How the training begins.
    pub start: Start,
    /// Digest of the network's operators ([`crate::identity::digest`]); nothing where checkpoints need not know it.
    pub network: String,
    /// Weights that a new training starts with; `None` for those that the spec's distributions give. One that goes on has its own.
    pub first: Option<Arc<ParamStore>>,
    /// Threads of the device, noted in checkpoints.
    pub threads: usize,
    /// Threads that prepare batches.
    pub workers: usize,
    /// How pictures that come in different sizes are fitted and normalised for evaluation, and for training where no change does it.
    pub preprocess: Option<Preprocess>,
    /// What the folder tells of the run besides checkpoints and log ([`About`]); nothing more where it is `None`.
    pub about: Option<About>,
    /// Set from outside (Ctrl-C): the step is finished, a checkpoint written.
    pub stop: Arc<AtomicBool>,
    /// Whole epochs after which the training stops as if it were told to, evaluated and saved. Schedules stay those of all epochs.
    pub pause_after: Option<usize>,
    /// The other processes that share it; the device of the training has them too.
    pub ranks: Option<Arc<Collective>>,
}

/// A training, at some step.
pub struct Trainer {
    pub(super) config: TrainConfig,
    pub(super) options: Options,
    pub(super) dataset: Dataset,
    /// How images come, in each size that they have.
    pub(super) materials: Materials,
    pub(super) network: BatchExecutor,
    /// Who the network learns from.
    pub(super) teacher: Option<Teacher>,
    pub(super) evaluator: Evaluator,
    pub(super) progress: Progress,
    /// What the training was resumed from.
    pub(super) resumed: Option<Resumed>,
    pub(super) log: Log,
    pub(super) records: Records,
    /// A checkpoint of finite numbers: the newest.
    pub(super) last_good: Option<PathBuf>,
    /// The place that the last checkpoint has.
    pub(super) saved: Option<Place>,
    pub(super) folder: Folder,
    /// The processes that share it.
    pub(super) team: Team,
    /// Whether all of them have agreed to stop.
    pub(super) agreed: bool,
    /// Whether ranks have updated by their own gradients since they had the same weights.
    pub(super) apart: bool,
}

/// Epochs, steps, and whether the last epoch is evaluated and logged.
pub(super) type Place = (usize, usize, bool);

/// How long an epoch's steps took, how much of it they waited for images, and for how many images.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    pub seconds: f64,
    pub waited: f64,
    pub images: usize,
}

/// Where a training goes on from.
pub(super) struct Resumed {
    checkpoint: PathBuf,
    threads: usize,
    /// Of settings, data and device.
    changes: Vec<Change>,
}

impl Trainer {
    /// Sets the weights, first ones from the seed or those of a checkpoint. `train` has training plans for all training images at
    /// the configured batch size, `test` inference plans for all test images. The folder is this training's as long as it lives.
    ///
    /// # Errors
    /// Where the data do not fit the network, the checkpoint is of another training, the folder holds a training that
    /// [`Options::start`] does not name, another process trains there, or it cannot be written.
    pub fn new(
        config: &TrainConfig,
        dataset: Dataset,
        train: impl Into<Pupil>,
        test: BatchExecutor,
        options: Options,
    ) -> Result<Trainer> {
        let Pupil { network: mut train, teacher } = train.into().check()?;
        let preprocess = options.preprocess.as_ref();
        let materials = Materials::new(config, &dataset, &mut train, preprocess)?;
        let rules = (config, preprocess);
        let team = Team::new(options.ranks.clone());
        let evaluator = Evaluator::new(test, Arc::clone(&dataset.test), rules, options.workers)?;
        let evaluator = evaluator.shared_by(team.clone());
        let (folder, from) = match team.writes() {
            true => Folder::take(&options.out, &options.start)?,
            false => (Folder::of_another(&options.out), None),
        };
        let from = team.file(from)?;
        let told = teacher.as_ref().map(Teacher::told).unwrap_or_default();
        let (mut progress, resumed) =
            begin(&mut train.exec, config, &dataset, (&options, told), (from, &team))?;
        team.check_alike(&train.exec.store_params()?)?;
        progress.engines = engines(&train, teacher.as_ref(), &evaluator)?;
        // A log with lines that no checkpoint stands for is cut; another training's stays until it is replaced.
        let logged = progress.epoch - usize::from(progress.open.is_some());
        let log = Log::new(&options.out.join(LOG), logged);
        let records = records(config, &dataset, (&train, &options), (&progress, logged), &team);
        let mut trainer = Trainer {
            config: config.clone(),
            records,
            dataset,
            materials,
            network: train,
            teacher,
            evaluator,
            last_good: resumed.as_ref().map(|resumed| resumed.checkpoint.clone()),
            saved: None,
            progress,
            resumed,
            log,
            options,
            folder,
            team,
            agreed: false,
            apart: false,
        };
        let last = trainer.folder.path.join(LAST);
        // All ranks know what rank 0 has: they save together.
        let saved = trainer.resumed.as_ref().is_some_and(|resumed| resumed.checkpoint == last);
        if trainer.team.any(saved && trainer.team.writes())? {
            trainer.saved = Some(trainer.place());
        }
        if !trainer.folder.replaces() && trainer.team.writes() {
            trainer.log.begin()?;
            trainer.records.begin()?;
        }
        Ok(trainer)
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
    /// [`Error::Diverged`] where loss, parameters or statistics are not finite any more; the device's and the disk's. What was
    /// done before an error is saved where that is possible: [`Error::Saved`].
    pub fn run(&mut self, observe: &mut dyn FnMut(Event<'_>)) -> Result<Outcome> {
        self.announce(observe);
        self.epochs(observe).map_err(|error| self.rescue(error, observe))
    }

    fn epochs(&mut self, observe: &mut dyn FnMut(Event<'_>)) -> Result<Outcome> {
        // Of a training that stopped between an epoch's last step and its evaluation.
        let mut go_on = self.close_epoch(Pace::default(), observe)?;
        while go_on && !self.is_done() && !self.is_paused() {
            go_on = self.epoch(observe)? && !self.stopped();
        }
        if self.is_done() && self.progress.open.is_none() {
            let checkpoint = self.options.out.join(LAST);
            return Ok(Outcome::Finished { checkpoint, best: self.progress.best });
        }
        self.team.share_statistics(&self.network.exec)?;
        let checkpoint = self.save_last(observe)?;
        let (epoch, step) = (self.progress.epoch, self.updates().of(self.progress.step));
        Ok(Outcome::Interrupted { checkpoint, epoch, step })
    }

    /// Whether all epochs are done, or evaluations have ended it.
    fn is_done(&self) -> bool {
        self.progress.epoch >= self.config.epochs || self.ends_early()
    }

    /// Whether it has come to where it was to stop.
    fn is_paused(&self) -> bool {
        self.options.pause_after.is_some_and(|epochs| self.progress.epoch >= epochs)
    }

    fn announce(&self, observe: &mut dyn FnMut(Event<'_>)) {
        observe(Event::Started {
            device: &self.network.exec.describe(),
            epochs: self.config.epochs,
            steps_per_epoch: self.updates().count(),
            images: self.dataset.train.len(),
        });
        if let Some(Resumed { checkpoint, threads, changes }) = &self.resumed {
            let (epoch, step) = (self.progress.epoch, self.updates().of(self.progress.step));
            observe(Event::Resumed { checkpoint, epoch, step, threads_before: *threads });
            changes.iter().for_each(|change| observe(Event::Changed(change)));
            self.tell_early_end(observe);
        }
    }

    pub(super) fn place(&self) -> Place {
        (self.progress.epoch, self.progress.step, self.progress.open.is_none())
    }
}

/// The records of a training that is so far, and has so many epochs in its log; where nobody says what the run is, none.
fn records(
    config: &TrainConfig,
    dataset: &Dataset,
    (network, options): (&BatchExecutor, &Options),
    (progress, logged): (&Progress, usize),
    team: &Team,
) -> Records {
    let Some(about) = options.about.as_ref().filter(|_| team.writes()) else { return Records::default() };
    let facts = facts(about, config, dataset, (network, options), team);
    let updates = Updates::new(config, network.batch_size(), dataset.train.len(), team.rank());
    let place = Done { epochs: progress.epoch, step: updates.of(progress.step), logged };
    Records::new(&options.out, facts, about, place, [config.epochs, updates.count()])
}

/// What `run.json` says of a training.
fn facts(
    about: &About,
    config: &TrainConfig,
    dataset: &Dataset,
    (network, options): (&BatchExecutor, &Options),
    team: &Team,
) -> Facts {
    let updates = Updates::new(config, network.batch_size(), dataset.train.len(), team.rank());
    Facts {
        network: network.plan().name.clone(),
        dataset: dataset.name.clone(),
        train_images: dataset.train.len(),
        test_images: dataset.test.len(),
        classes: dataset.classes().to_vec(),
        epochs: config.epochs,
        updates: Some(updates.count()),
        batch_size: network.batch_size(),
        ranks: team.size(),
        seed: config.seed,
        device: network.exec.describe(),
        isa: about.isa.clone(),
        threads: options.threads,
        workers: options.workers,
    }
}

/// The engines that checkpoints pin, of all devices that influence the weights; evaluations may lower the rate, or end the training.
fn engines(network: &BatchExecutor, teacher: Option<&Teacher>, evaluator: &Evaluator) -> Result<Engines> {
    let mut all = network.engines()?;
    if let Some(teacher) = teacher {
        all.extend(teacher.engines()?);
    }
    all.extend(evaluator.engines()?);
    Ok(all)
}

/// Sets the weights that a new training starts with: those given, else those of the spec's distributions.
pub(super) fn first_weights(exec: &Executor, config: &TrainConfig, first: Option<&ParamStore>) -> Result<()> {
    match first {
        Some(first) => exec.load_params(first),
        None => exec.load_params(&crate::init::initial(exec.plan(0), config.seed)?),
    }
}

/// Sets the weights a training starts or goes on with.
fn begin(
    exec: &mut Executor,
    config: &TrainConfig,
    dataset: &Dataset,
    (options, teacher): (&Options, &str),
    (from, team): (Option<Fetched>, &Team),
) -> Result<(Progress, Option<Resumed>)> {
    let network = exec.plan(0).name.clone();
    let mut fresh = Progress::start(&network, &dataset.name, config.seed, config.batch_size, options.threads);
    fresh.accumulate = config.accumulate;
    fresh.ranks = team.size();
    fresh.classes = unlisted(dataset);
    fresh.settings = Settings::of(config);
    fresh.identity = Identity::of(&options.network, dataset, exec)?.taught_by(teacher);
    let Some(from) = from else {
        first_weights(exec, config, options.first.as_deref())?;
        return Ok((fresh, None));
    };
    let Checkpoint { progress, params, optimizer } = restore(&from.path, exec, config, dataset, &fresh)?;
    exec.load_params(&params)?;
    exec.load_optimizer(&optimizer)?;
    let mut changes = progress.settings.changes(&fresh.settings);
    changes.extend(progress.identity.changes(&fresh.identity));
    let step = progress.step_with(&fresh);
    if progress.ranks != fresh.ranks {
        let [was, is] = [progress.ranks, fresh.ranks].map(|ranks| ranks.to_string());
        changes.push(Change { setting: "processes".to_owned(), was, is });
    }
    let resumed = Resumed { checkpoint: from.path, threads: progress.threads, changes };
    let Progress { settings, identity, classes, ranks, .. } = fresh;
    Ok((Progress { settings, identity, classes, ranks, step, ..progress }, Some(resumed)))
}

/// Names of classes that no list of data sets has.
fn unlisted(dataset: &Dataset) -> Vec<String> {
    let classes = dataset.classes();
    let listed = datasets::find(&dataset.name).is_some_and(|facts| facts.labels().eq(classes));
    if listed { Vec::new() } else { classes.to_vec() }
}

/// Reads a checkpoint that this training can go on from.
fn restore(
    path: &Path,
    exec: &Executor,
    config: &TrainConfig,
    dataset: &Dataset,
    fresh: &Progress,
) -> Result<Checkpoint> {
    let checkpoint = Checkpoint::load(path)?;
    checkpoint.check(path, exec.plan(0), fresh)?;
    let images = Rank::new(0, checkpoint.progress.ranks.max(1)).share_of(dataset.train.len());
    check_position(path, &checkpoint.progress, images.div_ceil(config.batch_size))?;
    if let Some(NotFinite::Tensor { name, value, .. }) = health::examine(&checkpoint, exec.plan(0)) {
        let reason = format!("its `{name}` is {value}: the training had diverged when it was written");
        return Err(Error::Checkpoint { path: path.to_path_buf(), reason });
    }
    Ok(checkpoint)
}

/// A step beyond the epoch's end is a checkpoint of a larger data set.
fn check_position(path: &Path, progress: &Progress, steps: usize) -> Result<()> {
    if progress.step >= steps.max(1) {
        let reason = format!("it stopped at step {}, an epoch has {steps} here", progress.step);
        return Err(Error::Checkpoint { path: path.to_path_buf(), reason });
    }
    Ok(())
}
