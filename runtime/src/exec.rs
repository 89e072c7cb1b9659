//! The executor: plans of one network on one device, with weights, inputs and results in logical terms.

mod params;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use resnetc_compiler::ir::types::{DType, Layout};
use resnetc_compiler::plan::{Buffer, BufferId, Plan, Slot};

use crate::data::batch::{Batch, Form, Preparation};
use crate::device::{Choice, Device, Inputs, ProgramId, Session, Until};
use crate::error::{Error, Result};
use crate::weights::layout;

pub use params::{load_params, load_tensors};

/// What changes from run to run: the executor writes what the plan reads of it into memory.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RunArgs {
    /// Learning rate of this step.
    pub lr: f32,
    /// Of the training: with the step, what its random operators draw from (see [`crate::random`]).
    pub seed: u64,
    /// Number of the step from the training's start. Where each step updates, the first one sets SGD's velocity to the gradient.
    pub step: u64,
    /// Number of the update from the training's start, where several steps make one.
    pub update: u64,
    /// There, the share of the batch's images among those of the update.
    pub share: f32,
    /// What an average of the weights keeps of itself, where there is one; 1 leaves it as it is.
    pub decay: f32,
}

impl RunArgs {
    /// Writes what the plan reads of it.
    ///
    /// # Errors
    /// Those of the device.
    pub fn write(&self, session: &mut dyn Session, program: ProgramId, plan: &Plan) -> Result<()> {
        self.bytes().inputs(plan).try_for_each(|(buffer, bytes)| session.write(program, buffer, bytes))
    }

    fn bytes(&self) -> ControlBytes {
        let RunArgs { lr, seed, step, update, share, decay } = self;
        ControlBytes {
            rate: lr.to_ne_bytes(),
            step: step.to_ne_bytes(),
            seed: seed.to_ne_bytes(),
            update: update.to_ne_bytes(),
            share: share.to_ne_bytes(),
            decay: decay.to_ne_bytes(),
        }
    }
}

/// [`RunArgs`] as they lie in memory.
struct ControlBytes {
    rate: [u8; 4],
    step: [u8; 8],
    seed: [u8; 8],
    update: [u8; 8],
    share: [u8; 4],
    decay: [u8; 4],
}

impl ControlBytes {
    /// Those that a plan reads, with their buffers.
    fn inputs<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = (BufferId, &'a [u8])> {
        let controls = plan.controls;
        let all = [
            (controls.rate, &self.rate[..]),
            (controls.step, &self.step[..]),
            (controls.seed, &self.seed[..]),
            (controls.update, &self.update[..]),
            (controls.share, &self.share[..]),
            (controls.decay, &self.decay[..]),
            (controls.class_weights, bytemuck::cast_slice(&plan.class_weights)),
        ];
        all.into_iter().filter_map(|(buffer, bytes)| Some((buffer?, bytes)))
    }
}

/// What a training step tells of itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepResult {
    /// Mean loss of its images.
    pub loss: f32,
    /// How many of them were classified right.
    pub correct: f32,
}

impl StepResult {
    /// Those of trainings' steps, from what [`Executor::collect`] gives.
    pub fn all(kept: &[f32]) -> impl Iterator<Item = StepResult> + '_ {
        kept.chunks_exact(2).map(|kept| StepResult { loss: kept[0], correct: kept[1] })
    }
}

/// A session with the plans that it runs. All plans are of one network: they share parameters, statistics and the optimizer's
/// state, and differ in the batch.
pub struct Executor {
    device: Arc<dyn Device>,
    session: Box<dyn Session>,
    programs: Vec<(ProgramId, Arc<Plan>)>,
    /// Scalars of collected runs, to be handed on.
    kept: Vec<f32>,
}

impl Executor {
    /// An executor with its first plan.
    ///
    /// # Errors
    /// Where the device refuses the plan, or has no memory for it.
    pub fn new(device: Arc<dyn Device>, plan: Arc<Plan>) -> Result<Self> {
        let program = device.load(Arc::clone(&plan))?;
        Self::attached(device, program, plan)
    }

