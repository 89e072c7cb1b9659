//! The CPU as a device: the memory that outlives a run, and the plans that are loaded.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use resnetc_compiler::backend::Backend;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::plan::shards::Piece;
use resnetc_compiler::plan::{ALIGN, BufferId, Plan, Region};

use super::Ctx;
use super::machine::Machine;
use super::memory::Memory;
use super::simd::Isa;
use super::step::operands::{ALL_REGIONS, Bases, Bound, OPTIMIZER_REGIONS, Operands, REGIONS, region_index};
use super::step::prepare::Prepared;
use super::threads::{ThreadPool, available_threads, check_count};
use super::tune::{Tuning, roofline};
use crate::device::{Choice, Fill, ProgramId};
use crate::error::{Error, Result};
use crate::placement::{self, is_transient, persistent, writes_persistent};
use crate::ranks::Collective;
use crate::roofline::{Arithmetic, Roofline};

/// From when on [`CpuDevice::describe`] says that AMX is slow.
const REPORTED_AMX_SLOWNESS: f64 = 1.5;

/// A plan, ready to run.
pub(super) struct Program {
    pub plan: Arc<Plan>,
    /// What was decided about each step.
    pub steps: Vec<Prepared>,
    /// The buffers of each step by name.
    pub bound: Vec<Bound>,
    /// Floats of scratch memory that its steps need.
    pub scratch: usize,
    /// Whether a step writes memory that outlives the run: a training does.
    pub writes_persistent: bool,
    /// Value of [`Shared::written`] when kept weights were packed last.
    packed: u64,
}

/// What all sessions share. Runs that only read it hold the lock as readers, those that write it alone.
pub(super) struct Shared {
    /// In the order of [`region_index`]; those of sessions are empty.
    regions: [Memory; REGIONS],
    programs: Vec<Program>,
    /// Counts writes to parameters from outside; kept packed weights follow them.
    written: u64,
}

/// The CPU: weights and kernels, for any number of sessions.
pub struct CpuDevice {
    isa: Isa,
    threads: usize,
    /// Threads that the system granted to the session that it granted the fewest.
    granted: AtomicUsize,
    /// See [`Machine::amx_slowness`].
    amx_slowness: Option<f64>,
    tuning: Tuning,
    /// The other ranks of a training.
    ranks: Option<Arc<Collective>>,
    shared: RwLock<Shared>,
}

impl CpuDevice {
    /// What plans for it may count on.
    pub const BACKEND: Backend = Backend::CPU;

    /// A device of `threads` threads (`None`: as many as the machine offers), with the fastest instruction set there is.
    pub fn new(threads: Option<usize>) -> Result<Self> {
        Self::with_isa(threads.unwrap_or_else(available_threads), Isa::best())
    }

    /// A device with the given instruction set.
    pub fn with_isa(threads: usize, isa: Isa) -> Result<Self> {
        check_count(threads)?;
        if !isa.available() {
            return Err(Error::Device(format!("this machine has no {} instructions", isa.name())));
        }
        Ok(CpuDevice {
            isa,
            threads,
            granted: AtomicUsize::new(threads),
            amx_slowness: None,
            tuning: Tuning::default(),
            ranks: None,
            shared: RwLock::new(Shared { regions: Default::default(), programs: Vec::new(), written: 1 }),
        })
    }

    /// Measures, in some milliseconds, how fast AMX is beside vectors, and lets plans that are loaded from now on decide by
    /// it which of the two multiplies; else they decide by constants, the same in every process. Processors slow it down
    /// when power or heat forbid, and virtual machines share it: to a quarter, where vectors are faster in `f32`. Results
    /// may then differ from another process's in the last bits; those of this process's devices with as many threads do not,
    /// since the first one's measurement serves all.
    #[must_use]
    pub fn with_amx_measured(mut self) -> Self {
        if self.isa == Isa::Amx {
            self.amx_slowness = roofline::amx_slowness(self.threads).ok();
        }
        self
    }

    /// Lets plans that are loaded from now on take the algorithms that were measured to be the fastest.
    #[must_use]
    pub fn with_tuning(mut self, tuning: Tuning) -> Self {
        self.tuning = tuning;
        self
    }

    /// Lets plans for several ranks run, this process being one of them.
    #[must_use]
    pub fn with_ranks(mut self, ranks: Arc<Collective>) -> Self {
        self.ranks = Some(ranks);
        self
    }

    /// The other ranks.
    pub(super) fn ranks(&self) -> Option<&Collective> {
        self.ranks.as_deref()
    }

    /// This process's number among them.
    pub(super) fn rank(&self) -> usize {
        self.ranks().map_or(0, Collective::rank)
    }

    /// Its instructions.
    pub(super) fn isa(&self) -> Isa {
        self.isa
    }

    /// The threads of a session. Remembers how many the system grants.
    pub(super) fn start_threads(&self) -> Result<ThreadPool> {
        let threads = ThreadPool::new(self.threads)?;
        self.granted.fetch_min(threads.granted(), Ordering::Relaxed);
        Ok(threads)
    }

