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
use resnetc_compiler::backend::Backend;
use resnetc_compiler::ir::types::DType as Element;
use resnetc_compiler::plan::{BufferId, Kernel, Plan, Slice, Step};

use crate::device::{Device, ProgramId};
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

    /// A buffer's value in the device's own precision, in logical order. Indices are of the type `U32`, counters of `I64`.
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
        let is_whole = matches!(value.dtype(), DType::U32 | DType::I64);
        let value = if is_whole { value } else { value.to_dtype(self.dtype)? };
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

    fn step(&mut self, id: ProgramId, step: &Step) -> Result<()> {
        let inputs: Vec<Tensor> = step.inputs.iter().map(|&b| self.tensor(id, b)).collect::<Result<_>>()?;
        let effects = evaluate(&step.kernel, &inputs)
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

    /// It runs the plans of every backend.
    fn backend(&self) -> Backend {
        Backend::REFERENCE
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

    fn write_optimizer(
        &mut self,
        program: ProgramId,
        param: BufferId,
        tensor: u8,
        bytes: &[u8],
    ) -> Result<()> {
        let buffer = memory::optimizer_of(&self.program(program)?.plan, param, tensor)?;
        let value = decode(&buffer, bytes, self.dtype, &self.device)?;
        self.persistent.set(&buffer, &value).map(|_| ())
    }

    fn read_optimizer(
        &self,
        program: ProgramId,
        param: BufferId,
        tensor: u8,
        bytes: &mut [u8],
    ) -> Result<()> {
        let buffer = memory::optimizer_of(&self.program(program)?.plan, param, tensor)?;
        let value = self.persistent.get(&buffer)?.expect("the optimizer's state is persistent");
        encode(&buffer, &value, bytes)
    }

    fn run(&mut self, program: ProgramId, times: Option<&mut [Duration]>) -> Result<()> {
        let plan = self.program(program)?.plan.clone();
        let mut times = times;
        for (i, step) in plan.steps.iter().enumerate() {
            let start = Instant::now();
            self.step(program, step)?;
            if let Some(time) = times.as_deref_mut().and_then(|t| t.get_mut(i)) {
                *time += start.elapsed();
            }
        }
        Ok(())
    }
}

/// Computes one kernel. `inputs` are in logical order; so are the results, up to a reshape.
fn evaluate(kernel: &Kernel, inputs: &[Tensor]) -> candle_core::Result<Effects> {
    match kernel {
        Kernel::Conv(k) => conv::forward(&k.geometry, k.bias, k.epilogue, inputs),
        Kernel::ConvBackwardData(k) => conv::backward_data(&k.geometry, k.residual, inputs),
        Kernel::ConvBackwardFilter(k) => conv::backward_filter(&k.geometry, inputs),
        Kernel::ChannelSum(k) => norm::channel_sum(k.rows, k.channels, inputs),
        Kernel::BnStats(k) => norm::statistics(k.rows, k.channels, k.eps, k.momentum, inputs),
        Kernel::BnApply(k) => norm::apply(k.rows, k.channels, k.epilogue, inputs),
        Kernel::BnBackwardReduce(k) => norm::backward_reduce(k.rows, k.channels, k.epilogue, inputs),
        Kernel::BnBackwardApply(k) => norm::backward_apply(k.rows, k.channels, k.epilogue, inputs),
        Kernel::GroupStats(k) => group_norm::statistics(&k.geometry, k.eps, inputs),
        Kernel::GroupApply(k) => group_norm::apply(&k.geometry, k.epilogue, inputs),
        Kernel::GroupBackwardReduce(k) => group_norm::backward_reduce(&k.geometry, k.act, inputs),
        Kernel::GroupBackwardApply(k) => group_norm::backward_apply(&k.geometry, k.epilogue, inputs),
        Kernel::Affine(k) => norm::affine(k.rows, k.channels, k.epilogue, inputs),
        Kernel::Activate(k) => Ok(pointwise::activate(k.act, &inputs[0])?.into()),
        Kernel::ActivateBackward(k) => {
            Ok(pointwise::activate_backward(k.act, &inputs[0], &inputs[1])?.into())
        }
        Kernel::Add(k) => pointwise::add(k.act, inputs),
        Kernel::Mul(k) => product::mul([k.images, k.channels, k.pixels], k.gate, k.epilogue, inputs),
        Kernel::MulBackward(k) => {
            product::mul_backward([k.images, k.channels, k.pixels], k.gate, k.epilogue, inputs)
        }
        Kernel::Drop(k) => {
            let key = Key::new(whole(&inputs[1])?, whole(&inputs[2])?, k.stream);
            pointwise::drop(&k.geometry, &factors(&k.geometry, k.part, k.rate, key), inputs)
        }
        Kernel::ScaleShift(k) => Ok(inputs[0].affine(f64::from(k.scale), f64::from(k.shift))?.into()),
        Kernel::MaxPool(k) => pool::max(&k.geometry, k.positions, inputs),
        Kernel::MaxPoolBackward(k) => pool::max_backward(&k.geometry, inputs),
        Kernel::AvgPool(k) => pool::avg(&k.geometry, inputs),
        Kernel::AvgPoolBackward(k) => pool::avg_backward(&k.geometry, inputs),
        Kernel::GlobalAvgPool(k) => pool::global_avg(k.images, k.pixels, k.channels, inputs),
        Kernel::GlobalAvgPoolBackward(k) => pool::global_avg_backward(k.images, k.pixels, k.channels, inputs),
        Kernel::GlobalMaxPool(k) => pool::global_max(k.images, k.pixels, k.channels, k.positions, inputs),
        Kernel::GlobalMaxPoolBackward(k) => pool::global_max_backward(k.images, k.pixels, k.channels, inputs),
        Kernel::BlurPool(k) => blur::forward(&k.geometry, inputs),
        Kernel::BlurPoolBackward(k) => blur::backward(&k.geometry, inputs),
        Kernel::Concat(k) => pointwise::concat(k.rows, &k.channels, inputs),
        Kernel::ChannelSlice(k) => pointwise::channel_slice(k.rows, k.channels, k.start, k.taken, inputs),
        Kernel::PadShortcut(k) => pointwise::pad_shortcut(&k.geometry, inputs),
        Kernel::PadShortcutBackward(k) => pointwise::pad_shortcut_backward(&k.geometry, inputs),
        Kernel::Softmax(k) => loss::softmax_kernel(k.rows, k.classes, inputs),
        Kernel::CrossEntropy(k) => loss::forward(k.rows, k.classes, k.smoothing, inputs),
        Kernel::CrossEntropyBackward(k) => loss::backward(k.rows, k.classes, k.smoothing, inputs),
        Kernel::Update(k) => update::update(k.rule, inputs),
    }
}

/// A counter or a seed.
fn whole(tensor: &Tensor) -> candle_core::Result<u64> {
    Ok(tensor.flatten_all()?.get(0)?.to_scalar::<i64>()? as u64)
}