    /// An executor of a plan that the device has already.
    ///
    /// # Errors
    /// Where there is no memory for it.
    pub fn attached(device: Arc<dyn Device>, program: ProgramId, plan: Arc<Plan>) -> Result<Self> {
        let session = Arc::clone(&device).session()?;
        let mut executor = Executor { device, session, programs: Vec::new(), kept: Vec::new() };
        executor.attach(program, plan)?;
        Ok(executor)
    }

    /// Adds a plan for another batch size; returns its index. The first plan's index is 0.
    ///
    /// # Errors
    /// Where its persistent tensors are others.
    pub fn add(&mut self, plan: Arc<Plan>) -> Result<usize> {
        check_persistent(self.plan(0), &plan)?;
        let program = self.device.load(Arc::clone(&plan))?;
        self.attach(program, plan)
    }

    /// Adds a plan that the device has already; returns its index.
    ///
    /// # Errors
    /// Where there is no memory for it.
    pub fn attach(&mut self, program: ProgramId, plan: Arc<Plan>) -> Result<usize> {
        self.session.open(program)?;
        self.programs.push((program, plan));
        Ok(self.programs.len() - 1)
    }

    /// The plan of an index.
    pub fn plan(&self, index: usize) -> &Plan {
        &self.programs[index].1
    }

    /// Where the weights are: other executors may share them.
    pub fn device(&self) -> Arc<dyn Device> {
        Arc::clone(&self.device)
    }

    /// Width of the logits.
    pub fn classes(&self) -> usize {
        classes(self.plan(0))
    }

    /// What the device is, for reports.
    pub fn describe(&self) -> String {
        self.device.describe()
    }

    /// How the device computes a step of a plan, where it has several ways.
    pub fn choice(&self, index: usize, step: usize) -> Option<Choice> {
        self.device.choice(self.programs[index].0, step)
    }

    /// Sets the images, `[n][h][w][c]` as training data is stored.
    ///
    /// # Errors
    /// Where they are more or fewer than the plan's batch.
    pub fn set_input_nhwc(&mut self, index: usize, images: &[f32]) -> Result<()> {
        let (program, plan) = &self.programs[index];
        self.session.write(*program, plan.input, &image_bytes(plan, images)?)
    }

    /// Sets the images, `[n][c][h][w]` as other programs store them.
    pub fn set_input_nchw(&mut self, index: usize, images: &[f32]) -> Result<()> {
        let (program, plan) = &self.programs[index];
        let bytes = layout::encode(plan.buffer(plan.input), images)?;
        self.session.write(*program, plan.input, &bytes)
    }

    /// Sets the images' classes; training plans only.
    pub fn set_labels(&mut self, index: usize, labels: &[u32]) -> Result<()> {
        let (program, plan) = &self.programs[index];
        let buffer = label_buffer(plan, plan.labels, labels)?;
        self.session.write(*program, buffer, bytemuck::cast_slice(labels))?;
        if let Some([others, shares]) = plan.partners {
            // Unmixed: each image is its own partner.
            self.session.write(*program, others, bytemuck::cast_slice(labels))?;
            self.session.write(*program, shares, bytemuck::cast_slice(&vec![1.0f32; labels.len()]))?;
        }
        if let Some(teacher) = plan.teacher {
            // Untaught: all classes are alike.
            self.session.write(*program, teacher, &vec![0; plan.buffer(teacher).bytes])?;
        }
        Ok(())
    }

    /// Runs a plan once. With `times`, adds each step's time to its element.
    pub fn run(&mut self, index: usize, args: &RunArgs, times: Option<&mut [Duration]>) -> Result<()> {
        let (program, plan) = &self.programs[index];
        args.write(&mut *self.session, *program, plan)?;
        self.session.run(*program, times)
    }

    /// Asks whether the device makes images of a source's pictures itself: what batches have to bring.
    ///
    /// # Errors
    /// The device's.
    pub fn prepare_images(&mut self, preparation: &Preparation<'_>) -> Result<Form> {
        let all: Vec<usize> = (0..self.programs.len()).collect();
        self.prepare_images_of(&all, preparation)
    }

