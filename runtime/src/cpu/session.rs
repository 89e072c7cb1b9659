//! The CPU's sessions, and both behind the traits that the executor knows.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use resnetc_compiler::backend::Backend;
use resnetc_compiler::plan::shards::Piece;
use resnetc_compiler::plan::{BufferId, Plan, Region};

use super::Ctx;
use super::device::{CpuDevice, Program};
use super::memory::Memory;
use super::ranks::share_state;
use super::step::operands::{Bases, Operands};
use super::step::prepare;
use super::threads::ThreadPool;
use crate::device::{Choice, Device, Fill, Inputs, ProgramId, Session, Until, run_at_once};
use crate::error::{Error, Result};
use crate::placement::is_transient;
use crate::ranks::Collective;
use crate::roofline::Roofline;

/// Arena, workspace and threads of its own, over a device's weights.
pub struct CpuSession {
    device: Arc<CpuDevice>,
    threads: ThreadPool,
    arena: Memory,
    control: Memory,
    scratch: Memory,
    /// Of the runs that were submitted and not yet collected.
    kept: Vec<f32>,
}

impl CpuSession {
    fn new(device: Arc<CpuDevice>) -> Result<Self> {
        let threads = device.start_threads()?;
        let [arena, control, scratch] = std::array::from_fn(|_| Memory::default());
        Ok(CpuSession { device, threads, arena, control, scratch, kept: Vec::new() })
    }

    /// The memory of a region of this session.
    fn own(&self, region: Region) -> &Memory {
        if region == Region::Control { &self.control } else { &self.arena }
    }

    fn own_mut(&mut self, region: Region) -> &mut Memory {
        if region == Region::Control { &mut self.control } else { &mut self.arena }
    }
}

/// Refuses a program that was not opened in this session, whose memory it would leave.
fn check_room(program: &Program, arena: &Memory, control: &Memory, scratch: &Memory) -> Result<()> {
    let plan = &program.plan;
    let [wanted_arena, wanted_control] = [Region::Arena, Region::Control].map(|r| plan.region_bytes(r));
    let room = arena.len() >= wanted_arena
        && control.len() >= wanted_control
        && scratch.len() / size_of::<f32>() >= program.scratch;
    if room {
        Ok(())
    } else {
        Err(Error::Device(format!("{}: the plan is not open in this session", plan.name)))
    }
}

/// Runs all steps; where one writes what outlives the run, under the exclusive lock.
fn run(
    program: &Program,
    ctx: &Ctx<'_>,
    ranks: Option<&Collective>,
    bases: &Bases,
    times: Option<&mut [Duration]>,
) {
    let plan = &*program.plan;
    // A step may take longer than a rank may be silent.
    let beat = || ranks.map_or((), |ranks| ranks.pulse().beat());
    let mut times = times.map(|times| times.iter_mut());
    let prepared = program.steps.iter().zip(&program.bound);
    for (step, (prepared, bound)) in plan.steps.iter().zip(prepared) {
        beat();
        let start = Instant::now();
        prepare::run(ctx, ranks, prepared, &Operands::new(bases, plan, step, bound));
        if let Some(time) = times.as_mut().and_then(Iterator::next) {
            *time += start.elapsed();
        }
    }
}

impl Session for CpuSession {
    fn device(&self) -> &dyn Device {
        &*self.device
    }

    fn open(&mut self, program: ProgramId) -> Result<()> {
        let shared = self.device.read_lock()?;
        let program = shared.program(program)?;
        for (region, memory) in [(Region::Arena, &mut self.arena), (Region::Control, &mut self.control)] {
            let size = program.plan.region_bytes(region);
            if size > memory.len() {
                *memory = Memory::zeroed(size)?;
            }
        }
        if program.scratch > self.scratch.len() / size_of::<f32>() {
            self.scratch = Memory::floats(program.scratch)?;
        }
        Ok(())
    }

    fn write(&mut self, program: ProgramId, buffer: BufferId, bytes: &[u8]) -> Result<()> {
        let place = self.device.read_lock()?.place(program, buffer, bytes.len())?;
        let (region, offset) = place;
        if !is_transient(region) {
            return self.device.write_lock()?.set_bytes(place, bytes);
        }
        let memory = self.own_mut(region).bytes_mut().get_mut(offset..offset + bytes.len());
        memory.ok_or_else(not_open)?.copy_from_slice(bytes);
        Ok(())
    }

