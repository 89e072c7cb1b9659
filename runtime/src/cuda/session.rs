//! Sessions: the memory of a run, and its calls, recorded the first time and replayed from then on. With the device, both behind
//! the traits that the executor knows.

use std::sync::Arc;
use std::time::Duration;

use resnetc_compiler::backend::Backend;
use resnetc_compiler::plan::{BufferId, Plan, Region};

use super::device::{CudaDevice, Program, Shared};
use super::driver::{Driver, Fill, Memory, Recording};
use super::launch::{Base, Call, Place};
use crate::device::{Device, Inputs, ProgramId, Session};
use crate::error::{Error, Result};
use crate::placement;

/// Steps that may be under way: a driver that works on its own is given the next one before the last is done.
const DEPTH: usize = 8;

/// Arena, control and scratch memory over a device's weights.
pub struct CudaSession {
    device: Arc<CudaDevice>,
    arena: Option<Memory>,
    control: Option<Memory>,
    scratch: Option<Memory>,
    /// Of each program that has run in this memory.
    recordings: Vec<Option<Box<dyn Recording>>>,
    /// Numbers that submitted runs keep, one behind the other.
    kept: Option<Memory>,
    /// How many there are.
    keeps: usize,
    /// Those that had to be fetched before they were collected.
    fetched: Vec<f32>,
}

impl CudaSession {
    pub(super) fn new(device: Arc<CudaDevice>) -> Self {
        let (recordings, fetched) = (Vec::new(), Vec::new());
        CudaSession {
            device,
            arena: None,
            control: None,
            scratch: None,
            recordings,
            kept: None,
            keeps: 0,
            fetched,
        }
    }

    fn own(&self, region: Region) -> Option<&Memory> {
        if region == Region::Control { self.control.as_ref() } else { self.arena.as_ref() }
    }

    /// Where bytes of a buffer lie.
    fn address(&self, shared: &Shared, place: (Region, usize), len: usize) -> Result<u64> {
        if !placement::is_transient(place.0) {
            return shared.address(place, len);
        }
        let memory = self.own(place.0).filter(|memory| place.1 + len <= memory.bytes).ok_or_else(not_open)?;
        Ok(memory.address + place.1 as u64)
    }

    /// Refuses a program that was not opened in this session, whose memory it would leave.
    fn check_room(&self, program: &Program) -> Result<()> {
        let has = |memory: Option<&Memory>, bytes: usize| memory.is_some_and(|memory| memory.bytes >= bytes);
        let plan = &program.plan;
        let room = [Region::Arena, Region::Control].map(|r| has(self.own(r), plan.region_bytes(r)));
        if room == [true, true] && has(self.scratch.as_ref(), program.scratch) {
            return Ok(());
        }
        Err(Error::Device(format!("{}: the plan is not open in this session", plan.name)))
    }

    /// Where everything lies that calls of an open program may name.
    fn addresses<'s>(&'s self, shared: &'s Shared) -> impl Fn(Place) -> u64 + 's {
        move |place: Place| {
            let memory = match place.base {
                Base::Region(region) if placement::is_transient(region) => self.own(region),
                Base::Region(region) => shared.regions.get(&region),
                Base::Narrow => shared.narrow.as_ref(),
                Base::Scratch => self.scratch.as_ref(),
            };
            let memory = memory.expect("a program that is loaded and open has its memory");
            debug_assert!(place.offset <= memory.bytes);
            memory.address + place.offset as u64
        }
    }

    fn resolve(&self, shared: &Shared, calls: &[Call<Place>]) -> Vec<Call<u64>> {
        let address = self.addresses(shared);
        calls.iter().map(|call| call.resolve(&address)).collect()
    }

    /// Makes the narrow parameters, unless they are those of the present ones. A program that changes parameters makes them
    /// itself, as its first call.
    fn narrow(&self, shared: &mut Shared, id: ProgramId) -> Result<()> {
        let program = shared.program(id)?;
        if let Some(call) = &program.narrowing
            && !program.writes_persistent
            && shared.narrowed != shared.written
        {
            let calls = self.resolve(shared, std::slice::from_ref(call));
            self.device.driver().play(&calls)?;
            shared.narrowed = shared.written;
        }
        Ok(())
    }

