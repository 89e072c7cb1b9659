//! The executor: plans of one network on one device, with weights, inputs and results in logical terms.

use std::sync::Arc;
use std::time::Duration;

use resnetc_compiler::ir::op::Recipe;
use resnetc_compiler::ir::types::{DType, Layout};
use resnetc_compiler::plan::{Buffer, BufferId, Plan, Slot};

use crate::device::{Choice, Device, ProgramId};
use crate::error::{Error, Result};
use crate::weights::{ParamStore, layout, recipe};

/// What changes from run to run: the executor writes what the plan reads of it into memory.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RunArgs {
    /// Learning rate of this step.
    pub lr: f32,
    /// Of the training: with the step, what its random operators draw from (see [`crate::random`]).
    pub seed: u64,
    /// Number of the update from the training's start; the first one sets SGD's velocity to the gradient.
    pub step: u64,
}

impl RunArgs {
    /// Writes what the plan reads of it.
    ///
    /// # Errors
    /// Those of the device.
    pub fn write(&self, device: &mut dyn Device, program: ProgramId, plan: &Plan) -> Result<()> {
        let controls = plan.controls;
        let written = [
            (controls.rate, &self.lr.to_ne_bytes()[..]),
            (controls.step, &self.step.to_ne_bytes()[..]),
            (controls.seed, &self.seed.to_ne_bytes()[..]),
        ];
        let mut present = written.into_iter().filter_map(|(buffer, bytes)| Some((buffer?, bytes)));
        present.try_for_each(|(buffer, bytes)| device.write(program, buffer, bytes))
    }
}

/// A device with the plans loaded into it. All plans are of one network: they share parameters, statistics and
/// velocities, and differ in the batch.
pub struct Executor {
    device: Box<dyn Device>,
    programs: Vec<(ProgramId, Arc<Plan>)>,
}

impl Executor {
    /// An executor with its first plan.
    pub fn new(mut device: Box<dyn Device>, plan: Arc<Plan>) -> Result<Self> {
        let program = device.load(Arc::clone(&plan))?;
        Ok(Executor { device, programs: vec![(program, plan)] })
    }

    /// Adds a plan for another batch size; returns its index. The first plan's index is 0.
    pub fn add(&mut self, plan: Arc<Plan>) -> Result<usize> {
        check_persistent(self.plan(0), &plan)?;
        let program = self.device.load(Arc::clone(&plan))?;
        self.programs.push((program, plan));
        Ok(self.programs.len() - 1)
    }

    /// The plan of an index.
    pub fn plan(&self, index: usize) -> &Plan {
        &self.programs[index].1
    }

    /// What the device is, for reports.
    pub fn describe(&self) -> String {
        self.device.describe()
    }

    /// How the device computes a step of a plan, where it has several ways.
    pub fn choice(&self, index: usize, step: usize) -> Option<Choice> {
        self.device.choice(self.programs[index].0, step)
    }

    /// Sets all parameters and running statistics; tensors that the network does not have are refused.
    pub fn load_params(&mut self, store: &ParamStore) -> Result<()> {
        let (program, plan) = self.first();
        store.check_names(&plan)?;
        for slot in &plan.slots {
            let values = recipe::evaluate(&plan, slot, store)?;
            let bytes = layout::encode(plan.buffer(slot.buffer), &values)?;
            self.device.write(program, slot.buffer, &bytes)?;
        }
        Ok(())
    }

    /// All parameters and running statistics. Of an inference plan with folded tensors there is no way back.
    pub fn store_params(&self) -> Result<ParamStore> {
        let (program, plan) = self.first();
        if let Some(slot) = plan.slots.iter().find(|slot| slot.recipe != Recipe::Own) {
            let name = &plan.buffer(slot.buffer).name;
            return Err(Error::Incompatible(format!("`{name}` is folded: its parts cannot be read back")));
        }
        collect(&plan, plan.slots.iter(), |slot, bytes| self.device.read(program, slot.buffer, bytes))
    }

    /// Sets the optimizer's state of every trained parameter; names as [`Executor::store_optimizer`] gives them.
    pub fn load_optimizer(&mut self, store: &ParamStore) -> Result<()> {
        let (program, plan) = self.first();
        for slot in &plan.slots {
            for (index, (name, buffer)) in (0..).zip(plan.optimizer_tensors(slot)) {
                let name = format!("{name}.{}", buffer.name);
                let bytes = layout::encode(&buffer, store.expect(&name, &buffer.shape)?)?;
                self.device.write_optimizer(program, slot.buffer, index, &bytes)?;
            }
        }
        Ok(())
    }

