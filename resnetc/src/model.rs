//! A network with its weights, and the sessions that run it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::plan::Plan;
use resnetc_runtime::checkpoint::{has_average, load_average, load_weights};
use resnetc_runtime::device::{Device, ProgramId};
use resnetc_runtime::error::Error as RuntimeError;
use resnetc_runtime::exec::{Executor, RunArgs, load_params, load_tensors};
use resnetc_runtime::views::Views;
use resnetc_runtime::weights::recipe::Tensors;
use resnetc_runtime::weights::{ParamStore, file};

use crate::device::{Costs, DeviceOptions};
use crate::error::{Error, Result};
use crate::logits::Logits;
use crate::spec::Spec;

/// The weights in a checkpoint of a network, or in a file that has weights alone; with `average` their average, where it holds one.
///
/// # Errors
/// Where the file cannot be read; before it is read, where it is too large to be this network's.
pub fn weights(spec: &Spec, path: impl AsRef<Path>, average: bool) -> Result<ParamStore> {
    let path = path.as_ref();
    let (found, params) = (file::numbers(path)? as u64, spec.expand()?.summary.params);
    // As many statistics at most, two tensors of an optimizer, a sum of gradients, and averages of parameters and statistics.
    let most = params.saturating_mul(7);
    if found > most {
        let reason = format!(
            "it has {found} numbers, network `{}` has {most} at most with all of a training's state: it is of another network",
            spec.name()
        );
        return Err(Error::Runtime(RuntimeError::Checkpoint { path: path.to_owned(), reason }));
    }
    Ok(if average { load_average(path)? } else { load_weights(path)? })
}

/// A network for inference, with weights on a device. It does not change; clones are the same model.
#[derive(Clone)]
pub struct Model {
    inner: Arc<Inner>,
}

struct Inner {
    spec: Spec,
    device: Arc<dyn Device>,
    /// By batch size. Each has the algorithms, and packed weights, of its size.
    programs: Mutex<BTreeMap<usize, (ProgramId, Arc<Plan>)>>,
}

impl Model {
    /// Loads a network's weights into a device of its own; folded where the network is.
    ///
    /// # Errors
    /// Where the spec cannot be compiled, the weights are another network's, or the device fails.
    pub fn new(spec: &Spec, weights: &ParamStore, options: &DeviceOptions) -> Result<Self> {
        let model = Self::empty(spec, options)?;
        let (program, plan) = model.program(1)?;
        load_params(&*model.inner.device, program, &plan, weights)?;
        Ok(model)
    }

    /// The same from wherever the tensors are, which were checked to be this network's and no others.
    pub(crate) fn from_tensors(spec: &Spec, source: &dyn Tensors, options: &DeviceOptions) -> Result<Self> {
        let model = Self::empty(spec, options)?;
        let (program, plan) = model.program(1)?;
        load_tensors(&*model.inner.device, program, &plan, source)?;
        Ok(model)
    }

    fn empty(spec: &Spec, options: &DeviceOptions) -> Result<Self> {
        let (spec, device) = (spec.clone(), options.open(Costs::Measured)?);
        Ok(Model { inner: Arc::new(Inner { spec, device, programs: Mutex::default() }) })
    }

    /// With the weights that the spec's distributions and seed give.
    ///
    /// # Errors
    /// See [`Model::new`].
    pub fn initial(spec: &Spec, options: &DeviceOptions) -> Result<Self> {
        Self::new(spec, &spec.initial_weights(spec.resolved().train.seed)?, options)
    }

    /// With the weights of a checkpoint, or of a file that has weights alone.
    ///
    /// # Errors
    /// Where the file cannot be read; and see [`Model::new`].
    pub fn from_file(spec: &Spec, path: impl AsRef<Path>, options: &DeviceOptions) -> Result<Self> {
        let path = path.as_ref();
        Self::new(spec, &weights(spec, path, has_average(path))?, options)
    }

    /// What the network is.
    pub fn spec(&self) -> &Spec {
        &self.inner.spec
    }

    /// What it runs on: `cpu (avx512, 2 threads)`.
    pub fn describe_device(&self) -> String {
        self.inner.device.describe()
    }

    /// `[channels, height, width]` of an image.
    pub fn image_shape(&self) -> [usize; 3] {
        self.inner.spec.resolved().input.value
    }

