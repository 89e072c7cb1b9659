//! The oracle: every kernel through plain Candle tensor operations, on any Candle device, in `f32` or `f64`.
//!
//! Clarity over speed. Tensors are kept in the logical order of their shapes (feature maps `[n, c, h, w]`, weights
//! `[cout, cin / groups, kh, kw]`), each value of the arena in a tensor of its own: two buffers that share memory in
//! the plan share none here, so a planning fault shows as a disagreement with the other devices. Reading a value that
//! no step has written is an error. `bf16` values are rounded when they are written, but held, and computed on, in the device's
//! own precision.

#![forbid(unsafe_code)]

mod blur;
mod conv;
mod group_norm;
mod loss;
mod memory;
mod norm;
mod pointwise;
mod pool;
mod product;
mod update;
mod windows;

use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::{DType, Tensor};
use resnetc_compiler::ir::types::DType as Element;
use resnetc_compiler::plan::{BufferId, Kernel, Plan, Slice, Step};

use crate::device::{Device, ProgramId, RunArgs};
use crate::error::{Error, Result};
use crate::random::{Key, factors};
use memory::{Persistent, decode, encode, rounded};

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Error::Device(format!("reference: {error}"))
    }
}

/// What a kernel made: its outputs in order, and new values of inputs it updates in place.
struct Effects {
    outputs: Vec<Tensor>,
    /// Index of the input, its new value.
    updates: Vec<(usize, Tensor)>,
}

impl From<Tensor> for Effects {
    fn from(output: Tensor) -> Self {
        vec![output].into()
    }
}

impl From<Vec<Tensor>> for Effects {
    fn from(outputs: Vec<Tensor>) -> Self {
        Effects { outputs, updates: Vec::new() }
    }
}

/// A plan and the values of its arena.
struct Program {
    plan: Arc<Plan>,
    /// By buffer; `None` until written, and for persistent buffers always.
    values: Vec<Option<Tensor>>,
}

/// Runs plans through Candle's tensor operations.
pub struct ReferenceDevice {
    device: candle_core::Device,
    dtype: DType,
    persistent: Persistent,
    programs: Vec<Program>,
}

impl ReferenceDevice {
    /// A device that holds and computes everything in `dtype`, `F32` or `F64`.
    ///
    /// # Errors
    /// On any other type.
    pub fn new(device: candle_core::Device, dtype: DType) -> Result<Self> {
        if !matches!(dtype, DType::F32 | DType::F64) {
            return Err(Error::Device(format!("the reference computes in f32 or f64, not in {dtype:?}")));
        }
        let persistent = Persistent::new(device.clone(), dtype);
        Ok(ReferenceDevice { device, dtype, persistent, programs: Vec::new() })
    }

    /// On the CPU, in `f32`.
    ///
    /// # Errors
    /// None in practice; see [`ReferenceDevice::new`].
    pub fn cpu() -> Result<Self> {
        Self::new(candle_core::Device::Cpu, DType::F32)
    }

    /// On an NVIDIA GPU, in `f32`.
    ///
    /// # Errors
    /// Without the feature `cuda`, a driver, or a GPU of that number.
    pub fn cuda(ordinal: usize) -> Result<Self> {
        Self::new(candle_core::Device::new_cuda(ordinal)?, DType::F32)
    }

    /// A buffer's value in the device's own precision, in logical order. Indices are of the type `U32`.
    ///
    /// # Errors
    /// When nobody has written it yet.
    pub fn tensor(&self, program: ProgramId, buffer: BufferId) -> Result<Tensor> {
        let program = self.program(program)?;
        let planned = program.plan.buffer(buffer);
        if let Some(value) = self.persistent.get(planned)? {
            return Ok(value);
        }
        let value = match planned.slice {
            None => program.values[buffer.0 as usize].clone(),
            Some(Slice { of, start }) => {
                let whole = &program.values[of.0 as usize];
                let channels = planned.shape.0[1];
                whole.as_ref().map(|whole| whole.narrow(1, start, channels)?.contiguous()).transpose()?
            }
        };
        value
            .ok_or_else(|| Error::Device(format!("reference: {} is read before it is written", planned.name)))
    }

    /// Sets a buffer's value, given in logical order: rounded where the buffer is `bf16`, else without passing through the
    /// buffer's own type.
    ///
    /// # Errors
    /// When the number of elements differs.
    pub fn set_tensor(&mut self, program: ProgramId, buffer: BufferId, value: &Tensor) -> Result<()> {
        let plan = self.program(program)?.plan.clone();
        let planned = plan.buffer(buffer);
        let value = value.reshape(planned.shape.0.as_slice())?.to_device(&self.device)?;
        let value = if value.dtype() == DType::U32 { value } else { value.to_dtype(self.dtype)? };
        let value = if planned.dtype == Element::Bf16 { rounded(&value)? } else { value };
        if !self.persistent.set(planned, &value)? {
            let (to, value) = match planned.slice {
                None => (buffer, value.contiguous()?),
                Some(slice) => (slice.of, self.with_channels(program, slice, &value)?),
            };
            self.programs[program.0].values[to.0 as usize] = Some(value);
        }
        Ok(())
    }

