//! Candle's tensors as a device: plans run step by step, each value of the arena in a tensor of its own.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use candle_core::{DType, Tensor};
use resnetc_compiler::backend::Backend;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::plan::{Buffer, BufferId, Plan, Slice, Step};

use super::effects::{Given, made};
use super::evaluate::evaluate;
use super::memory::{self, Persistent, decode, encode, rounded};
use crate::device::{Device, Inputs, ProgramId, Session, Until, run_at_once};
use crate::error::{Error, Result};
use crate::placement::check_ranks;

/// What all sessions share.
struct Shared {
    persistent: Persistent,
    plans: Vec<Arc<Plan>>,
}

impl Shared {
    fn plan(&self, id: ProgramId) -> Result<&Arc<Plan>> {
        self.plans.get(id.0).ok_or_else(|| Error::Device(format!("reference: no program {}", id.0)))
    }
}

/// Weights on a Candle device; its sessions run plans through Candle's tensor operations.
pub struct ReferenceDevice {
    device: candle_core::Device,
    dtype: DType,
    shared: RwLock<Shared>,
}

impl ReferenceDevice {
    /// What plans are compiled for that only it runs; it runs those of every backend.
    pub const BACKEND: Backend = Backend::REFERENCE;

    /// A device that holds and computes everything in `dtype`, `F32` or `F64`.
    ///
    /// # Errors
    /// On any other type.
    pub fn new(device: candle_core::Device, dtype: DType) -> Result<Self> {
        if !matches!(dtype, DType::F32 | DType::F64) {
            return Err(Error::Device(format!("the reference computes in f32 or f64, not in {dtype:?}")));
        }
        let persistent = Persistent::new(device.clone(), dtype);
        Ok(ReferenceDevice { device, dtype, shared: RwLock::new(Shared { persistent, plans: Vec::new() }) })
    }

    /// On the CPU, in `f32`.
    ///
    /// # Errors
    /// None in practice; see [`ReferenceDevice::new`].
    pub fn cpu() -> Result<Self> {
        Self::new(candle_core::Device::Cpu, DType::F32)
    }

    /// A session, which also shows values in the device's own precision.
    pub fn open_session(self: Arc<Self>) -> ReferenceSession {
        ReferenceSession { device: self, values: Vec::new(), kept: Vec::new() }
    }

    fn read_lock(&self) -> Result<RwLockReadGuard<'_, Shared>> {
        self.shared.read().map_err(|_| broken())
    }

    fn write_lock(&self) -> Result<RwLockWriteGuard<'_, Shared>> {
        self.shared.write().map_err(|_| broken())
    }

    /// A value of a buffer, given in logical order, as the device holds it.
    fn held(&self, buffer: &Buffer, value: &Tensor) -> Result<Tensor> {
        let value = value.reshape(buffer.shape.0.as_slice())?.to_device(&self.device)?;
        let is_whole = matches!(value.dtype(), DType::U32 | DType::I64);
        let value = if is_whole { value } else { value.to_dtype(self.dtype)? };
        Ok(rounded(&value, buffer.dtype)?)
    }
}

fn broken() -> Error {
    Error::Device("reference: a run has failed in the midst of this device's memory".to_owned())
}

fn not_persistent(buffer: &Buffer) -> Error {
    Error::Device(format!("reference: {} is a session's, not the device's", buffer.name))
}

impl Device for ReferenceDevice {
    fn describe(&self) -> String {
        format!("reference (candle, {:?}, {})", self.device.location(), self.dtype.as_str())
    }

