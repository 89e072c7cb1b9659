//! Sessions: the memory of a run, and its calls, recorded the first time and replayed from then on; behind the trait that the executor
//! knows.

use std::sync::Arc;
use std::time::Duration;

use resnetc_compiler::plan::{BufferId, Region};

use super::device::{CudaDevice, Program, Shared};
use super::driver::{Driver, Fill, Memory, Recording};
use super::feed::{ImageMaker, Slot, copies};
use super::launch::{Base, Call, Place};
use super::rounds::{Recorder, Rounds, Shape};
use crate::data::batch::{Form, Preparation};
use crate::device::{Device, Inputs, ProgramId, Session, Until};
use crate::error::{Error, Result};
use crate::placement;

/// Arena, control and scratch memory over a device's weights.
pub struct CudaSession {
    device: Arc<CudaDevice>,
    arena: Option<Memory>,
    control: Option<Memory>,
    scratch: Option<Memory>,
    /// Of each program that has run in this memory.
    recordings: Vec<Option<Box<dyn Recording>>>,
    /// What makes images of pictures, each with the programs that it makes them for.
    images: Vec<(ImageMaker, Vec<ProgramId>)>,
    rounds: Rounds,
}

impl CudaSession {
    pub(super) fn new(device: Arc<CudaDevice>) -> Self {
        let rounds = Rounds::new(device.runs_of_a_launch());
        let (arena, control, scratch) = (None, None, None);
        CudaSession { device, arena, control, scratch, recordings: Vec::new(), images: Vec::new(), rounds }
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
            if self.device.checks_steps() {
                self.device.driver().wait().map_err(|error| of_step(NARROWING, &error))?;
            }
            shared.narrowed = shared.written;
        }
        Ok(())
    }

    /// The calls of a run, from what it makes of parameters to its last step, by steps.
    fn calls(&self, shared: &Shared, program: &Program) -> Vec<Named> {
        let first = program.narrowing.iter().filter(|_| program.writes_persistent);
        let first =
            first.map(|call| (NARROWING.to_owned(), self.resolve(shared, std::slice::from_ref(call))));
        let steps = program.plan.steps.iter().zip(&program.steps);
        first.chain(steps.map(|(step, calls)| (step.name.clone(), self.resolve(shared, calls)))).collect()
    }

    /// A recording of calls, or what stands for one where each step is waited for.
    fn recorded(&self, steps: Vec<Named>) -> Result<Box<dyn Recording>> {
        let driver = self.device.driver();
        if self.device.checks_steps() {
            return Ok(Box::new(Checked { driver: Arc::clone(driver), steps }));
        }
        let calls: Vec<Call<u64>> = steps.into_iter().flat_map(|(_, calls)| calls).collect();
        driver.record(&calls)
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
            let calls = self.calls(&shared, shared.program(id)?);
            self.recordings[id.0] = Some(self.recorded(calls)?);
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
            let taken = self.device.driver().time(&step.name, &self.resolve(&shared, calls));
            *time += taken.map_err(|error| of_step(&step.name, &error))?;
        }
        shared.written += u64::from(shared.program(id)?.writes_persistent);
        Ok(())
    }

    /// Does something with the submitted runs, whose recorder is this session.
    fn with_rounds(&mut self, act: impl FnOnce(&mut Rounds, &dyn Recorder) -> Result<()>) -> Result<()> {
        let mut rounds = std::mem::replace(&mut self.rounds, Rounds::new(None));
        let done = act(&mut rounds, self);
        self.rounds = rounds;
        done
    }

    /// Refuses to look at memory that submitted runs may still write.
    fn check_idle(&self) -> Result<()> {
        match self.rounds.is_idle() {
            true => Ok(()),
            false => Err(Error::Device("cuda: runs have not been collected".to_owned())),
        }
    }

    /// Refuses launches that do not fit their kernels, as those of plans are when they are lowered.
    fn check<'c>(&self, mut calls: impl Iterator<Item = &'c Call<u64>>) -> Result<()> {
        calls.try_for_each(|call| match call {
            Call::Launch(launch) => self.device.driver().check(&launch.function, &launch.signature()),
            Call::Convolve(_) | Call::Normalise(_) | Call::Collective(_) => Ok(()),
        })
    }

    /// What makes images for a program.
    fn image_maker(&self, id: ProgramId) -> Option<&ImageMaker> {
        self.images.iter().find(|(_, programs)| programs.contains(&id)).map(|(maker, _)| maker)
    }

    /// What a run and its inputs are to a recording.
    fn shape(&self, shared: &Shared, id: ProgramId, inputs: &Inputs<'_>, keep: &[BufferId]) -> Result<Shape> {
        let plan = &shared.program(id)?.plan;
        for (buffer, bytes) in inputs.buffers {
            let place = placement::place(plan, *buffer, bytes.len())?;
            if !placement::is_transient(place.0) || bytes.len() % size_of::<u32>() != 0 {
                let name = &plan.buffer(*buffer).name;
                return Err(Error::Device(format!("cuda: `{name}` is no input of a run")));
            }
        }
        if let Some(pictures) = inputs.pictures {
            let maker = self
                .image_maker(id)
                .ok_or_else(|| Error::Device("cuda: pictures were not announced".to_owned()))?;
            maker.check(pictures, plan.batch)?;
        }
        let keep = keep.iter().map(|&id| (id, plan.buffer(id).bytes)).collect();
        Ok(Shape { program: id, slot: Slot::of(inputs), keep })
    }
}

