//! The CPU as a device: its memory, its threads, and the plans that are loaded.

use std::sync::Arc;
use std::time::{Duration, Instant};

use resnetc_compiler::backend::Backend;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::plan::{ALIGN, Buffer, BufferId, Plan, Region};

use super::ctx::Ctx;
use super::machine::Machine;
use super::memory::Memory;
use super::simd::Isa;
use super::step::dispatch::{ALL_REGIONS, Bases, Bound, OPTIMIZER_REGIONS, Operands, REGIONS, region_index};
use super::step::prepare::{self, Prepared};
use super::threads::{ThreadPool, available_threads};
use super::tune::{Tuning, roofline};
use crate::device::{Choice, Device, ProgramId};
use crate::error::{Error, Result};

/// From when on [`CpuDevice::describe`] says that AMX is slow.
const REPORTED_AMX_SLOWNESS: f64 = 1.5;

/// A plan, ready to run.
struct Program {
    plan: Arc<Plan>,
    /// What was decided about each step.
    steps: Vec<Prepared>,
    /// The buffers of each step by name.
    bound: Vec<Bound>,
    /// Value of [`CpuDevice::written`] when kept weights were packed last.
    packed: u64,
}

/// The CPU: memory and threads.
pub struct CpuDevice {
    isa: Isa,
    threads: ThreadPool,
    regions: [Memory; REGIONS],
    scratch: Memory,
    programs: Vec<Program>,
    /// Counts writes to parameters from outside; kept packed weights follow them.
    written: u64,
    /// See [`Machine::amx_slowness`].
    amx_slowness: Option<f64>,
    tuning: Tuning,
}

impl CpuDevice {
    /// A device of `threads` threads (`None`: as many as the machine offers), with the fastest instruction set there is.
    pub fn new(threads: Option<usize>) -> Result<Self> {
        Self::with_isa(threads.unwrap_or_else(available_threads), Isa::best())
    }

    /// A device with the given instruction set.
    pub fn with_isa(threads: usize, isa: Isa) -> Result<Self> {
        if !isa.available() {
            return Err(Error::Device(format!("this machine has no {} instructions", isa.name())));
        }
        Ok(CpuDevice {
            isa,
            threads: ThreadPool::new(threads)?,
            regions: Default::default(),
            scratch: Memory::default(),
            programs: Vec::new(),
            written: 1,
            amx_slowness: None,
            tuning: Tuning::default(),
        })
    }

    /// Measures, in some milliseconds, how fast AMX is beside vectors, and lets plans that are loaded from now on decide by
    /// it which of the two multiplies; else they decide by constants, the same in every process. Processors slow it down
    /// when power or heat forbid, and virtual machines share it: to a quarter, where vectors are faster in `f32`. Results
    /// may then differ from another process's in the last bits.
    #[must_use]
    pub fn with_amx_measured(mut self) -> Self {
        if self.isa == Isa::Amx {
            self.amx_slowness = Some(roofline::amx_slowness(&self.threads));
        }
        self
    }

    /// Lets plans that are loaded from now on take the algorithms that were measured to be the fastest.
    #[must_use]
    pub fn with_tuning(mut self, tuning: Tuning) -> Self {
        self.tuning = tuning;
        self
    }

    fn machine(&self) -> Machine {
        Machine { isa: self.isa, threads: self.threads.count(), amx_slowness: self.amx_slowness }
    }

    /// What this device can do at most, measured now.
    pub fn roofline(&self) -> Result<roofline::Roofline> {
        roofline::measure(&self.threads, self.isa)
    }

    /// The part of it that is measured in a few milliseconds.
    pub fn arithmetic(&self) -> roofline::Arithmetic {
        roofline::arithmetic(&self.threads, self.isa)
    }

    fn buffer(&self, program: ProgramId, buffer: BufferId) -> Result<&Buffer> {
        let program = self.programs.get(program.0);
        let program = program.ok_or_else(|| Error::Device("no such program on this device".to_owned()))?;
        program.plan.buffers.get(buffer.0 as usize).ok_or_else(|| Error::Device("no such buffer".to_owned()))
    }

    /// Region and byte range of a buffer, `len` being the size that the caller has for it.
    fn place(&self, program: ProgramId, buffer: BufferId, len: usize) -> Result<(Region, usize)> {
        let b = self.buffer(program, buffer)?;
        if b.slice.is_some() {
            return Err(Error::Device(format!("{}: it is a part of another buffer", b.name)));
        }
        if len != b.bytes {
            return Err(Error::Device(format!("{}: {len} bytes given, the buffer has {}", b.name, b.bytes)));
        }
        Ok((b.region, b.offset))
    }

    /// Region and offset of a tensor of the optimizer's state: the parameter's offset.
    fn optimizer(
        &self,
        program: ProgramId,
        param: BufferId,
        tensor: u8,
        len: usize,
    ) -> Result<(usize, usize)> {
        let (region, offset) = self.place(program, param, len)?;
        let name = &self.buffer(program, param)?.name;
        let known = usize::from(tensor) < self.programs[program.0].plan.optimizer.len();
        if region != Region::Params || !known {
            return Err(Error::Device(format!("{name} has no tensor {tensor} of an optimizer")));
        }
        Ok((region_index(Region::Optimizer(tensor)), offset))
    }

    /// Makes the persistent regions of the first plan; those of a further plan have to agree with them.
    fn reserve(&mut self, plan: &Plan) -> Result<()> {
        let wanted = ALL_REGIONS.map(|region| plan.region_bytes(region));
        for (region, size) in self.regions.iter_mut().zip(wanted).skip(1) {
            if self.programs.is_empty() {
                *region = Memory::zeroed(size)?;
            } else if region.len() != size {
                let text = "the persistent tensors of this plan are not those of the plans already loaded";
                return Err(Error::Device(format!("{}: {text}", plan.name)));
            }
        }
        if wanted[0] > self.regions[0].len() {
            self.regions[0] = Memory::zeroed(wanted[0])?;
        }
        Ok(())
    }