    fn backend(&self) -> Backend {
        ReferenceDevice::BACKEND
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn load(&self, plan: Arc<Plan>) -> Result<ProgramId> {
        check_ranks(&plan, 1)?;
        let mut shared = self.write_lock()?;
        shared.persistent.grow(&plan)?;
        shared.plans.push(plan);
        Ok(ProgramId(shared.plans.len() - 1))
    }

    fn session(self: Arc<Self>) -> Result<Box<dyn Session>> {
        Ok(Box::new(self.open_session()))
    }

    fn write(&self, program: ProgramId, buffer: BufferId, bytes: &[u8]) -> Result<()> {
        let shared = self.write_lock()?;
        let buffer = shared.plan(program)?.buffer(buffer);
        let value = self.held(buffer, &decode(buffer, bytes, self.dtype, &self.device)?)?;
        if shared.persistent.set(buffer, &value)? { Ok(()) } else { Err(not_persistent(buffer)) }
    }

    fn read(&self, program: ProgramId, buffer: BufferId, bytes: &mut [u8]) -> Result<()> {
        let shared = self.read_lock()?;
        let buffer = shared.plan(program)?.buffer(buffer);
        let value = shared.persistent.get(buffer)?.ok_or_else(|| not_persistent(buffer))?;
        encode(buffer, &value, bytes)
    }

    fn write_optimizer(&self, program: ProgramId, param: BufferId, tensor: u8, bytes: &[u8]) -> Result<()> {
        let shared = self.write_lock()?;
        let buffer = memory::optimizer_of(shared.plan(program)?, param, tensor)?;
        let value = decode(&buffer, bytes, self.dtype, &self.device)?;
        shared.persistent.set(&buffer, &value).map(|_| ())
    }

    fn read_optimizer(
        &self,
        program: ProgramId,
        param: BufferId,
        tensor: u8,
        bytes: &mut [u8],
    ) -> Result<()> {
        let shared = self.read_lock()?;
        let buffer = memory::optimizer_of(shared.plan(program)?, param, tensor)?;
        let value = shared.persistent.get(&buffer)?.expect("the optimizer's state is persistent");
        encode(&buffer, &value, bytes)
    }
}

/// Values of arenas, over a device's weights.
pub struct ReferenceSession {
    device: Arc<ReferenceDevice>,
    /// By program and buffer; `None` until written, and for persistent buffers always.
    values: Vec<Vec<Option<Tensor>>>,
    /// Of the runs that were submitted and not yet collected.
    kept: Vec<f32>,
}

impl ReferenceSession {
    /// A buffer's value in the device's own precision, in logical order. Indices are of the type `U32`, counters of `I64`.
    ///
    /// # Errors
    /// When nobody has written it yet.
    pub fn tensor(&self, program: ProgramId, buffer: BufferId) -> Result<Tensor> {
        let shared = self.device.read_lock()?;
        self.get(&shared.persistent, shared.plan(program)?, program, buffer)
    }

    /// Sets a buffer's value, given in logical order: rounded where the buffer's type is narrow, else without passing through the
    /// buffer's own type.
    ///
    /// # Errors
    /// When the number of elements differs.
    pub fn set_tensor(&mut self, program: ProgramId, buffer: BufferId, value: &Tensor) -> Result<()> {
        let device = Arc::clone(&self.device);
        let shared = device.write_lock()?;
        self.set(&shared.persistent, shared.plan(program)?, program, buffer, value)
    }

    fn get(
        &self,
        persistent: &Persistent,
        plan: &Plan,
        program: ProgramId,
        buffer: BufferId,
    ) -> Result<Tensor> {
        let planned = plan.buffer(buffer);
        if let Some(value) = persistent.get(planned)? {
            return Ok(value);
        }
        let values = self.values(program)?;
        let value = match planned.slice {
            None => values[buffer.0 as usize].clone(),
            Some(Slice { of, start }) => {
                let whole = &values[of.0 as usize];
                let channels = planned.shape.0[1];
                whole.as_ref().map(|whole| whole.narrow(1, start, channels)?.contiguous()).transpose()?
            }
        };
        value
            .ok_or_else(|| Error::Device(format!("reference: {} is read before it is written", planned.name)))
    }

    fn set(
        &mut self,
        persistent: &Persistent,
        plan: &Plan,
        program: ProgramId,
        buffer: BufferId,
        value: &Tensor,
    ) -> Result<()> {
        let planned = plan.buffer(buffer);
        let value = self.device.held(planned, value)?;
        if !persistent.set(planned, &value)? {
            let (to, value) = match planned.slice {
                None => (buffer, value.contiguous()?),
                Some(slice) => (slice.of, self.with_channels(plan, program, slice, &value)?),
            };
            self.values(program)?;
            self.values[program.0][to.0 as usize] = Some(value);
        }
        Ok(())
    }

    /// A map after some of its channels have been written; those that nobody has written yet are zeros.
    fn with_channels(&self, plan: &Plan, program: ProgramId, slice: Slice, value: &Tensor) -> Result<Tensor> {
        let sizes = plan.buffer(slice.of).shape.0.as_slice();
        let whole = match &self.values(program)?[slice.of.0 as usize] {
            Some(whole) => whole.clone(),
            None => Tensor::zeros(sizes, value.dtype(), &self.device.device)?,
        };
        let end = slice.start + value.dim(1)?;
        let ranges = [0..sizes[0], slice.start..end, 0..sizes[2], 0..sizes[3]];
        Ok(whole.slice_assign(&ranges, value)?)
    }

