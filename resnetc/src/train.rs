//! Training and evaluation: a spec, a data set and a device put together.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::ir::step_kind::StepKind;
use resnetc_compiler::report::Target;
use resnetc_runtime::data::order::Rank;
use resnetc_runtime::data::{Dataset, Source};
use resnetc_runtime::identity::digest;
use resnetc_runtime::ranks::Collective;
use resnetc_runtime::train::{
    self, About, BatchExecutor, Evaluator, Git, Options, Pupil, RangeOptions, Teacher,
};
use resnetc_runtime::weights::ParamStore;

use crate::device::{Costs, DeviceOptions};
use crate::error::{Error, Result};
use crate::spec::Spec;
use crate::teacher::teacher;

pub use resnetc_runtime::train::{
    Event, Outcome, Range, RangeStep, Recommended, Start, StepEvent, recommended,
};

/// What a training is made of besides its spec and its data. [`Trainer::builder`] begins one.
#[derive(Debug)]
pub struct TrainerBuilder<'a> {
    spec: &'a Spec,
    dataset: Dataset,
    device: DeviceOptions,
    out: PathBuf,
    start: Start,
    first: Option<Arc<ParamStore>>,
    command: String,
    new_engines: bool,
    stop: Arc<AtomicBool>,
    pause_after: Option<usize>,
    ranks: Option<Arc<Collective>>,
}

impl TrainerBuilder<'_> {
    /// What it runs on; by default the CPU.
    #[must_use]
    pub fn device(mut self, device: DeviceOptions) -> Self {
        self.device = device;
        self
    }

    /// Folder of checkpoints, log and what else the run tells of itself, made where it is missing; by default `out/NETWORK-DATASET`.
    #[must_use]
    pub fn out(mut self, folder: impl Into<PathBuf>) -> Self {
        self.out = folder.into();
        self
    }

    /// How it begins; by default anew, in a folder without a training.
    #[must_use]
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Starts with these weights, not with those that the spec's distributions give. A training that goes on from a checkpoint has
    /// its own.
    #[must_use]
    pub fn weights(mut self, weights: ParamStore) -> Self {
        self.first = Some(Arc::new(weights));
        self
    }

    /// What `run.json` says began the training, or went on with it: a command line. By default nothing.
    #[must_use]
    pub fn command(mut self, command: impl Into<String>) -> Self {
        self.command = command.into();
        self
    }

    /// Whether a training on a GPU that goes on from a checkpoint chooses its engines anew, rather than take those that the checkpoint
    /// pins: for another GPU, or another cuDNN. Their last bits differ.
    #[must_use]
    pub fn new_engines(mut self, new: bool) -> Self {
        self.new_engines = new;
        self
    }

    /// Goes on from a checkpoint.
    #[must_use]
    pub fn resume(self, checkpoint: impl Into<PathBuf>) -> Self {
        self.start(Start::From(checkpoint.into()))
    }

    /// A flag that ends the training after the step in which it is set; a checkpoint is then written.
    #[must_use]
    pub fn stop(mut self, flag: Arc<AtomicBool>) -> Self {
        self.stop = flag;
        self
    }

    /// Stops after so many whole epochs, evaluated and saved, as if the flag were set then. Schedules stay those of all epochs, so that a
    /// training that goes on later is the one that never stopped.
    #[must_use]
    pub fn pause_after(mut self, epochs: usize) -> Self {
        self.pause_after = Some(epochs);
        self
    }

    /// Shares the training with other processes, each of which builds the same one. The spec's batch size is each one's own; rank 0 alone
    /// writes to the folder.
    #[must_use]
    pub fn ranks(mut self, ranks: Arc<Collective>) -> Self {
        self.ranks = Some(ranks);
        self
    }

    /// Compiles the plans and sets the weights.
    ///
    /// # Errors
    /// Where the spec cannot be trained, the data do not fit it, the checkpoint is of another training, the folder holds a
    /// training or is another's, or it cannot be written.
    pub fn build(self) -> Result<Trainer> {
        let TrainerBuilder {
            spec,
            dataset,
            mut device,
            out,
            start,
            first,
            command,
            new_engines,
            stop,
            pause_after,
            ranks,
        } = self;
        let ranks = ranks.filter(|ranks| ranks.size() > 1);
        let mut config = spec.resolved().train.clone();
        config.lr *= config.parallel.scale_lr.factor(ranks.as_ref().map_or(1, |ranks| ranks.size()));
        let config = &config;
        if config.deterministic && !new_engines {
            device.engines.extend(train::engines_of(&out, &start)?);
        }
        // Each takes the engines of those before it, so that all checkpoints of the training pin one for each convolution.
        let share = Share::of(ranks.as_deref(), &dataset, config.batch_size)?;
        let network = training(spec, &device, &share, ranks.as_ref())?;
        device.engines.extend(network.engines()?);
        let teacher = teacher(spec, &dataset.name, share.train, &device)?;
        if let Some(teacher) = &teacher {
            device.engines.extend(teacher.engines()?);
        }
        let train = pupil(network, teacher);
        let test = inference(spec, &device, share.test, share.test_batch)?;
        let network = digest(&spec.expand()?.graph.signature());
        let (threads, workers) = (device.threads(), device.workers());
        let preprocess = Some(spec.resolved().preprocess.clone());
        let about = Some(About {
            spec: spec.resolved().to_yaml(),
            command,
            isa: device.cpu_isa().map(|isa| isa.name().to_owned()),
            git: std::path::absolute(".").ok().and_then(|folder| Git::of(&folder)),
        });
        let options = Options {
            out,
            start,
            network,
            first,
            threads,
            workers,
            preprocess,
            about,
            stop,
            pause_after,
            ranks,
        };
        Ok(Trainer { inner: train::Trainer::new(config, dataset, train, test, options)? })
    }
}