    /// Decides about each step, and makes the scratch memory large enough for all of them.
    fn prepare(&mut self, plan: &Plan) -> Result<Vec<Prepared>> {
        let threads = self.threads.count();
        let keep_packed = plan.mode == Mode::Infer;
        let mut steps = Vec::with_capacity(plan.steps.len());
        let mut needed = 0;
        for step in &plan.steps {
            let prepared = Prepared::new(&step.kernel, self.machine(), &self.tuning, keep_packed)?;
            needed = needed.max(prepared.scratch_len(&step.kernel, threads));
            steps.push(prepared);
        }
        // Whole cache lines, so that it stays aligned between guard pages: it holds pointers too.
        needed = needed.next_multiple_of(ALIGN / size_of::<f32>());
        if needed > self.scratch.len() / size_of::<f32>() {
            self.scratch = Memory::floats(needed)?;
        }
        Ok(steps)
    }
}

impl Device for CpuDevice {
    fn describe(&self) -> String {
        let threads = self.threads.count();
        let slow = self.amx_slowness.filter(|&slow| slow >= REPORTED_AMX_SLOWNESS);
        let slow = slow.map_or(String::new(), |slow| format!(" {slow:.1} times as slow as usual"));
        format!("cpu ({}{slow}, {threads} thread{})", self.isa.name(), if threads == 1 { "" } else { "s" })
    }

    fn backend(&self) -> Backend {
        Backend::CPU
    }

    fn load(&mut self, plan: Arc<Plan>) -> Result<ProgramId> {
        if plan.optimizer.len() > OPTIMIZER_REGIONS {
            let text = format!("an optimizer of {} tensors a parameter", plan.optimizer.len());
            return Err(Error::Device(format!("{}: no room for {text}", plan.name)));
        }
        let Backend { align, layouts, .. } = self.backend();
        if plan.layouts != layouts || !plan.align.is_multiple_of(align) {
            let text = "the plan is compiled for another backend";
            return Err(Error::Device(format!("{}: {text}", plan.name)));
        }
        if let Some(fault) = plan.check_memory().into_iter().next() {
            return Err(Error::Device(format!("{}: {fault}", plan.name)));
        }
        self.reserve(&plan)?;
        let steps = self.prepare(&plan)?;
        let bound = plan.steps.iter().map(|step| Bound::new(&plan, step)).collect();
        self.programs.push(Program { plan, steps, bound, packed: 0 });
        Ok(ProgramId(self.programs.len() - 1))
    }

    fn write(&mut self, program: ProgramId, buffer: BufferId, bytes: &[u8]) -> Result<()> {
        let (region, offset) = self.place(program, buffer, bytes.len())?;
        self.written += u64::from(region == Region::Params);
        self.regions[region_index(region)].bytes_mut()[offset..offset + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn read(&self, program: ProgramId, buffer: BufferId, bytes: &mut [u8]) -> Result<()> {
        let (region, offset) = self.place(program, buffer, bytes.len())?;
        bytes.copy_from_slice(&self.regions[region_index(region)].bytes()[offset..offset + bytes.len()]);
        Ok(())
    }

    fn write_optimizer(
        &mut self,
        program: ProgramId,
        param: BufferId,
        tensor: u8,
        bytes: &[u8],
    ) -> Result<()> {
        let (region, offset) = self.optimizer(program, param, tensor, bytes.len())?;
        self.regions[region].bytes_mut()[offset..offset + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn read_optimizer(
        &self,
        program: ProgramId,
        param: BufferId,
        tensor: u8,
        bytes: &mut [u8],
    ) -> Result<()> {
        let (region, offset) = self.optimizer(program, param, tensor, bytes.len())?;
        bytes.copy_from_slice(&self.regions[region].bytes()[offset..offset + bytes.len()]);
        Ok(())
    }

    fn choice(&self, program: ProgramId, step: usize) -> Option<Choice> {
        let program = self.programs.get(program.0)?;
        let (prepared, step) = (program.steps.get(step)?, program.plan.steps.get(step)?);
        prepared.choice(&step.kernel, self.machine(), &self.tuning)
    }

    fn run(&mut self, program: ProgramId, times: Option<&mut [Duration]>) -> Result<()> {
        let Some(program) = self.programs.get_mut(program.0) else {
            return Err(Error::Device("no such program on this device".to_owned()));
        };
        let plan = &*program.plan;
        let bases = Bases { regions: self.regions.each_mut().map(|m| (m.bytes_mut().as_mut_ptr(), m.len())) };
        let ctx = Ctx { threads: &self.threads, isa: self.isa, scratch: self.scratch.view() };
        let mut times = times.map(|times| times.iter_mut());
        if program.packed != self.written {
            let prepared = program.steps.iter_mut().zip(&program.bound);
            for (step, (prepared, bound)) in plan.steps.iter().zip(prepared) {
                prepared.pack(&ctx, &Operands::new(&bases, plan, step, bound));
            }
            program.packed = self.written;
        }
        let prepared = program.steps.iter().zip(&program.bound);
        for (step, (prepared, bound)) in plan.steps.iter().zip(prepared) {
            let start = Instant::now();
            prepare::run(&ctx, prepared, &Operands::new(&bases, plan, step, bound));
            if let Some(time) = times.as_mut().and_then(Iterator::next) {
                *time += start.elapsed();
            }
        }
        Ok(())
    }
}