    fn values(&self, program: ProgramId) -> Result<&[Option<Tensor>]> {
        let values = self.values.get(program.0).filter(|values| !values.is_empty());
        let values = values.ok_or_else(|| {
            Error::Device(format!("reference: program {} is not open in this session", program.0))
        });
        values.map(Vec::as_slice)
    }

    fn step(&mut self, persistent: &Persistent, plan: &Plan, id: ProgramId, step: &Step) -> Result<()> {
        let inputs: Vec<Tensor> =
            step.inputs.iter().map(|&b| self.get(persistent, plan, id, b)).collect::<Result<_>>()?;
        let fault = |why: &dyn fmt::Display| Error::Device(format!("reference: step {}: {why}", step.name));
        let table = step.kernel.operands().ok_or_else(|| fault(&"its kernel's sizes do not fit together"))?;
        if table.outputs.len() != step.outputs.len() {
            let (has, makes) = (step.outputs.len(), table.outputs.len());
            return Err(fault(&format_args!("it has {has} outputs, its kernel makes {makes}")));
        }
        let given = Given::new(&table, &inputs).map_err(|e| fault(&e))?;
        let effects = evaluate(&step.kernel, &given).map_err(|e| fault(&e))?;
        let updated = table.inputs.iter().zip(&step.inputs).filter(|(operand, _)| operand.updated);
        for (operand, &buffer) in table.outputs.iter().zip(&step.outputs).chain(updated) {
            let value = made(&effects, operand.name).map_err(|e| fault(&e))?;
            self.set(persistent, plan, id, buffer, value)?;
        }
        Ok(())
    }

    fn steps(&mut self, shared: &Shared, id: ProgramId, mut times: Option<&mut [Duration]>) -> Result<()> {
        let plan = Arc::clone(shared.plan(id)?);
        for (i, step) in plan.steps.iter().enumerate() {
            let start = Instant::now();
            self.step(&shared.persistent, &plan, id, step)?;
            if let Some(time) = times.as_deref_mut().and_then(|t| t.get_mut(i)) {
                // A GPU has only been told by then.
                self.device.device.synchronize()?;
                *time += start.elapsed();
            }
        }
        Ok(self.device.device.synchronize()?)
    }
}

impl Session for ReferenceSession {
    fn device(&self) -> &dyn Device {
        &*self.device
    }

    fn open(&mut self, program: ProgramId) -> Result<()> {
        let buffers = self.device.read_lock()?.plan(program)?.buffers.len();
        if self.values.len() <= program.0 {
            self.values.resize(program.0 + 1, Vec::new());
        }
        self.values[program.0] = vec![None; buffers];
        Ok(())
    }

    fn write(&mut self, program: ProgramId, buffer: BufferId, bytes: &[u8]) -> Result<()> {
        let plan = Arc::clone(self.device.read_lock()?.plan(program)?);
        let value = decode(plan.buffer(buffer), bytes, self.device.dtype, &self.device.device)?;
        self.set_tensor(program, buffer, &value)
    }

    fn read(&self, program: ProgramId, buffer: BufferId, bytes: &mut [u8]) -> Result<()> {
        let value = self.tensor(program, buffer)?;
        encode(self.device.read_lock()?.plan(program)?.buffer(buffer), &value, bytes)
    }

    /// A training has the device for itself, inference shares it.
    fn run(&mut self, program: ProgramId, times: Option<&mut [Duration]>) -> Result<()> {
        let device = Arc::clone(&self.device);
        let mode = device.read_lock()?.plan(program)?.mode;
        match mode {
            Mode::Train => self.steps(&*device.write_lock()?, program, times),
            Mode::Infer => self.steps(&*device.read_lock()?, program, times),
        }
    }

    fn submit(&mut self, program: ProgramId, inputs: &Inputs<'_>, keep: &[BufferId]) -> Result<()> {
        let plan = Arc::clone(self.device.read_lock()?.plan(program)?);
        let mut kept = std::mem::take(&mut self.kept);
        let done = run_at_once(self, program, &plan, inputs, keep, &mut kept);
        self.kept = kept;
        done
    }

    fn collect(&mut self, _until: Until, kept: &mut Vec<f32>) -> Result<()> {
        kept.append(&mut self.kept);
        Ok(())
    }
}