    /// The plan for so many images at a time: compiled and loaded when it is asked for first, kept from then on.
    ///
    /// # Errors
    /// Where it cannot be compiled, or there is no memory for it.
    pub fn plan(&self, batch: usize) -> Result<Arc<Plan>> {
        self.program(batch).map(|(_, plan)| plan)
    }

    /// Somebody who runs the model, with an arena and threads of its own. Any number of sessions share the weights and run at
    /// the same time, each on its thread.
    ///
    /// # Errors
    /// Where the machine has no threads or memory left.
    pub fn session(&self) -> Result<Session> {
        let (program, plan) = self.program(1)?;
        let executor = Executor::attached(Arc::clone(&self.inner.device), program, plan)?;
        Ok(Session { model: self.clone(), executor, indices: BTreeMap::from([(1, 0)]) })
    }

    fn program(&self, batch: usize) -> Result<(ProgramId, Arc<Plan>)> {
        // What is in the map is whole, whatever panicked.
        let mut programs = self.inner.programs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((program, plan)) = programs.get(&batch) {
            return Ok((*program, Arc::clone(plan)));
        }
        let plan = self.inner.spec.plan(Mode::Infer, batch, self.inner.device.backend())?;
        let program = self.inner.device.load(Arc::clone(&plan))?;
        programs.insert(batch, (program, Arc::clone(&plan)));
        Ok((program, plan))
    }
}

/// Runs a model's plans, one run after another.
pub struct Session {
    model: Model,
    executor: Executor,
    /// The executor's plans, by batch size.
    indices: BTreeMap<usize, usize>,
}

impl Session {
    /// Whose weights it runs with.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Classifies images, `[n][channels][height][width]`, normalised as in training; as many at once as there are. The model
    /// keeps a plan with packed weights for each `n` that was ever asked for: who has many sizes splits their batches.
    ///
    /// # Errors
    /// Where these are no whole images, or none; the device's.
    pub fn run(&mut self, images: &[f32]) -> Result<Logits> {
        let shape = self.model.image_shape();
        let pixels: usize = shape.iter().product();
        let batch = images.len() / pixels.max(1);
        if batch == 0 || batch * pixels != images.len() {
            let text = format!("{} numbers are no images of {shape:?}", images.len());
            return Err(Error::Runtime(RuntimeError::Incompatible(text)));
        }
        let index = self.open(batch)?;
        self.executor.set_input_nchw(index, images)?;
        self.executor.run(index, &RunArgs::default(), None)?;
        Ok(Logits::new(self.executor.output(index, "logits")?, batch))
    }

    /// The mean answer to several views of the same images, each as [`Session::run`] takes it: the spec's `train.tta` says which views
    /// there are ([`Tta::views`](resnetc_compiler::spec::train::Tta::views)), and what is averaged. Of mean probabilities the logits are
    /// their logarithms, so [`Logits::softmax`] gives the probabilities back.
    ///
    /// # Errors
    /// Where views differ in their number of images, or there are none; and as [`Session::run`].
    pub fn run_views<'v>(&mut self, views: impl IntoIterator<Item = &'v [f32]>) -> Result<Logits> {
        let resolved = self.model.inner.spec.resolved();
        let mut sums = Views::new(resolved.train.tta.mean(), resolved.classes.value);
        let mut images = None;
        for view in views {
            let logits = self.run(view)?;
            if *images.get_or_insert(logits.images()) != logits.images() {
                let text = "views of different numbers of images have no mean".to_owned();
                return Err(Error::Runtime(RuntimeError::Incompatible(text)));
            }
            sums.add(logits.values());
        }
        let none = || Error::Runtime(RuntimeError::Incompatible("no view of an image was given".to_owned()));
        let (images, mut mean) = (images.ok_or_else(none)?, Vec::new());
        sums.take(&mut mean);
        Ok(Logits::new(mean, images))
    }

    /// The executor's index of the plan for a batch size.
    fn open(&mut self, batch: usize) -> Result<usize> {
        if let Some(&index) = self.indices.get(&batch) {
            return Ok(index);
        }
        let (program, plan) = self.model.program(batch)?;
        let index = self.executor.attach(program, plan)?;
        self.indices.insert(batch, index);
        Ok(index)
    }
}