    /// The optimizer's state: `<tensor>.<parameter>`, as in `velocity.stem.conv1.weight`.
    pub fn store_optimizer(&self) -> Result<ParamStore> {
        let (program, plan) = self.first();
        let mut store = ParamStore::new();
        for slot in &plan.slots {
            for (index, (name, buffer)) in (0..).zip(plan.optimizer_tensors(slot)) {
                let mut bytes = vec![0; buffer.bytes];
                self.device.read_optimizer(program, slot.buffer, index, &mut bytes)?;
                let name = format!("{name}.{}", buffer.name);
                store.insert(name, buffer.shape.clone(), layout::decode(&buffer, &bytes)?);
            }
        }
        Ok(store)
    }

    /// Sets the images, `[n][h][w][c]` as training data is stored.
    pub fn set_input_nhwc(&mut self, index: usize, images: &[f32]) -> Result<()> {
        let (program, plan) = &self.programs[index];
        let buffer = plan.buffer(plan.input);
        check_len(buffer, images.len())?;
        if (buffer.layout, buffer.dtype) == (Layout::Nhwc, DType::F32) {
            return self.device.write(*program, plan.input, bytemuck::cast_slice(images));
        }
        let logical = layout::load(&buffer.shape, Layout::Nhwc, images);
        self.device.write(*program, plan.input, &layout::encode(buffer, &logical)?)
    }

    /// Sets the images, `[n][c][h][w]` as other programs store them.
    pub fn set_input_nchw(&mut self, index: usize, images: &[f32]) -> Result<()> {
        let (program, plan) = &self.programs[index];
        let bytes = layout::encode(plan.buffer(plan.input), images)?;
        self.device.write(*program, plan.input, &bytes)
    }

    /// Sets the images' classes; training plans only.
    pub fn set_labels(&mut self, index: usize, labels: &[u32]) -> Result<()> {
        let (program, plan) = &self.programs[index];
        let Some(buffer) = plan.labels else {
            return Err(Error::Incompatible(format!("the plan of `{}` takes no labels", plan.name)));
        };
        check_len(plan.buffer(buffer), labels.len())?;
        if let Some(label) = labels.iter().find(|&&label| label as usize >= classes(plan)) {
            return Err(Error::Incompatible(format!(
                "label {label} with {} classes of `{}`",
                classes(plan),
                plan.name
            )));
        }
        self.device.write(*program, buffer, bytemuck::cast_slice(labels))
    }

    /// Runs a plan once. With `times`, adds each step's time to its element.
    pub fn run(&mut self, index: usize, args: &RunArgs, times: Option<&mut [Duration]>) -> Result<()> {
        let (program, plan) = &self.programs[index];
        args.write(&mut *self.device, *program, plan)?;
        self.device.run(*program, times)
    }

    /// A named result of a plan's last run, in logical row-major order.
    pub fn output(&self, index: usize, name: &str) -> Result<Vec<f32>> {
        let (program, buffer) = self.output_buffer(index, name)?;
        let mut bytes = vec![0; buffer.1.bytes];
        self.device.read(program, buffer.0, &mut bytes)?;
        layout::decode(buffer.1, &bytes)
    }

    /// A named scalar (`loss`, `correct`) of a plan's last run.
    pub fn scalar(&self, index: usize, name: &str) -> Result<f32> {
        let (program, (id, buffer)) = self.output_buffer(index, name)?;
        if (buffer.bytes, buffer.dtype) != (4, DType::F32) {
            return Err(Error::Incompatible(format!("`{name}` is no scalar but of shape {}", buffer.shape)));
        }
        let mut bytes = [0; 4];
        self.device.read(program, id, &mut bytes)?;
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

    fn first(&self) -> (ProgramId, Arc<Plan>) {
        let (program, plan) = &self.programs[0];
        (*program, Arc::clone(plan))
    }
}

/// Reads the slots' buffers into a store.
fn collect<'p>(
    plan: &'p Plan,
    slots: impl Iterator<Item = &'p Slot>,
    read: impl Fn(&Slot, &mut [u8]) -> Result<()>,
) -> Result<ParamStore> {
    let mut store = ParamStore::new();
    for slot in slots {
        let buffer = plan.buffer(slot.buffer);
        let mut bytes = vec![0; buffer.bytes];
        read(slot, &mut bytes)?;
        store.insert(&buffer.name, buffer.shape.clone(), layout::decode(buffer, &bytes)?);
    }
    Ok(store)
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
    let regions = |plan: &Plan| (plan.sizes.params, plan.sizes.state);
    let same_slot = |(a, b): (&Slot, &Slot)| {
        let place = |plan: &Plan, slot: &Slot| {
            let Buffer { name, shape, dtype, layout, region, offset, .. } = plan.buffer(slot.buffer);
            (name.clone(), shape.clone(), *dtype, *layout, *region, *offset)
        };
        place(first, a) == place(other, b) && a.recipe == b.recipe
    };
    let agree = regions(first) == regions(other)
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