    fn read(&self, program: ProgramId, buffer: BufferId, bytes: &mut [u8]) -> Result<()> {
        let shared = self.device.read_lock()?;
        let place = shared.place(program, buffer, bytes.len())?;
        let (region, offset) = place;
        let memory = match is_transient(region) {
            true => self.own(region).bytes().get(offset..offset + bytes.len()).ok_or_else(not_open)?,
            false => shared.bytes(place, bytes.len())?,
        };
        bytes.copy_from_slice(memory);
        Ok(())
    }

    fn run(&mut self, id: ProgramId, times: Option<&mut [Duration]>) -> Result<()> {
        let CpuSession { device, threads, arena, control, scratch, .. } = self;
        let (isa, ranks) = (device.isa(), device.ranks());
        loop {
            let shared = device.read_lock()?;
            let program = shared.program(id)?;
            check_room(program, arena, control, scratch)?;
            let bases = shared.bases(arena, control, device.rank());
            let ctx = Ctx { threads, isa, scratch: scratch.view() };
            if shared.is_packed(program) && !program.writes_persistent {
                run(program, &ctx, ranks, &bases, times);
                return Ok(());
            }
            drop(shared);
            let mut shared = device.write_lock()?;
            let bases = shared.bases(arena, control, device.rank());
            shared.pack(id, &ctx, &bases)?;
            let program = shared.program(id)?;
            if program.writes_persistent {
                run(program, &ctx, ranks, &bases, times);
                return ranks.map_or(Ok(()), Collective::check);
            }
            // Only packed: others may run beside this session.
        }
    }

    fn submit(&mut self, program: ProgramId, inputs: &Inputs<'_>, keep: &[BufferId]) -> Result<()> {
        let plan = Arc::clone(&self.device.read_lock()?.program(program)?.plan);
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

fn not_open() -> Error {
    Error::Device("the plan is not open in this session".to_owned())
}

impl Device for CpuDevice {
    fn describe(&self) -> String {
        self.name()
    }

    fn backend(&self) -> Backend {
        CpuDevice::BACKEND
    }

    fn roofline(&self, _plan: &Plan) -> Result<Option<Roofline>> {
        self.ceilings().map(Some)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn load(&self, plan: Arc<Plan>) -> Result<ProgramId> {
        self.take_in(plan)
    }

    fn workspace(&self, plan: &Plan) -> Result<usize> {
        self.workspace_of(plan)
    }

    fn session(self: Arc<Self>) -> Result<Box<dyn Session>> {
        Ok(Box::new(CpuSession::new(self)?))
    }

    fn write(&self, program: ProgramId, buffer: BufferId, bytes: &[u8]) -> Result<()> {
        let mut shared = self.write_lock()?;
        let place = shared.place(program, buffer, bytes.len())?;
        shared.set_bytes(place, bytes)
    }

    fn fill(&self, program: ProgramId, buffers: &[(BufferId, usize)], fill: Fill<'_>) -> Result<()> {
        self.fill_all(program, buffers, fill)
    }

    fn read(&self, program: ProgramId, buffer: BufferId, bytes: &mut [u8]) -> Result<()> {
        let shared = self.read_lock()?;
        let place = shared.place(program, buffer, bytes.len())?;
        bytes.copy_from_slice(shared.bytes(place, bytes.len())?);
        Ok(())
    }

    fn write_optimizer(&self, program: ProgramId, param: BufferId, tensor: u8, bytes: &[u8]) -> Result<()> {
        let mut shared = self.write_lock()?;
        let (region, pieces) = shared.optimizer_pieces(program, param, tensor, (bytes.len(), self.rank()))?;
        pieces
            .into_iter()
            .try_for_each(|Piece { range, offset }| shared.set_bytes((region, offset), &bytes[range]))
    }

    fn read_optimizer(
        &self,
        program: ProgramId,
        param: BufferId,
        tensor: u8,
        bytes: &mut [u8],
    ) -> Result<()> {
        let shared = self.read_lock()?;
        let (region, pieces) = shared.optimizer_pieces(program, param, tensor, (bytes.len(), self.rank()))?;
        for Piece { range, offset } in pieces {
            let len = range.len();
            bytes[range].copy_from_slice(shared.bytes((region, offset), len)?);
        }
        let plan = Arc::clone(&shared.program(program)?.plan);
        drop(shared);
        match self.ranks().filter(|_| plan.is_sharded(tensor)) {
            Some(ranks) => share_state(ranks, &plan, plan.buffer(param), tensor, bytes),
            None => Ok(()),
        }
    }

    fn choice(&self, program: ProgramId, step: usize) -> Option<Choice> {
        self.choice_of(program, step)
    }
}