    /// A map after some of its channels have been written; those that nobody has written yet are zeros.
    fn with_channels(&self, program: ProgramId, slice: Slice, value: &Tensor) -> Result<Tensor> {
        let program = self.program(program)?;
        let sizes = program.plan.buffer(slice.of).shape.0.as_slice();
        let whole = match &program.values[slice.of.0 as usize] {
            Some(whole) => whole.clone(),
            None => Tensor::zeros(sizes, value.dtype(), &self.device)?,
        };
        let end = slice.start + value.dim(1)?;
        let ranges = [0..sizes[0], slice.start..end, 0..sizes[2], 0..sizes[3]];
        Ok(whole.slice_assign(&ranges, value)?)
    }

    fn program(&self, id: ProgramId) -> Result<&Program> {
        self.programs.get(id.0).ok_or_else(|| Error::Device(format!("reference: no program {}", id.0)))
    }

    fn step(&mut self, id: ProgramId, step: &Step, args: &RunArgs) -> Result<()> {
        let inputs: Vec<Tensor> = step.inputs.iter().map(|&b| self.tensor(id, b)).collect::<Result<_>>()?;
        let effects = evaluate(&step.kernel, &inputs, args)
            .map_err(|e| Error::Device(format!("reference: step {}: {e}", step.name)))?;
        if effects.outputs.len() != step.outputs.len() {
            return Err(Error::Device(format!(
                "reference: step {} has {} outputs, its kernel makes {}",
                step.name,
                step.outputs.len(),
                effects.outputs.len()
            )));
        }
        for (&buffer, value) in step.outputs.iter().zip(&effects.outputs) {
            self.set_tensor(id, buffer, value)?;
        }
        for (input, value) in &effects.updates {
            self.set_tensor(id, step.inputs[*input], value)?;
        }
        Ok(())
    }
}

impl Device for ReferenceDevice {
    fn describe(&self) -> String {
        format!("reference (candle, {:?}, {})", self.device.location(), self.dtype.as_str())
    }

    fn load(&mut self, plan: Arc<Plan>) -> Result<ProgramId> {
        self.persistent.grow(&plan)?;
        self.programs.push(Program { values: vec![None; plan.buffers.len()], plan });
        Ok(ProgramId(self.programs.len() - 1))
    }

    fn write(&mut self, program: ProgramId, buffer: BufferId, bytes: &[u8]) -> Result<()> {
        let plan = self.program(program)?.plan.clone();
        let value = decode(plan.buffer(buffer), bytes, self.dtype, &self.device)?;
        self.set_tensor(program, buffer, &value)
    }

    fn read(&self, program: ProgramId, buffer: BufferId, bytes: &mut [u8]) -> Result<()> {
        encode(self.program(program)?.plan.buffer(buffer), &self.tensor(program, buffer)?, bytes)
    }

    fn write_velocity(&mut self, program: ProgramId, param: BufferId, bytes: &[u8]) -> Result<()> {
        let plan = self.program(program)?.plan.clone();
        let velocity = memory::velocity_of(plan.buffer(param))?;
        let value = decode(&velocity, bytes, self.dtype, &self.device)?;
        self.persistent.set(&velocity, &value).map(|_| ())
    }

    fn read_velocity(&self, program: ProgramId, param: BufferId, bytes: &mut [u8]) -> Result<()> {
        let velocity = memory::velocity_of(self.program(program)?.plan.buffer(param))?;
        let value = self.persistent.get(&velocity)?.expect("the velocity is persistent");
        encode(&velocity, &value, bytes)
    }

    fn run(&mut self, program: ProgramId, args: &RunArgs, times: Option<&mut [Duration]>) -> Result<()> {
        let plan = self.program(program)?.plan.clone();
        let mut times = times;
        for (i, step) in plan.steps.iter().enumerate() {
            let start = Instant::now();
            self.step(program, step, args)?;
            if let Some(time) = times.as_deref_mut().and_then(|t| t.get_mut(i)) {
                *time += start.elapsed();
            }
        }
        Ok(())
    }
}

