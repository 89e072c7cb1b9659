//! Evaluation: the folded inference plan over all pictures of a source.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use resnetc_compiler::plan::Plan;
use resnetc_compiler::spec::preprocess::Preprocess;
use resnetc_compiler::spec::train::tta::{Mean, Shown};
use resnetc_compiler::spec::train::{Augment, TrainConfig, Tta};

use super::batches::BatchExecutor;
use super::fit::{check_fit, input_size};
use super::team::Team;
use crate::data::Source;
use crate::data::batch::Form;
use crate::data::loader::{Epoch, Loader};
use crate::data::order::{Rank, once, sequential};
use crate::data::transform::Transform;
use crate::device::Until;
use crate::engines::Engines;
use crate::error::{Error, Result};
use crate::evaluation::Evaluation;
use crate::exec::{Executor, RunArgs};
use crate::metrics::Sums;
use crate::views::Views;
use crate::weights::ParamStore;

/// Classifies a source's pictures with a network's weights. Has a device of its own: folded tensors are not the trained ones.
pub struct Evaluator {
    network: BatchExecutor,
    source: Arc<dyn Source>,
    /// What is done to a picture before it is classified: the mean answer counts.
    views: Vec<Arc<Transform>>,
    mean: Mean,
    /// How the device takes images.
    form: Form,
    /// Width of the logits.
    classes: usize,
    workers: usize,
    /// The processes that share the pictures.
    team: Team,
}

impl Evaluator {
    /// Classifies with inference plans, loaded for as many images as the source has. Pictures are normalised, not changed, unless
    /// the training section asks for other views of them too; those that come in different sizes are fitted and normalised as `preprocess`
    /// says, where that is given.
    ///
    /// # Errors
    /// Where the images do not fit the network, or crops are asked for of pictures that have the input's size.
    pub fn new(
        mut network: BatchExecutor,
        source: Arc<dyn Source>,
        (config, preprocess): (&TrainConfig, Option<&Preprocess>),
        workers: usize,
    ) -> Result<Self> {
        let preprocess = preprocess.filter(|_| source.any_size());
        if config.tta.crops() && preprocess.is_none() {
            return Err(nothing_to_crop(&*source, config.tta));
        }
        let views = transforms(input_size(network.plan())?, config, preprocess)?;
        check_fit(network.plan(), &*source, views[0].frames())?;
        let form = network.exec.prepare_images(&views[0].preparation(&*source))?;
        let classes = network.exec.classes();
        Ok(Evaluator {
            network,
            source,
            views,
            mean: config.tta.mean(),
            form,
            classes,
            workers,
            team: Team::default(),
        })
    }

    /// Shares the pictures with other processes; all of them evaluate at the same time, and all come to the same answers.
    pub(super) fn shared_by(self, team: Team) -> Self {
        Evaluator { team, ..self }
    }

    /// What is evaluated on.
    pub fn source(&self) -> &dyn Source {
        &*self.source
    }

    /// The engines that its device has chosen.
    ///
    /// # Errors
    /// Where the device has failed.
    pub fn engines(&self) -> Result<Engines> {
        self.network.engines()
    }

    /// The plan of the full batch.
    pub fn plan(&self) -> &Plan {
        self.network.plan()
    }

    /// Sums of the cross-entropy (without label smoothing) and of right answers over all images; `progress` hears the
    /// number of images done.
    ///
    /// # Errors
    /// Where the weights are another network's; the device's.
    pub fn evaluate(&mut self, params: &ParamStore, progress: &mut dyn FnMut(usize)) -> Result<Sums> {
        Ok(self.assess(params, progress)?.sums)
    }

    /// The same with the answer to each image, from which all metrics follow.
    ///
    /// # Errors
    /// See [`Evaluator::evaluate`].
    pub fn assess(&mut self, params: &ParamStore, progress: &mut dyn FnMut(usize)) -> Result<Evaluation> {
        self.network.exec.load_params(params)?;
        let mut go_on = |images| {
            progress(images);
            true
        };
        Ok(self.classify(&mut go_on)?.expect("nothing stops it"))
    }

    /// The same with the weights that another network of the same spec has on its device; `None` where the flag was set.
    pub(super) fn assess_as(&mut self, network: &Executor, stop: &AtomicBool) -> Result<Option<Evaluation>> {
        self.network.exec.copy_params(network)?;
        self.classify(&mut |_| !stop.load(Ordering::Relaxed))
    }

    /// The same with these weights.
    pub(super) fn assess_until(
        &mut self,
        params: &ParamStore,
        stop: &AtomicBool,
    ) -> Result<Option<Evaluation>> {
        self.network.exec.load_params(params)?;
        self.classify(&mut |_| !stop.load(Ordering::Relaxed))
    }