    /// Hands a run over.
    fn replay(&mut self, id: ProgramId) -> Result<()> {
        let device = Arc::clone(&self.device);
        let mut shared = device.lock()?;
        self.check_room(shared.program(id)?)?;
        self.narrow(&mut shared, id)?;
        if self.recordings.len() <= id.0 {
            self.recordings.resize_with(id.0 + 1, || None);
        }
        if self.recordings[id.0].is_none() {
            let program = shared.program(id)?;
            let first = program.narrowing.iter().filter(|_| program.writes_persistent);
            let calls: Vec<Call<Place>> = first.chain(program.steps.iter().flatten()).cloned().collect();
            self.recordings[id.0] = Some(device.driver().record(&self.resolve(&shared, &calls))?);
        }
        if let Some(recording) = &self.recordings[id.0] {
            recording.replay()?;
        }
        shared.written += u64::from(shared.program(id)?.writes_persistent);
        Ok(())
    }

    /// A run step by step, each with its time.
    fn timed(&mut self, id: ProgramId, times: &mut [Duration]) -> Result<()> {
        let mut shared = self.device.lock()?;
        self.check_room(shared.program(id)?)?;
        self.narrow(&mut shared, id)?;
        let program = shared.program(id)?;
        if let Some(call) = program.narrowing.as_ref().filter(|_| program.writes_persistent) {
            self.device.driver().play(&self.resolve(&shared, std::slice::from_ref(call)))?;
        }
        for ((step, calls), time) in program.plan.steps.iter().zip(&program.steps).zip(times) {
            let taken = self.device.driver().time(&self.resolve(&shared, calls));
            *time += taken.map_err(|e| Error::Device(format!("step {}: {e}", step.name)))?;
        }
        shared.written += u64::from(shared.program(id)?.writes_persistent);
        Ok(())
    }

    /// Copies numbers of the last run to where the next ones do not overwrite them.
    fn keep(&mut self, program: ProgramId, keep: &[BufferId]) -> Result<()> {
        const SIZE: usize = size_of::<f32>();
        let room = (DEPTH * keep.len().max(1)) * SIZE;
        if self.kept.as_ref().is_none_or(|kept| (self.keeps + keep.len()) * SIZE > kept.bytes) {
            self.fetch()?;
            if self.kept.as_ref().is_none_or(|kept| kept.bytes < room) {
                self.kept = Some(self.device.driver().allocate(room, Fill::Anything)?);
            }
        }
        let shared = self.device.lock()?;
        for &buffer in keep {
            let place = placement::place(&shared.program(program)?.plan, buffer, SIZE)?;
            let from = self.address(&shared, place, SIZE)?;
            let to = self.kept.as_ref().map_or(0, |kept| kept.address) + (self.keeps * SIZE) as u64;
            self.device.driver().copy(from, to, SIZE)?;
            self.keeps += 1;
        }
        Ok(())
    }

    /// Reads what is kept.
    fn fetch(&mut self) -> Result<()> {
        if let Some(kept) = self.kept.as_ref().filter(|_| self.keeps > 0) {
            let mut bytes = vec![0; self.keeps * size_of::<f32>()];
            self.device.driver().download(kept.address, &mut bytes)?;
            let values =
                bytes.chunks_exact(size_of::<f32>()).map(|b| f32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
            self.fetched.extend(values);
            self.keeps = 0;
        }
        Ok(())
    }
}

/// Makes room for so many bytes; whether memory is a new one.
fn grow(memory: &mut Option<Memory>, bytes: usize, driver: &dyn Driver) -> Result<bool> {
    if memory.as_ref().is_some_and(|memory| memory.bytes >= bytes) {
        return Ok(false);
    }
    // The old memory goes first: there may not be room for both.
    *memory = None;
    *memory = Some(driver.allocate(bytes, Fill::Anything)?);
    Ok(true)
}

impl Session for CudaSession {
    fn device(&self) -> &dyn Device {
        &*self.device
    }

