//! Normalisations by cuDNN, which are measured against own kernels when they are prepared.

use candle_core::CudaDevice as Candle;

use super::bench::{Bench, Launcher};
use super::engines::{Asked, Engines, Ready};
use crate::cuda::cudnn::{Compared, Job, Prepare, Role, Rules, Target, normalisation};
use crate::cuda::launch::{NormWays, Prepared};
use crate::cuda::normalise::{NormTask, Normalise};
use crate::engines::Pin;
use crate::error::{Error, Result};

impl Engines {
    /// Makes a normalisation ready; see `Preparer::prepare_norm`.
    pub fn prepare_norm(
        &mut self,
        ways: &NormWays,
        candle: &Candle,
        launch: Launcher<'_>,
    ) -> Result<Option<Prepared>> {
        let asked = Asked::Normalisation(ways.fused);
        if let Some(id) = self.ready.iter().position(|ready| ready.asked == asked) {
            return Ok(Some(self.prepared(id)));
        }
        if self.norms_in_parts.contains(&ways.fused) {
            return Ok(None);
        }
        let (job, deterministic) = (Job::from(normalisation(&ways.fused)?), ways.fused.deterministic);
        let pin = if deterministic { self.pinned.pin_alone(&job.to_string()) } else { Pin::Free };
        let taken = match pin {
            Pin::InParts => false,
            // The plan is pinned; that there is none is an error.
            Pin::Fused => self.ready_norm(ways, &job, candle)?,
            Pin::Free => self.is_worth_it(ways, &job, candle, launch)?,
        };
        if taken {
            return Ok(Some(self.prepared(self.ready.len() - 1)));
        }
        self.norms_in_parts.push(ways.fused);
        if deterministic {
            self.chosen.chosen.insert(job.to_string(), None);
        }
        Ok(None)
    }

    /// Whether it is the faster way, and ready then. Without time to find out it is not asked for an engine at all, which would be
    /// compiled for nothing.
    fn is_worth_it(
        &mut self,
        ways: &NormWays,
        job: &Job,
        candle: &Candle,
        launch: Launcher<'_>,
    ) -> Result<bool> {
        let target = Target::here(&self.handle)?;
        let rules = Rules::taken(ways.fused.deterministic);
        let known = Prepare { target: &target, rules, cache: self.cache.as_ref() }.known(job);
        let slower = known.is_some_and(|known| !known.fused_is_faster());
        if slower || (known.is_none() && self.budget.left().is_zero()) {
            return Ok(false);
        }
        if !self.ready_norm(ways, job, candle)? {
            return Ok(false);
        }
        let compared = self.compare_norm(ways, job, candle, launch)?;
        let is_faster = compared.is_some_and(|compared| compared.fused_is_faster());
        if !is_faster {
            self.ready.pop();
        }
        Ok(is_faster)
    }

    /// Makes its engine ready, if there is one.
    fn ready_norm(&mut self, ways: &NormWays, job: &Job, candle: &Candle) -> Result<bool> {
        let NormTask { deterministic, element, .. } = ways.fused;
        let Ok(plan) = self.plan(job, deterministic, candle)? else { return Ok(false) };
        if deterministic {
            self.chosen.chosen.insert(job.to_string(), Some(plan.engine().to_string()));
        }
        let asked = Asked::Normalisation(ways.fused);
        self.ready.push(Ready { asked, job: *job, result: element, plan });
        Ok(true)
    }

    /// Times of both ways, the engine being the last that was made ready; nothing where there is no time to find them out.
    fn compare_norm(
        &mut self,
        ways: &NormWays,
        job: &Job,
        candle: &Candle,
        launch: Launcher<'_>,
    ) -> Result<Option<Compared>> {
        let target = Target::here(&self.handle)?;
        let rules = Rules::taken(ways.fused.deterministic);
        let prepare = Prepare { target: &target, rules, cache: self.cache.as_ref() };
        let bench = Bench { candle, stream: &self.stream, handle: &self.handle };
        let Some(Ready { plan, .. }) = self.ready.last() else { return Ok(None) };
        let measure = || {
            let fused = bench.plan(job, plan)?;
            Ok(Compared { fused, parts: bench.launches(&ways.parts, ways.scratch, launch)? })
        };
        prepare.compared(job, &mut self.budget, measure)
    }

    /// Puts a normalisation onto the stream.
    pub fn run_norm(&self, norm: &Normalise<u64>) -> Result<()> {
        let ready = &self.ready[norm.id];
        let mut tensors = Vec::new();
        for &(name, address) in &norm.operands {
            tensors.extend(roles(name)?.iter().map(|&role| (role, address)));
        }
        let mut numbers = Vec::new();
        for &(name, number) in &norm.numbers {
            numbers.extend(roles(name)?.iter().map(|&role| (role, number)));
        }
        let bound = ready.plan.bind(&tensors, &numbers, norm.workspace)?;
        // SAFETY: the plan is for this handle's GPU. Operands are packed maps of the task's sizes and vectors of as many floats as it has
        // channels, at multiples of 16 bytes, in memory that device and session hold; the workspace is as large as the plan wants.
        // The stream orders all uses.
        unsafe { bound.run(&self.handle) }.map_err(Error::from)
    }
}

/// What an operand is to cuDNN. Running statistics are updated in place: of each channel one thread reads the old value and then writes
/// the new one.
fn roles(name: &str) -> Result<&'static [Role]> {
    Ok(match name {
        "x" => &[Role::X],
        "y" => &[Role::Y],
        "residual" => &[Role::Residual],
        "scale" => &[Role::Scale],
        "shift" => &[Role::Shift],
        "mean" => &[Role::Mean],
        "rstd" => &[Role::Rstd],
        "running_mean" => &[Role::RunningMean, Role::NextRunningMean],
        "running_var" => &[Role::RunningVar, Role::NextRunningVar],
        "dy" => &[Role::Dy],
        "dx" => &[Role::Dx],
        "dscale" => &[Role::Dscale],
        "dshift" => &[Role::Dshift],
        "eps" => &[Role::Epsilon],
        "momentum" => &[Role::Momentum],
        _ => return Err(Error::Device(format!("cuda: cuDNN knows no operand `{name}` of a normalisation"))),
    })
}