    /// The same for some of the plans, by their indices; others keep what was said of them.
    ///
    /// # Errors
    /// The device's.
    pub fn prepare_images_of(&mut self, plans: &[usize], preparation: &Preparation<'_>) -> Result<Form> {
        let programs: Vec<ProgramId> = plans.iter().map(|&index| self.programs[index].0).collect();
        self.session.prepare_images(&programs, preparation)
    }

    /// Hands a batch and the run on it over, which may still be under way when this returns. What is kept for
    /// [`Executor::collect`] is loss and hits of a training, the logits of an inference.
    ///
    /// # Errors
    /// Where images or labels do not fit the plan; the device's.
    pub fn submit(&mut self, index: usize, batch: &Batch, form: Form, args: &RunArgs) -> Result<()> {
        let (program, plan) = &self.programs[index];
        let (mut buffers, controls): (Vec<(BufferId, &[u8])>, _) = (Vec::new(), args.bytes());
        let images;
        if form == Form::Floats {
            images = image_bytes(plan, &batch.images)?;
            buffers.push((plan.input, &*images));
        } else if batch.pictures.indices.len() != plan.batch {
            return Err(wrong_count(plan, batch.pictures.indices.len()));
        }
        if plan.labels.is_some() {
            let buffer = label_buffer(plan, plan.labels, &batch.labels)?;
            buffers.push((buffer, bytemuck::cast_slice(&batch.labels)));
        }
        if let Some([others, shares]) = plan.partners {
            let others = label_buffer(plan, Some(others), &batch.partners.labels)?;
            check_len(plan.buffer(shares), batch.partners.shares.len())?;
            buffers.push((others, bytemuck::cast_slice(&batch.partners.labels)));
            buffers.push((shares, bytemuck::cast_slice(&batch.partners.shares)));
        }
        if let Some(teacher) = plan.teacher {
            check_len(plan.buffer(teacher), batch.teacher.len())?;
            buffers.push((teacher, bytemuck::cast_slice(&batch.teacher)));
        }
        buffers.extend(controls.inputs(plan));
        let pictures = (form != Form::Floats).then_some(&batch.pictures);
        let keep = results(plan).iter().map(|name| Ok(self.output_buffer(index, name)?.1.0));
        let keep = keep.collect::<Result<Vec<BufferId>>>()?;
        self.session.submit(*program, &Inputs { buffers: &buffers, pictures }, &keep)
    }

    /// Waits for submitted runs: what they kept, one behind the other, in the order in which they were submitted.
    ///
    /// # Errors
    /// The device's.
    pub fn collect(&mut self, until: Until) -> Result<&[f32]> {
        self.kept.clear();
        self.session.collect(until, &mut self.kept)?;
        Ok(&self.kept)
    }

    /// Runs that the device gains by having submitted before the first is collected.
    pub fn depth(&self) -> usize {
        self.session.depth()
    }

    /// A named result of a plan's last run, in logical row-major order.
    pub fn output(&self, index: usize, name: &str) -> Result<Vec<f32>> {
        let (program, buffer) = self.output_buffer(index, name)?;
        let mut bytes = vec![0; buffer.1.bytes];
        self.session.read(program, buffer.0, &mut bytes)?;
        layout::decode(buffer.1, &bytes)
    }

    /// A named scalar (`loss`, `correct`) of a plan's last run.
    pub fn scalar(&self, index: usize, name: &str) -> Result<f32> {
        let (program, (id, buffer)) = self.output_buffer(index, name)?;
        if (buffer.bytes, buffer.dtype) != (4, DType::F32) {
            return Err(Error::Incompatible(format!("`{name}` is no scalar but of shape {}", buffer.shape)));
        }
        let mut bytes = [0; 4];
        self.session.read(program, id, &mut bytes)?;
        Ok(f32::from_ne_bytes(bytes))
    }