    fn open(&mut self, program: ProgramId) -> Result<()> {
        let device = Arc::clone(&self.device);
        let shared = device.lock()?;
        let program = shared.program(program)?;
        let [arena, control] = [Region::Arena, Region::Control].map(|r| program.plan.region_bytes(r));
        // What is under way still uses the memory that goes.
        device.driver().wait()?;
        let grown = [
            grow(&mut self.arena, arena, &**device.driver())?,
            grow(&mut self.control, control, &**device.driver())?,
            grow(&mut self.scratch, program.scratch, &**device.driver())?,
        ];
        if grown.contains(&true) {
            self.recordings.clear();
        }
        Ok(())
    }

    fn write(&mut self, program: ProgramId, buffer: BufferId, bytes: &[u8]) -> Result<()> {
        let shared = self.device.lock()?;
        let place = placement::place(&shared.program(program)?.plan, buffer, bytes.len())?;
        if !placement::is_transient(place.0) {
            drop(shared);
            return self.device.write(program, buffer, bytes);
        }
        self.device.driver().upload(self.address(&shared, place, bytes.len())?, bytes)
    }

    fn read(&self, program: ProgramId, buffer: BufferId, bytes: &mut [u8]) -> Result<()> {
        let shared = self.device.lock()?;
        let place = placement::place(&shared.program(program)?.plan, buffer, bytes.len())?;
        self.device.driver().download(self.address(&shared, place, bytes.len())?, bytes)
    }

    fn run(&mut self, program: ProgramId, times: Option<&mut [Duration]>) -> Result<()> {
        match times {
            Some(times) => self.timed(program, times),
            None => self.replay(program).and_then(|()| self.device.driver().wait()),
        }
    }

    fn submit(&mut self, program: ProgramId, inputs: &Inputs<'_>, keep: &[BufferId]) -> Result<()> {
        for (buffer, bytes) in inputs {
            self.write(program, *buffer, bytes)?;
        }
        self.replay(program)?;
        self.keep(program, keep)
    }

    fn collect(&mut self, kept: &mut Vec<f32>) -> Result<()> {
        self.fetch()?;
        self.device.driver().wait()?;
        kept.append(&mut self.fetched);
        Ok(())
    }

    fn depth(&self) -> usize {
        DEPTH
    }
}

fn not_open() -> Error {
    Error::Device("cuda: the plan is not open in this session".to_owned())
}

impl Device for CudaDevice {
    fn describe(&self) -> String {
        self.driver().describe()
    }

    fn backend(&self) -> Backend {
        CudaDevice::BACKEND
    }

    fn load(&self, plan: Arc<Plan>) -> Result<ProgramId> {
        self.take_in(plan)
    }

    fn session(self: Arc<Self>) -> Result<Box<dyn Session>> {
        Ok(Box::new(CudaSession::new(self)))
    }

    fn write(&self, program: ProgramId, buffer: BufferId, bytes: &[u8]) -> Result<()> {
        let mut shared = self.lock()?;
        let place = placement::place(&shared.program(program)?.plan, buffer, bytes.len())?;
        self.set(&mut shared, place, bytes)
    }

    fn read(&self, program: ProgramId, buffer: BufferId, bytes: &mut [u8]) -> Result<()> {
        let shared = self.lock()?;
        let place = placement::place(&shared.program(program)?.plan, buffer, bytes.len())?;
        self.get(&shared, place, bytes)
    }

    fn write_optimizer(&self, program: ProgramId, param: BufferId, tensor: u8, bytes: &[u8]) -> Result<()> {
        let mut shared = self.lock()?;
        let plan = &shared.program(program)?.plan;
        let place = placement::optimizer_place(plan, param, tensor, bytes.len())?;
        self.set(&mut shared, place, bytes)
    }

    fn read_optimizer(
        &self,
        program: ProgramId,
        param: BufferId,
        tensor: u8,
        bytes: &mut [u8],
    ) -> Result<()> {
        let shared = self.lock()?;
        let plan = &shared.program(program)?.plan;
        let place = placement::optimizer_place(plan, param, tensor, bytes.len())?;
        self.get(&shared, place, bytes)
    }
}
