//! Convolutions, and what is shared with normalisations, by cuDNN: which engine does each, measured when it is prepared.

use std::sync::Arc;

use candle_core::CudaDevice as Candle;
use candle_core::cuda_backend::cudarc::driver::CudaStream;
use resnetc_compiler::ir::types::DType;

use super::bench::{Bench, Launcher};
use super::options::Options;
use crate::cuda::cudnn::library::version_text;
use crate::cuda::cudnn::{
    Budget, Cache, Compared, Handle, Job, Plan, Prepare, Role, Rules, Target, version, works,
};
use crate::cuda::launch::{Convolve, Direction, Prepared, Task, Ways};
use crate::cuda::normalise::NormTask;
use crate::engines::{Engines as Pins, Pin};
use crate::error::{Error, Result};

/// Convolutions that share the time for measuring: those of ResNet-50's training are about as many, and cuDNN is asked for them one
/// by one. What they leave is the others'.
const EXPECTED_WORKS: usize = 64;

/// Prepared convolutions and normalisations.
pub(super) struct Engines {
    pub(super) handle: Handle,
    pub(super) stream: Arc<CudaStream>,
    pub(super) cache: Option<Cache>,
    pub(super) budget: Budget,
    pub(super) ready: Vec<Ready>,
    /// Fused convolutions that are done in parts.
    in_parts: Vec<Task>,
    /// Normalisations likewise.
    pub(super) norms_in_parts: Vec<NormTask>,
    /// What works have to be done by.
    pub(super) pinned: Pins,
    /// What they are done by, of those that have to be deterministic.
    pub(super) chosen: Pins,
}

/// What was asked for.
#[derive(PartialEq)]
pub(super) enum Asked {
    Convolution(Task),
    Normalisation(NormTask),
}

pub(super) struct Ready {
    pub asked: Asked,
    pub job: Job,
    pub result: DType,
    pub plan: Plan,
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
            in_parts: Vec::new(),
            norms_in_parts: Vec::new(),
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

    /// The engine of a prepared convolution or normalisation, with its settings.
    pub fn describe(&self, id: usize) -> Option<String> {
        let Ready { asked, plan, .. } = self.ready.get(id)?;
        let more = match asked {
            Asked::Convolution(Task { stats: true, .. }) | Asked::Normalisation(_) => ", with statistics",
            Asked::Convolution(Task { mask: true, .. }) => ", with the gradient of ReLU",
            Asked::Convolution(_) => "",
        };
        Some(format!("{}{more}", plan.engine()))
    }

