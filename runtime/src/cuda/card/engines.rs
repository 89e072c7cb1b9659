//! Convolutions by cuDNN: which engine does each, measured when it is prepared.

use std::sync::Arc;

use candle_core::CudaDevice as Candle;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaStream, DevicePtr, sys};
use resnetc_compiler::ir::types::DType;

use super::fault::fault;
use super::options::Options;
use crate::cuda::cudnn::library::version_text;
use crate::cuda::cudnn::{Budget, Cache, Handle, Plan, Prepare, Role, Rules, Target, Work, version, works};
use crate::cuda::launch::{Convolve, Direction, Prepared, Task};
use crate::engines::Engines as Pins;
use crate::error::{Error, Result};

/// Convolutions that share the time for measuring: those of ResNet-50's training are about as many, and cuDNN is asked for them one
/// by one. What they leave is the others'.
const EXPECTED_WORKS: usize = 64;
/// Runs that are timed together; one before them warms up.
const TIMED_RUNS: u32 = 4;

/// Prepared convolutions.
pub(super) struct Engines {
    handle: Handle,
    stream: Arc<CudaStream>,
    cache: Option<Cache>,
    budget: Budget,
    ready: Vec<Ready>,
    /// What works have to be done by.
    pinned: Pins,
    /// What they are done by, of those that have to be deterministic.
    chosen: Pins,
}

struct Ready {
    task: Task,
    result: DType,
    plan: Plan,
}

impl Engines {
    pub fn new(stream: &Arc<CudaStream>, options: &Options) -> Result<Self> {
        let handle = Handle::new(stream)?;
        let here = format!("{}, cuDNN {}", Target::here(&handle)?.device().key(), version_text(version()));
        let pinned = options.engines.clone();
        pinned.check(&here)?;
        Ok(Engines {
            handle,
            stream: Arc::clone(stream),
            cache: options.plans.as_deref().map(Cache::in_folder),
            budget: Budget::new(options.measuring, EXPECTED_WORKS),
            ready: Vec::new(),
            pinned,
            chosen: Pins::of(here),
        })
    }

    /// See `Driver::engines`.
    pub fn chosen(&self) -> Pins {
        self.chosen.clone()
    }

    /// Of cuDNN: `9.13.0`.
    pub fn version(&self) -> String {
        version_text(version())
    }

    /// The engine of a prepared convolution, with its settings.
    pub fn describe(&self, id: usize) -> Option<String> {
        Some(self.ready.get(id)?.plan.engine().to_string())
    }

    /// Makes a convolution ready; see `Driver::prepare`.
    pub fn prepare(&mut self, task: &Task, candle: &Candle) -> Result<Option<Prepared>> {
        if let Some(id) = self.ready.iter().position(|ready| ready.task == *task) {
            return Ok(Some(self.prepared(id)));
        }
        let mut failed = Vec::new();
        for (work, result) in works(task)? {
            let made = self.plan(&work, task.deterministic, candle)?;
            if task.deterministic {
                let engine = made.as_ref().ok().map(|plan| plan.engine().to_string());
                self.chosen.chosen.insert(work.to_string(), engine);
            }
            match made {
                Ok(plan) => {
                    self.ready.push(Ready { task: *task, result, plan });
                    return Ok(Some(self.prepared(self.ready.len() - 1)));
                }
                Err(why) => failed.push(format!("{}: {why}", work.types())),
            }
        }
        match task.has_epilogue() {
            true => Ok(None),
            false => Err(Error::Device(format!("cuDNN has no engine: {}", failed.join("; ")))),
        }
    }

    fn prepared(&self, id: usize) -> Prepared {
        let Ready { result, plan, .. } = &self.ready[id];
        Prepared { id, workspace: usize::try_from(plan.workspace()).unwrap_or(usize::MAX), result: *result }
    }