    fn machine(&self) -> Machine {
        Machine { isa: self.isa, threads: self.threads, amx_slowness: self.amx_slowness }
    }

    /// What this device can do at most, measured now.
    ///
    /// # Errors
    /// Where there are no threads or memory for it.
    pub(super) fn ceilings(&self) -> Result<Roofline> {
        roofline::measure(&ThreadPool::new(self.threads)?, self.isa)
    }

    /// The part of it that is measured in a few milliseconds.
    ///
    /// # Errors
    /// Where there are no threads for it.
    pub fn arithmetic(&self) -> Result<Arithmetic> {
        Ok(roofline::arithmetic(&ThreadPool::new(self.threads)?, self.isa))
    }

    pub(super) fn read_lock(&self) -> Result<RwLockReadGuard<'_, Shared>> {
        self.shared.read().map_err(|_| broken())
    }

    pub(super) fn write_lock(&self) -> Result<RwLockWriteGuard<'_, Shared>> {
        self.shared.write().map_err(|_| broken())
    }

    /// What the device is, for reports.
    pub(super) fn name(&self) -> String {
        let threads = self.threads;
        let slow = self.amx_slowness.filter(|&slow| slow >= REPORTED_AMX_SLOWNESS);
        let slow = slow.map_or(String::new(), |slow| format!(" {slow:.1} times as slow as usual"));
        let granted = self.granted.load(Ordering::Relaxed);
        let refused = match granted < threads {
            true => format!(", the system grants {granted}"),
            false => String::new(),
        };
        let plural = if threads == 1 { "" } else { "s" };
        format!("cpu ({}{slow}, {threads} thread{plural}{refused})", self.isa.name())
    }

    /// Checks a plan, decides about each of its steps, and makes the persistent regions.
    pub(super) fn take_in(&self, plan: Arc<Plan>) -> Result<ProgramId> {
        check(&plan)?;
        placement::check_ranks(&plan, self.ranks().map_or(1, Collective::size))?;
        let (steps, scratch) = self.prepare(&plan)?;
        let bound = plan.steps.iter().map(|step| Bound::new(&plan, step)).collect();
        let writes_persistent = writes_persistent(&plan);
        let mut shared = self.write_lock()?;
        shared.reserve(&plan)?;
        shared.programs.push(Program { plan, steps, bound, scratch, writes_persistent, packed: 0 });
        Ok(ProgramId(shared.programs.len() - 1))
    }

    /// See [`Device::workspace`](crate::device::Device::workspace).
    pub(super) fn workspace_of(&self, plan: &Plan) -> Result<usize> {
        check(plan)?;
        let scratch = self.prepare(plan)?.1 * size_of::<f32>();
        let regions = ALL_REGIONS.into_iter().map(|region| plan.region_bytes(region));
        let rounding = regions.map(|bytes| Memory::rounded(bytes) - bytes).sum::<usize>();
        Ok(Memory::rounded(scratch) + rounding)
    }

    /// Decides about each step; with the floats of scratch memory that all of them need.
    fn prepare(&self, plan: &Plan) -> Result<(Vec<Prepared>, usize)> {
        let keep_packed = plan.mode == Mode::Infer;
        let mut steps = Vec::with_capacity(plan.steps.len());
        let mut needed = 0;
        for step in &plan.steps {
            let prepared = Prepared::new(&step.kernel, self.machine(), &self.tuning, keep_packed)?;
            needed = needed.max(prepared.scratch_len(&step.kernel, self.threads));
            steps.push(prepared);
        }
        // Whole cache lines, so that it stays aligned between guard pages: it holds pointers too.
        Ok((steps, needed.next_multiple_of(ALIGN / size_of::<f32>())))
    }

    /// See [`Device::fill`](crate::device::Device::fill). Threads share the buffers: pages that nobody has touched yet are made by several.
    ///
    /// # Errors
    /// The function's; where a buffer is not persistent, or two are the same memory.
    pub(super) fn fill_all(
        &self,
        program: ProgramId,
        buffers: &[(BufferId, usize)],
        fill: Fill<'_>,
    ) -> Result<()> {
        let threads = self.start_threads()?;
        let mut shared = self.write_lock()?;
        let parts = shared.parts(program, buffers)?;
        let parts: Vec<_> = parts.into_iter().map(Mutex::new).collect();
        let failed = Mutex::new(None);
        threads.hand_out(parts.len(), &|_, items| {
            for index in items {
                let mut bytes = parts[index].lock().unwrap_or_else(PoisonError::into_inner);
                if let Err(error) = fill(index, &mut bytes) {
                    failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                }
            }
        });
        failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    /// See [`Device::choice`](crate::device::Device::choice).
    pub(super) fn choice_of(&self, program: ProgramId, step: usize) -> Option<Choice> {
        let shared = self.read_lock().ok()?;
        shared.program(program).ok()?.steps.get(step)?.choice().cloned()
    }
}