/// A training, at some step. Its spec says all that influences the weights.
pub struct Trainer {
    inner: train::Trainer,
}

impl Trainer {
    /// A training of this network on this data set.
    pub fn builder(spec: &Spec, dataset: Dataset) -> TrainerBuilder<'_> {
        let out = PathBuf::from("out").join(format!("{}-{}", spec.name(), dataset.name));
        let (device, first, stop) = (DeviceOptions::default(), None, Arc::default());
        let (start, command, new_engines, pause_after) = (Start::New, String::new(), false, None);
        TrainerBuilder {
            spec,
            dataset,
            device,
            out,
            start,
            first,
            command,
            new_engines,
            stop,
            pause_after,
            ranks: None,
        }
    }

    /// Trains to the end, or until the stop flag is set; `observe` hears of every step and epoch.
    ///
    /// # Errors
    /// Where the loss is not finite any more, or the device or the disk fails.
    pub fn run(&mut self, mut observe: impl FnMut(Event<'_>)) -> Result<Outcome> {
        Ok(self.inner.run(&mut observe)?)
    }

    /// Parameters and running statistics as they are now.
    ///
    /// # Errors
    /// The device's.
    pub fn weights(&self) -> Result<ParamStore> {
        Ok(self.inner.params()?)
    }
}

/// Trains through a range of rates from fresh weights on, or from those given; see [`train::range_test`].
///
/// # Errors
/// Where the spec cannot be trained, or the data do not fit it.
pub fn range_test(
    spec: &Spec,
    dataset: &Dataset,
    device: &DeviceOptions,
    first: Option<&ParamStore>,
    range: &Range,
    observe: &mut dyn FnMut(&RangeStep) -> ControlFlow<()>,
) -> Result<Vec<RangeStep>> {
    let resolved = spec.resolved();
    let config = &resolved.train;
    let share = Share::of(None, dataset, config.batch_size)?;
    let network = training(spec, device, &share, None)?;
    let network = pupil(network, teacher(spec, &dataset.name, dataset.train.len(), device)?);
    let options = RangeOptions { first, preprocess: Some(&resolved.preprocess), workers: device.workers() };
    Ok(train::range_test(config, dataset, network, &options, range, observe)?)
}