    /// A work's plan, or why there is none; an error where it is pinned to one that cannot be had.
    fn plan(
        &mut self,
        work: &Work,
        deterministic: bool,
        candle: &Candle,
    ) -> Result<std::result::Result<Plan, String>> {
        let target = Target::here(&self.handle)?;
        let rules = Rules::taken(deterministic);
        let prepare = Prepare { target: &target, rules, cache: self.cache.as_ref() };
        let name = work.to_string();
        match self.pinned.chosen.get(&name).filter(|_| deterministic) {
            Some(None) => Ok(Err("it had none when the training began".to_owned())),
            Some(Some(engine)) => match prepare.pinned(work, engine) {
                Ok(prepared) => Ok(Ok(prepared.plan)),
                Err(error) => Err(self.pinned.gone(&name, engine, &error.to_string())),
            },
            None => {
                let bench = Bench { work, candle, stream: &self.stream, handle: &self.handle };
                let mut time = |plan: &Plan| bench.time(plan);
                let made = prepare.plan(work, Some(&mut time), &mut self.budget);
                Ok(made.map(|prepared| prepared.plan).map_err(|error| error.to_string()))
            }
        }
    }

    /// Puts a convolution onto the stream.
    pub fn run(&self, conv: &Convolve<u64>) -> Result<()> {
        let Ready { task, plan, .. } = &self.ready[conv.id];
        let [x, weight, y] = roles(task.direction);
        let mut tensors = vec![(x, conv.x), (weight, conv.weight), (y, conv.y)];
        tensors.extend(conv.bias.map(|address| (Role::Bias, address)));
        tensors.extend(conv.residual.map(|address| (Role::Residual, address)));
        let bound = plan.bind(&tensors, conv.workspace)?;
        // SAFETY: the plan is for this handle's GPU. Operands are packed maps and weights of the task's sizes, at multiples of 16
        // bytes, in memory that device and session hold; the workspace is as large as the plan wants. The stream orders all uses.
        unsafe { bound.run(&self.handle) }.map_err(Error::from)
    }
}

/// Names of the operands `x`, `weight`, `y` of a [`Convolve`].
fn roles(direction: Direction) -> [Role; 3] {
    match direction {
        Direction::Forward => [Role::X, Role::Weight, Role::Y],
        Direction::BackwardData => [Role::Dx, Role::Weight, Role::Dy],
        Direction::BackwardFilter => [Role::X, Role::Dweight, Role::Dy],
    }
}

/// Memory and events to time plans of a work with.
struct Bench<'a> {
    work: &'a Work,
    candle: &'a Candle,
    stream: &'a Arc<CudaStream>,
    handle: &'a Handle,
}

impl Bench<'_> {
    /// Seconds of a run, on zeros.
    fn time(&self, plan: &Plan) -> Result<f64> {
        let mut memory: Vec<CudaSlice<u8>> = Vec::new();
        let mut tensors = Vec::new();
        for role in plan.roles() {
            let slice = self.candle.alloc_zeros(self.work.bytes(role))?;
            tensors.push((role, slice.device_ptr(self.stream).0));
            memory.push(slice);
        }
        let workspace: CudaSlice<u8> = self.candle.alloc_zeros(plan.workspace().max(1) as usize)?;
        let bound = plan.bind(&tensors, workspace.device_ptr(self.stream).0)?;
        // SAFETY: the memory above is as large as the work's tensors and the plan's workspace, and lives until the wait below.
        let run = || unsafe { bound.run(self.handle) }.map_err(Error::from);
        let event = || {
            let timed = sys::CUevent_flags::CU_EVENT_DEFAULT;
            self.stream.record_event(Some(timed)).map_err(|e| fault("an event", &e))
        };
        run()?;
        let start = event()?;
        (0..TIMED_RUNS).try_for_each(|_| run())?;
        let end = event()?;
        self.stream.synchronize().map_err(|e| fault("an engine that was measured", &e))?;
        let milliseconds = start.elapsed_ms(&end).map_err(|e| fault("an event", &e))?;
        Ok(f64::from(milliseconds) / 1e3 / f64::from(TIMED_RUNS))
    }
}