/// Computes one kernel. `inputs` are in logical order; so are the results, up to a reshape.
fn evaluate(kernel: &Kernel, inputs: &[Tensor], args: &RunArgs) -> candle_core::Result<Effects> {
    match *kernel {
        Kernel::Conv { geometry, bias, epilogue } => conv::forward(&geometry, bias, epilogue, inputs),
        Kernel::ConvBackwardData { geometry, residual } => conv::backward_data(&geometry, residual, inputs),
        Kernel::ConvBackwardFilter { geometry } => conv::backward_filter(&geometry, inputs),
        Kernel::ChannelSum { rows, channels } => norm::channel_sum(rows, channels, inputs),
        Kernel::BnStats { rows, channels, eps, momentum } => {
            norm::statistics(rows, channels, eps, momentum, inputs)
        }
        Kernel::BnApply { rows, channels, epilogue } => norm::apply(rows, channels, epilogue, inputs),
        Kernel::BnBackwardReduce { rows, channels, epilogue } => {
            norm::backward_reduce(rows, channels, epilogue, inputs)
        }
        Kernel::BnBackwardApply { rows, channels, epilogue } => {
            norm::backward_apply(rows, channels, epilogue, inputs)
        }
        Kernel::GroupStats { geometry, eps } => group_norm::statistics(&geometry, eps, inputs),
        Kernel::GroupApply { geometry, epilogue } => group_norm::apply(&geometry, epilogue, inputs),
        Kernel::GroupBackwardReduce { geometry, act } => group_norm::backward_reduce(&geometry, act, inputs),
        Kernel::GroupBackwardApply { geometry, epilogue } => {
            group_norm::backward_apply(&geometry, epilogue, inputs)
        }
        Kernel::Affine { rows, channels, epilogue } => norm::affine(rows, channels, epilogue, inputs),
        Kernel::Activate { len: _, act } => Ok(pointwise::activate(act, &inputs[0])?.into()),
        Kernel::ActivateBackward { len: _, act } => {
            Ok(pointwise::activate_backward(act, &inputs[0], &inputs[1])?.into())
        }
        Kernel::Add { len: _, act } => pointwise::add(act, inputs),
        Kernel::Mul { images, pixels, channels, gate, epilogue } => {
            product::mul([images, channels, pixels], gate, epilogue, inputs)
        }
        Kernel::MulBackward { images, pixels, channels, gate, epilogue } => {
            product::mul_backward([images, channels, pixels], gate, epilogue, inputs)
        }
        Kernel::Drop { geometry, part, rate, stream } => {
            pointwise::drop(&geometry, &factors(&geometry, part, rate, Key::new(args, stream)), inputs)
        }
        Kernel::ScaleShift { len: _, scale, shift } => {
            Ok(inputs[0].affine(f64::from(scale), f64::from(shift))?.into())
        }
        Kernel::MaxPool { geometry, positions } => pool::max(&geometry, positions, inputs),
        Kernel::MaxPoolBackward { geometry } => pool::max_backward(&geometry, inputs),
        Kernel::AvgPool { geometry } => pool::avg(&geometry, inputs),
        Kernel::AvgPoolBackward { geometry } => pool::avg_backward(&geometry, inputs),
        Kernel::GlobalAvgPool { images, pixels, channels } => {
            pool::global_avg(images, pixels, channels, inputs)
        }
        Kernel::GlobalAvgPoolBackward { images, pixels, channels } => {
            pool::global_avg_backward(images, pixels, channels, inputs)
        }
        Kernel::GlobalMaxPool { images, pixels, channels, positions } => {
            pool::global_max(images, pixels, channels, positions, inputs)
        }
        Kernel::GlobalMaxPoolBackward { images, pixels, channels } => {
            pool::global_max_backward(images, pixels, channels, inputs)
        }
        Kernel::BlurPool(geometry) => blur::forward(&geometry, inputs),
        Kernel::BlurPoolBackward(geometry) => blur::backward(&geometry, inputs),
        Kernel::Concat { rows, ref channels } => pointwise::concat(rows, channels, inputs),
        Kernel::ChannelSlice { rows, channels, start, taken } => {
            pointwise::channel_slice(rows, channels, start, taken, inputs)
        }
        Kernel::PadShortcut(geometry) => pointwise::pad_shortcut(&geometry, inputs),
        Kernel::PadShortcutBackward(geometry) => pointwise::pad_shortcut_backward(&geometry, inputs),
        Kernel::Softmax { rows, classes } => loss::softmax_kernel(rows, classes, inputs),
        Kernel::CrossEntropy { rows, classes, smoothing } => loss::forward(rows, classes, smoothing, inputs),
        Kernel::CrossEntropyBackward { rows, classes, smoothing } => {
            loss::backward(rows, classes, smoothing, inputs)
        }
        Kernel::SgdUpdate { len: _, sgd } => update::sgd(&sgd, args, inputs),
    }
}