impl Shared {
    pub fn program(&self, program: ProgramId) -> Result<&Program> {
        self.programs.get(program.0).ok_or_else(|| Error::Device("no such program on this device".to_owned()))
    }

    /// See [`placement::place`].
    pub fn place(&self, program: ProgramId, buffer: BufferId, len: usize) -> Result<(Region, usize)> {
        placement::place(&self.program(program)?.plan, buffer, len)
    }

    /// See [`placement::optimizer_pieces`].
    pub fn optimizer_pieces(
        &self,
        program: ProgramId,
        param: BufferId,
        tensor: u8,
        (len, rank): (usize, usize),
    ) -> Result<(Region, Vec<Piece>)> {
        placement::optimizer_pieces(&self.program(program)?.plan, param, tensor, len, rank)
    }

    /// Bytes of a persistent region.
    pub fn bytes(&self, (region, offset): (Region, usize), len: usize) -> Result<&[u8]> {
        persistent(region)?;
        Ok(&self.regions[region_index(region)].bytes()[offset..offset + len])
    }

    /// Writes into a persistent region.
    pub fn set_bytes(&mut self, (region, offset): (Region, usize), bytes: &[u8]) -> Result<()> {
        persistent(region)?;
        self.written += u64::from(region == Region::Params);
        self.regions[region_index(region)].bytes_mut()[offset..offset + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    /// The bytes of persistent buffers, in the order of `buffers`.
    fn parts(&mut self, program: ProgramId, buffers: &[(BufferId, usize)]) -> Result<Vec<&mut [u8]>> {
        let mut places = Vec::with_capacity(buffers.len());
        for (index, &(buffer, len)) in buffers.iter().enumerate() {
            let (region, offset) = self.place(program, buffer, len)?;
            persistent(region)?;
            places.push((region_index(region), offset, len, index));
        }
        places.sort_unstable();
        self.written += 1;
        let mut regions: Vec<_> = self.regions.iter_mut().map(|memory| (memory.bytes_mut(), 0)).collect();
        let mut parts: Vec<&mut [u8]> = Vec::new();
        parts.resize_with(buffers.len(), Default::default);
        for (region, offset, len, index) in places {
            let (rest, begin) = std::mem::take(&mut regions[region]);
            let gap = offset
                .checked_sub(begin)
                .ok_or_else(|| Error::Device("two buffers to be filled are the same memory".to_owned()))?;
            let (part, rest) = rest[gap..].split_at_mut(len);
            parts[index] = part;
            regions[region] = (rest, offset + len);
        }
        Ok(parts)
    }

    /// Makes the persistent regions of the first plan; those of a further plan have to agree with them.
    fn reserve(&mut self, plan: &Plan) -> Result<()> {
        for region in ALL_REGIONS.into_iter().filter(|&region| !is_transient(region)) {
            let (memory, size) = (&mut self.regions[region_index(region)], plan.region_bytes(region));
            if self.programs.is_empty() {
                *memory = Memory::zeroed(size)?;
            } else if memory.len() != size {
                return Err(placement::other_persistent(plan));
            }
        }
        Ok(())
    }

    /// Where all regions lie, those of a session included. Only who holds the lock alone may write those that are not.
    pub fn bases(&self, arena: &mut Memory, control: &mut Memory, rank: usize) -> Bases {
        let mut regions = self.regions.each_ref().map(|memory| (memory.ptr(), memory.len()));
        for (region, memory) in [(Region::Arena, arena), (Region::Control, control)] {
            regions[region_index(region)] = (memory.bytes_mut().as_mut_ptr(), memory.len());
        }
        Bases { regions, rank }
    }

    /// Whether the weights that are kept packed are those that were written last.
    pub fn is_packed(&self, program: &Program) -> bool {
        program.packed == self.written
    }

    /// Packs a program's weights, if they have been written since.
    pub fn pack(&mut self, program: ProgramId, ctx: &Ctx<'_>, bases: &Bases) -> Result<()> {
        self.program(program)?;
        let (written, program) = (self.written, &mut self.programs[program.0]);
        if program.packed != written {
            let steps = program.plan.steps.iter().zip(&program.bound);
            for ((step, bound), prepared) in steps.zip(&mut program.steps) {
                prepared.pack(ctx, &Operands::new(bases, &program.plan, step, bound));
            }
            program.packed = written;
        }
        Ok(())
    }
}

fn broken() -> Error {
    Error::Device("a run has failed in the midst of this device's memory".to_owned())
}

/// Refuses a plan that cannot run here.
fn check(plan: &Plan) -> Result<()> {
    if plan.optimizer.len() > OPTIMIZER_REGIONS {
        let (name, tensors) = (&plan.name, plan.optimizer.len());
        return Err(Error::Device(format!(
            "{name}: no room for an optimizer of {tensors} tensors a parameter"
        )));
    }
    placement::check(plan, &Backend::CPU)
}