/// Makes what classifies a source's pictures with a network's weights, `batch` at a time. Pixels are normalised as the spec says; pictures
/// of different sizes are fitted by its `preprocess`.
///
/// # Errors
/// Where the images do not fit the network.
pub fn evaluator(
    spec: &Spec,
    device: &DeviceOptions,
    source: Arc<dyn Source>,
    batch: usize,
) -> Result<Evaluator> {
    let resolved = spec.resolved();
    let network = inference(spec, device, source.len(), batch.min(source.len()).max(1))?;
    let rules = (&resolved.train, Some(&resolved.preprocess));
    Ok(Evaluator::new(network, source, rules, device.workers())?)
}

/// The images that a process has in an epoch, for which it needs plans, and their batches, as large on all processes.
struct Share {
    train: usize,
    train_batch: usize,
    test: usize,
    test_batch: usize,
}

impl Share {
    fn of(ranks: Option<&Collective>, dataset: &Dataset, batch: usize) -> Result<Self> {
        let (rank, count) = ranks.map_or((0, 1), |ranks| (ranks.rank(), ranks.size()));
        if dataset.train.len() < count {
            let text = format!(
                "{} has {} images to train on, for {count} processes",
                dataset.name,
                dataset.train.len()
            );
            return Err(resnetc_runtime::error::Error::Data(text).into());
        }
        let [first, own] = [0, rank].map(|rank| Rank::new(rank, count));
        let images = |len: usize| (own.share_of(len), batch.min(first.share_of(len)).max(1));
        let ((mut train, train_batch), (test, test_batch)) =
            (images(dataset.train.len()), images(dataset.test.len()));
        // A process that has no image in the last batch makes the step with one that does not count.
        let short = train.div_ceil(train_batch) < first.share_of(dataset.train.len()).div_ceil(train_batch);
        train += usize::from(short);
        Ok(Share { train, train_batch, test, test_batch })
    }
}

/// Plans for an epoch, on a device of their own, which other processes share.
fn training(
    spec: &Spec,
    device: &DeviceOptions,
    share: &Share,
    ranks: Option<&Arc<Collective>>,
) -> Result<BatchExecutor> {
    let config = &spec.resolved().train;
    let target = |step, batch| {
        let ranks = ranks.map_or(1, |ranks| ranks.size());
        Target { backend: device.backend(), step, ranks, ..Target::new(Mode::Train, batch) }
    };
    let plan = |step, batch| Ok::<_, Error>(Arc::new(spec.compile(&target(step, batch))?.plan));
    let opened = match ranks {
        Some(ranks) => device.open_shared(Arc::clone(ranks))?,
        None => device.open(Costs::Constant)?,
    };
    let mut network = BatchExecutor::load_full(opened, share.train, share.train_batch, |batch| {
        plan(StepKind::Update, batch)
    })?;
    if config.accumulate > 1 {
        network = network.gathering(|batch| plan(StepKind::Gather, batch))?;
    }
    if config.swa.is_some() {
        network = network.finding_statistics(|batch| plan(StepKind::Statistics, batch))?;
    }
    if ranks.is_some() && config.parallel.sync_every > 1 {
        network = network.synchronizing(|batch| plan(StepKind::Synchronize, batch))?;
    }
    // Behind the own size, whose memory has room for smaller ones.
    for size in spec.smaller_sizes() {
        let small = spec.at_size(size);
        network = network.with_size(size, |step, batch| {
            Ok::<_, Error>(Arc::new(small.compile(&target(step, batch))?.plan))
        })?;
    }
    Ok(network)
}

fn pupil(network: BatchExecutor, teacher: Option<Teacher>) -> Pupil {
    match teacher {
        Some(teacher) => Pupil::of(network, teacher),
        None => network.into(),
    }
}

/// Plans that classify so many images in full batches of so many, on a device of their own.
fn inference(spec: &Spec, device: &DeviceOptions, images: usize, full: usize) -> Result<BatchExecutor> {
    let device = device.open(Costs::Constant)?;
    let backend = device.backend();
    BatchExecutor::load_full::<Error>(device, images, full, |batch| spec.plan(Mode::Infer, batch, backend))
}