    /// The answers to all images, unless `go_on`, which hears the number of images done, says no before the end.
    fn classify(&mut self, go_on: &mut dyn FnMut(usize) -> bool) -> Result<Option<Evaluation>> {
        let epoch = Epoch {
            epoch: 0,
            order: once(sequential(self.source.len(), self.team.rank())),
            batch_size: self.network.batch_size(),
            first_step: 0,
            form: self.form,
        };
        let own = epoch.steps() * self.views.len();
        // A rank whose images are done still hears of the others'.
        let most = Rank::new(0, self.team.size()).share_of(self.source.len());
        let runs = most.div_ceil(self.network.batch_size()) * self.views.len();
        let mut loaders = Vec::with_capacity(self.views.len());
        for view in &self.views {
            let (source, view) = (Arc::clone(&self.source), Arc::clone(view));
            loaders.push(Loader::start(source, view, epoch.clone(), self.workers)?);
        }
        let mut scores = Scores::new(self.views.len(), self.mean, self.classes, self.network.batch_size());
        for run in 0..runs {
            self.team.goes_on();
            if run >= own {
                scores.add_none(run, &self.team)?;
                if self.team.any(false)? {
                    return Ok(None);
                }
                continue;
            }
            let loader = &mut loaders[run % self.views.len()];
            let (step, batch) = loader.next_batch()?.expect("an epoch has all its steps");
            let index = self.network.plan_for(batch.labels.len());
            self.network.exec.submit(index, &batch, self.form, &RunArgs::default())?;
            scores.submitted.push(batch.labels.clone());
            loader.recycle(step, batch);
            let until = match run + 1 == runs {
                true => Until::All,
                false if self.team.size() > 1 => Until::All,
                false if scores.submitted.len() >= self.network.exec.depth() => Until::Room,
                false => continue,
            };
            scores.add(self.network.exec.collect(until)?, &self.team)?;
            if self.team.any(!go_on(scores.found.sums.images as usize))? {
                // What is under way must not be taken for the next evaluation's.
                self.network.exec.collect(Until::All)?;
                return Ok(None);
            }
        }
        Ok(Some(scores.found))
    }
}

/// A transform for each view.
fn transforms(
    size: [usize; 3],
    config: &TrainConfig,
    preprocess: Option<&Preprocess>,
) -> Result<Vec<Arc<Transform>>> {
    let views = config.tta.views();
    // Devices are told once how many changes an image has: where one view is mirrored, each has one.
    let any = views.iter().any(|view| view.mirrored);
    let transform = |Shown { window, mirrored }: &Shown| {
        let flip = [Augment::Flip { probability: if *mirrored { 1.0 } else { 0.0 } }];
        let flip = &flip[..usize::from(any)];
        Ok(Arc::new(match preprocess {
            Some(preprocess) => {
                Transform::new(size, &preprocess.normalize, flip, 0)?.fitting_to(preprocess, *window)
            }
            None => Transform::new(size, &config.normalize, flip, 0)?,
        }))
    };
    views.iter().map(transform).collect()
}

fn nothing_to_crop(source: &dyn Source, tta: Tta) -> Error {
    let name = source.name();
    Error::Data(format!(
        "`tta: {tta}` has nothing to crop: the pictures of {name} have the size of the network's input; `tta: flip` mirrors them"
    ))
}

/// Logits on their way to answers. The views of a batch are run one behind the other.
struct Scores {
    /// How many there are of a batch.
    number: usize,
    classes: usize,
    /// Images of a full batch.
    batch: usize,
    /// Labels of runs whose logits have not come.
    submitted: Vec<Vec<u32>>,
    /// Those that have come of a batch.
    views: Views,
    /// Their mean.
    logits: Vec<f32>,
    found: Evaluation,
}

impl Scores {
    fn new(number: usize, mean: Mean, classes: usize, batch: usize) -> Self {
        let views = Views::new(mean, classes);
        let found = Evaluation::new(classes);
        Scores { number, classes, batch, submitted: Vec::new(), views, logits: Vec::new(), found }
    }

    /// Takes the logits of the first runs.
    fn add(&mut self, mut logits: &[f32], team: &Team) -> Result<()> {
        let mut done = 0;
        while !logits.is_empty() {
            let labels = &self.submitted[done];
            let (run, rest) = logits.split_at(labels.len() * self.classes);
            self.views.add(run);
            if self.views.count() == self.number {
                self.views.take(&mut self.logits);
                team.add_answers(&mut self.found, &self.logits, labels, self.batch)?;
            }
            (logits, done) = (rest, done + 1);
        }
        self.submitted.drain(..done);
        Ok(())
    }

    /// Takes part in a run for which this rank has no images.
    fn add_none(&mut self, run: usize, team: &Team) -> Result<()> {
        match (run + 1).is_multiple_of(self.number) {
            true => team.add_answers(&mut self.found, &[], &[], self.batch),
            false => Ok(()),
        }
    }
}
