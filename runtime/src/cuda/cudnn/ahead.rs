//! A network's plans, made ahead of time: those that a GPU's driver asks for, since the plan is lowered as for a GPU.

use std::cell::RefCell;

use resnetc_compiler::plan::Plan;

use super::compiled::Compiled;
use super::job::Job;
use super::prepare::Prepare;
use super::tasks::{normalisation, works};
use crate::cuda::driver::Preparer;
use crate::cuda::launch::{NormWays, Prepared, Task, Ways};
use crate::cuda::lower::lower;
use crate::error::Result;

/// Makes and keeps plans of all convolutions and normalisations of a network's plan: of each the best ways, at most `most`. `told` hears how many
/// convolutions are done, of how many.
///
/// # Errors
/// Where cuDNN fails, or a plan cannot be written. That a work has no plan is no error: its [`Compiled`] says why.
pub fn compile(
    prepare: &Prepare<'_>,
    plan: &Plan,
    most: usize,
    told: &mut dyn FnMut(usize, usize),
) -> Result<Vec<(Job, Compiled)>> {
    let of = plan.steps.iter().filter(|step| step.kernel.conv_geometry().is_some()).count();
    told(0, of);
    let state = RefCell::new(State { made: Vec::new(), asked: 0, of, told });
    lower(plan, &Ahead { prepare, most, state: &state })?;
    let State { made, told, .. } = state.into_inner();
    told(of, of);
    Ok(made)
}

/// Compiles what lowering asks for.
struct Ahead<'a, 't> {
    prepare: &'a Prepare<'a>,
    most: usize,
    state: &'a RefCell<State<'t>>,
}

struct State<'t> {
    made: Vec<(Job, Compiled)>,
    asked: usize,
    of: usize,
    told: &'t mut dyn FnMut(usize, usize),
}

impl Ahead<'_, '_> {
    /// Whether a work has plans; makes them the first time.
    fn has_plans(&self, job: impl Into<Job>) -> Result<bool> {
        let job = job.into();
        let mut state = self.state.borrow_mut();
        if let Some((_, compiled)) = state.made.iter().find(|(known, _)| *known == job) {
            return Ok(!compiled.plans.is_empty());
        }
        let compiled = self.prepare.compile(&job, self.most)?;
        let has = !compiled.plans.is_empty();
        state.made.push((job, compiled));
        Ok(has)
    }
}

impl Preparer for Ahead<'_, '_> {
    fn check(&self, _function: &str, _signature: &str) -> Result<()> {
        Ok(())
    }

    fn prepare(&self, task: &Task) -> Result<Option<Prepared>> {
        let (mut found, mut result) = (false, task.element);
        for (work, made) in works(task)? {
            if self.has_plans(work)? {
                (found, result) = (true, made);
                break;
            }
        }
        if !found && task.has_epilogue() {
            return Ok(None);
        }
        let state = &mut *self.state.borrow_mut();
        state.asked += 1;
        (state.told)(state.asked.min(state.of), state.of);
        // Nothing runs here: that a plain convolution has no plan either is told with the others.
        Ok(Some(Prepared { id: 0, workspace: 0, result }))
    }

    /// Which of both is faster shows where the GPU is: plans of both are made.
    fn prepare_fused(&self, ways: &Ways) -> Result<Option<Prepared>> {
        for (work, _) in works(&ways.fused)? {
            self.has_plans(work)?;
        }
        Ok(None)
    }

    /// Likewise: the parts are own kernels.
    fn prepare_norm(&self, ways: &NormWays) -> Result<Option<Prepared>> {
        self.has_plans(normalisation(&ways.fused)?)?;
        Ok(None)
    }
}