    /// Makes a convolution ready; see `Driver::prepare`.
    pub fn prepare(&mut self, task: &Task, candle: &Candle) -> Result<Option<Prepared>> {
        let asked = Asked::Convolution(*task);
        if let Some(id) = self.ready.iter().position(|ready| ready.asked == asked) {
            return Ok(Some(self.prepared(id)));
        }
        let mut failed = Vec::new();
        for (work, result) in works(task)? {
            let job = Job::from(work);
            let made = self.plan(&job, task.deterministic, candle)?;
            if task.deterministic {
                let engine = made.as_ref().ok().map(|plan| plan.engine().to_string());
                self.chosen.chosen.insert(work.to_string(), engine);
            }
            match made {
                Ok(plan) => {
                    self.ready.push(Ready { asked, job, result, plan });
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

    /// Makes a fused convolution ready; see `Driver::prepare_fused`.
    pub fn prepare_fused(
        &mut self,
        ways: &Ways,
        candle: &Candle,
        launch: Launcher<'_>,
    ) -> Result<Option<Prepared>> {
        if self.in_parts.contains(&ways.fused) {
            return Ok(None);
        }
        let asked = Asked::Convolution(ways.fused);
        if self.ready.iter().any(|ready| ready.asked == asked) {
            return self.prepare(&ways.fused, candle);
        }
        let pin = self.pin(ways)?;
        let fused = if pin == Pin::InParts { None } else { self.prepare(&ways.fused, candle)? };
        let taken = match fused {
            Some(prepared) if pin == Pin::Free => {
                let compared = self.compare(ways, prepared.id, candle, launch)?;
                // Without time to find out it stays as it is everywhere else.
                compared.is_some_and(|compared| compared.fused_is_faster()).then_some(prepared)
            }
            taken => taken,
        };
        if taken.is_none() {
            self.leave_in_parts(&ways.fused)?;
        }
        Ok(taken)
    }

    /// What a checkpoint says of two ways.
    fn pin(&self, ways: &Ways) -> Result<Pin> {
        if !ways.fused.deterministic {
            return Ok(Pin::Free);
        }
        let name = |task| -> Result<String> {
            Ok(works(task)?.first().map(|(work, _)| work.to_string()).unwrap_or_default())
        };
        Ok(self.pinned.pin(&name(&ways.fused)?, &name(&ways.plain)?))
    }

    fn leave_in_parts(&mut self, fused: &Task) -> Result<()> {
        self.in_parts.push(*fused);
        if fused.deterministic {
            self.chosen.chosen.extend(works(fused)?.iter().map(|(work, _)| (work.to_string(), None)));
        }
        Ok(())
    }

    /// Times of both ways; nothing where there is no time to find them out.
    fn compare(
        &mut self,
        ways: &Ways,
        fused: usize,
        candle: &Candle,
        launch: Launcher<'_>,
    ) -> Result<Option<Compared>> {
        let Some(plain) = self.prepare(&ways.plain, candle)? else { return Ok(None) };
        let target = Target::here(&self.handle)?;
        let rules = Rules::taken(ways.fused.deterministic);
        let prepare = Prepare { target: &target, rules, cache: self.cache.as_ref() };
        let bench = Bench { candle, stream: &self.stream, handle: &self.handle };
        let way = |id: usize, behind| -> Result<f64> {
            let Ready { job, plan, .. } = &self.ready[id];
            Ok(bench.plan(job, plan)? + bench.launches(behind, ways.scratch, launch)?)
        };
        let measure = || {
            let (fused, parts) = (way(fused, &ways.behind_fused)?, way(plain.id, &ways.behind_plain)?);
            Ok(Compared { fused, parts })
        };
        prepare.compared(&self.ready[fused].job, &mut self.budget, measure)
    }

    pub(super) fn prepared(&self, id: usize) -> Prepared {
        let Ready { result, plan, .. } = &self.ready[id];
        Prepared { id, workspace: usize::try_from(plan.workspace()).unwrap_or(usize::MAX), result: *result }
    }

    /// A work's plan, or why there is none; an error where it is pinned to one that cannot be had.
    pub(super) fn plan(
        &mut self,
        job: &Job,
        deterministic: bool,
        candle: &Candle,
    ) -> Result<std::result::Result<Plan, String>> {
        let target = Target::here(&self.handle)?;
        let rules = Rules::taken(deterministic);
        let prepare = Prepare { target: &target, rules, cache: self.cache.as_ref() };
        let name = job.to_string();
        match self.pinned.chosen.get(&name).filter(|_| deterministic) {
            Some(None) => Ok(Err("it had none when the training began".to_owned())),
            Some(Some(engine)) => match prepare.pinned(job, engine) {
                Ok(prepared) => Ok(Ok(prepared.plan)),
                Err(error) => Err(self.pinned.gone(&name, engine, &error.to_string())),
            },
            None => {
                let bench = Bench { candle, stream: &self.stream, handle: &self.handle };
                let mut time = |plan: &Plan| bench.plan(job, plan);
                let made = prepare.plan(job, Some(&mut time), &mut self.budget);
                Ok(made.map(|prepared| prepared.plan).map_err(|error| error.to_string()))
            }
        }
    }

    /// Puts a convolution onto the stream.
    pub fn run(&self, conv: &Convolve<u64>) -> Result<()> {
        let Ready { asked, plan, .. } = &self.ready[conv.id];
        let Asked::Convolution(task) = asked else {
            return Err(Error::Device(format!("cuda: what is prepared as {} is no convolution", conv.id)));
        };
        let [x, weight, y] = roles(task.direction);
        let mut tensors = vec![(x, conv.x), (weight, conv.weight), (y, conv.y)];
        tensors.extend(conv.bias.map(|address| (Role::Bias, address)));
        tensors.extend(conv.residual.map(|address| (Role::Residual, address)));
        if let Some([sum, squares]) = conv.sums {
            tensors.extend([(Role::Sum, sum), (Role::SumProducts, squares)]);
        }
        tensors.extend(conv.mask.map(|address| (Role::Mask, address)));
        let bound = plan.bind(&tensors, &[], conv.workspace)?;
        // SAFETY: the plan is for this handle's GPU. Operands are packed maps and weights of the task's sizes and vectors of as many floats
        // as it has channels, at multiples of 16 bytes, in memory that device and session hold; the workspace is as large as the plan wants. The stream orders all uses.
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