impl Recorder for CudaSession {
    fn driver(&self) -> &dyn Driver {
        &**self.device.driver()
    }

    fn record(&self, run: &Shape, places: &[(u64, u64)]) -> Result<Box<dyn Recording>> {
        let shared = self.device.lock()?;
        let program = shared.program(run.program)?;
        let plan = &program.plan;
        let address = |id: BufferId| {
            let bytes = plan.buffer(id).bytes;
            self.address(&shared, placement::place(plan, id, bytes)?, bytes)
        };
        let own = self.calls(&shared, program);
        let mut calls = Vec::with_capacity(places.len() * (own.len() + 3));
        for &(slot, kept) in places {
            let mut before = run.slot.spread(slot, address)?;
            if let Some(maker) = self.image_maker(run.program).filter(|_| run.slot.has_pictures()) {
                before.push(maker.call(slot, &run.slot, plan, address(plan.input)?)?);
            }
            let behind = keep(run, kept, address)?;
            self.check(before.iter().chain(&behind))?;
            calls.push(("the images".to_owned(), before));
            calls.extend(own.iter().cloned());
            calls.push(("what is kept of a run".to_owned(), behind));
        }
        self.recorded(calls)
    }

    fn ready(&self, program: ProgramId, runs: u64) -> Result<()> {
        let mut shared = self.device.lock()?;
        self.check_room(shared.program(program)?)?;
        self.narrow(&mut shared, program)?;
        shared.written += runs * u64::from(shared.program(program)?.writes_persistent);
        Ok(())
    }
}

/// What makes the narrow parameters, as a step is called.
const NARROWING: &str = "the parameters in the narrow type";

/// Calls of a step, with its name.
type Named = (String, Vec<Call<u64>>);

/// Steps that are waited for one by one.
struct Checked {
    driver: Arc<dyn Driver>,
    steps: Vec<Named>,
}

impl Recording for Checked {
    fn replay(&self) -> Result<()> {
        self.steps.iter().try_for_each(|(name, calls)| {
            let done = self.driver.play(calls).and_then(|()| self.driver.wait());
            done.map_err(|error| of_step(name, &error))
        })
    }
}

fn of_step(name: &str, error: &Error) -> Error {
    Error::Device(format!("step {name}: {error}"))
}

/// The calls that put what a run keeps to where the next one does not overwrite it.
fn keep(run: &Shape, mut to: u64, address: impl Fn(BufferId) -> Result<u64>) -> Result<Vec<Call<u64>>> {
    let mut pieces = Vec::with_capacity(run.keep.len());
    for &(id, bytes) in &run.keep {
        pieces.push((address(id)?, to, bytes));
        to += bytes as u64;
    }
    copies(&pieces)
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
        self.check_idle()?;
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
            self.rounds.forget();
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
        self.check_idle()?;
        let shared = self.device.lock()?;
        let place = placement::place(&shared.program(program)?.plan, buffer, bytes.len())?;
        self.device.driver().download(self.address(&shared, place, bytes.len())?, bytes)
    }

    fn run(&mut self, program: ProgramId, times: Option<&mut [Duration]>) -> Result<()> {
        self.check_idle()?;
        match times {
            Some(times) => self.timed(program, times),
            None => self.replay(program).and_then(|()| self.device.driver().wait()),
        }
    }

    fn prepare_images(&mut self, programs: &[ProgramId], preparation: &Preparation<'_>) -> Result<Form> {
        self.check_idle()?;
        let shared = self.device.lock()?;
        let plans = programs.iter().map(|&id| Ok(&*shared.program(id)?.plan));
        let plans = plans.collect::<Result<Vec<_>>>()?;
        // Memory of what they had goes first.
        self.images.retain(|(_, of)| !of.iter().any(|id| programs.contains(id)));
        let maker = ImageMaker::new(preparation, &plans, &**self.device.driver())?;
        drop(shared);
        self.rounds.forget();
        let form = maker.as_ref().map_or(Form::Floats, ImageMaker::form);
        self.images.extend(maker.map(|maker| (maker, programs.to_vec())));
        Ok(form)
    }

    fn submit(&mut self, program: ProgramId, inputs: &Inputs<'_>, keep: &[BufferId]) -> Result<()> {
        let device = Arc::clone(&self.device);
        let shape = self.shape(&*device.lock()?, program, inputs, keep)?;
        self.with_rounds(|rounds, recorder| rounds.submit(recorder, shape, inputs))
    }

    fn collect(&mut self, until: Until, kept: &mut Vec<f32>) -> Result<()> {
        self.with_rounds(|rounds, recorder| rounds.collect(recorder, until, kept))
    }

    fn depth(&self) -> usize {
        self.rounds.depth()
    }
}

fn not_open() -> Error {
    Error::Device("cuda: the plan is not open in this session".to_owned())
}