    fn output_buffer(&self, index: usize, name: &str) -> Result<(ProgramId, (BufferId, &Buffer))> {
        let (program, plan) = &self.programs[index];
        let id = plan.output(name).ok_or_else(|| {
            let names: Vec<&str> = plan.outputs.iter().map(|(name, _)| name.as_str()).collect();
            Error::Incompatible(format!("no result `{name}`; there are {}", names.join(", ")))
        })?;
        Ok((*program, (id, plan.buffer(id))))
    }

    /// The first plan, whose persistent tensors are all plans'.
    fn first(&self) -> (ProgramId, Arc<Plan>) {
        let (program, plan) = &self.programs[0];
        (*program, Arc::clone(plan))
    }
}

/// What is kept of a submitted run.
fn results(plan: &Plan) -> &'static [&'static str] {
    if plan.labels.is_some() { &["loss", "correct"] } else { &["logits"] }
}

fn wrong_count(plan: &Plan, images: usize) -> Error {
    Error::Incompatible(format!("the plan of `{}` takes {} images, not {images}", plan.name, plan.batch))
}

/// Images `[n][h][w][c]` as the plan's input has them.
fn image_bytes<'i>(plan: &Plan, images: &'i [f32]) -> Result<Cow<'i, [u8]>> {
    let buffer = plan.buffer(plan.input);
    check_len(buffer, images.len())?;
    if (buffer.layout, buffer.dtype) == (Layout::Nhwc, DType::F32) {
        return Ok(Cow::Borrowed(bytemuck::cast_slice(images)));
    }
    let logical = layout::load(&buffer.shape, Layout::Nhwc, images);
    layout::encode(buffer, &logical).map(Cow::Owned)
}

/// Where a plan takes labels, which have to fit it.
fn label_buffer(plan: &Plan, buffer: Option<BufferId>, labels: &[u32]) -> Result<BufferId> {
    let Some(buffer) = buffer else {
        return Err(Error::Incompatible(format!("the plan of `{}` takes no labels", plan.name)));
    };
    check_len(plan.buffer(buffer), labels.len())?;
    match labels.iter().find(|&&label| label as usize >= classes(plan)) {
        None => Ok(buffer),
        Some(label) => {
            let (classes, name) = (classes(plan), &plan.name);
            Err(Error::Incompatible(format!("label {label} with {classes} classes of `{name}`")))
        }
    }
}

/// Number of classes: the width of the logits.
fn classes(plan: &Plan) -> usize {
    let logits = plan.output("logits").map(|id| plan.buffer(id));
    logits.and_then(|buffer| buffer.shape.0.last().copied()).unwrap_or(usize::MAX)
}

fn check_len(buffer: &Buffer, len: usize) -> Result<()> {
    match buffer.shape.numel() {
        Some(numel) if numel == len => Ok(()),
        _ => Err(Error::Incompatible(format!(
            "`{}` has shape {}, which {len} elements do not fill",
            buffer.name, buffer.shape
        ))),
    }
}

/// Plans on one device must agree on everything that outlives a run.
fn check_persistent(first: &Plan, other: &Plan) -> Result<()> {
    let regions = |plan: &Plan| (plan.sizes.params, plan.sizes.frozen, plan.sizes.state);
    let same_slot = |(a, b): (&Slot, &Slot)| {
        let place = |plan: &Plan, slot: &Slot| {
            let Buffer { name, shape, dtype, layout, region, offset, .. } = plan.buffer(slot.buffer);
            (name.clone(), shape.clone(), *dtype, *layout, *region, *offset)
        };
        place(first, a) == place(other, b) && a.recipe == b.recipe
    };
    let agree = regions(first) == regions(other)
        && first.shards == other.shards
        && first.slots.len() == other.slots.len()
        && first.slots.iter().zip(&other.slots).all(same_slot);
    match agree {
        true => Ok(()),
        false => Err(Error::Incompatible(format!(
            "the plans of `{}` and `{}` differ in their persistent tensors, so they cannot share a device",
            first.name, other.name
        ))),
    }
}
