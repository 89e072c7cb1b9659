//! An executor with the plans that a pass over a data set needs.

use std::sync::Arc;

use resnetc_compiler::ir::step_kind::StepKind;
use resnetc_compiler::plan::Plan;

use super::fit::input_size;
use crate::data::batch::{Form, Preparation};
use crate::device::Device;
use crate::engines::Engines;
use crate::error::{Error, Result};
use crate::exec::{Executor, RunArgs};
use crate::weights::ParamStore;

/// A network on a device, ready for a pass over so many images: a plan for full batches and, where the images do not
/// divide, one for the rest. Where several batches make an update, there is one more for those that only add to its gradients; the rest,
/// the last batch of all, ends an update. Of a training whose first images are smaller there are such plans for each size.
pub struct BatchExecutor {
    pub(super) exec: Executor,
    full: usize,
    own: Plans,
    /// For images of other `[height, width]` than the network's own.
    others: Vec<([usize; 2], Plans)>,
    /// Of full batches and of the rest.
    statistics: Option<(usize, Option<usize>)>,
    /// Of ranks that update by their own gradients.
    synchronizes: Option<usize>,
}

/// The executor's plans for images of one size.
#[derive(Debug, Clone, Copy, Default)]
struct Plans {
    /// For full batches.
    full: usize,
    /// For the rest.
    rest: Option<usize>,
    /// For full batches that end no update.
    gathers: Option<usize>,
}

impl BatchExecutor {
    /// Compiles and loads what `images` need at `batch_size`; the plan of full batches is the executor's first.
    ///
    /// # Errors
    /// Those of `compile` and of the device.
    pub fn load<E: From<Error>>(
        device: Arc<dyn Device>,
        images: usize,
        batch_size: usize,
        compile: impl FnMut(usize) -> Result<Arc<Plan>, E>,
    ) -> Result<Self, E> {
        Self::load_full(device, images, batch_size.min(images).max(1), compile)
    }

    /// The same where full batches have so many images, also if there are fewer images: other processes have more.
    ///
    /// # Errors
    /// Those of [`BatchExecutor::load`].
    pub fn load_full<E: From<Error>>(
        device: Arc<dyn Device>,
        images: usize,
        full: usize,
        mut compile: impl FnMut(usize) -> Result<Arc<Plan>, E>,
    ) -> Result<Self, E> {
        let mut exec = Executor::new(device, compile(full)?)?;
        let rest = match images % full {
            0 => None,
            rest => Some(exec.add(compile(rest)?)?),
        };
        let own = Plans { rest, ..Plans::default() };
        Ok(BatchExecutor { exec, full, own, others: Vec::new(), statistics: None, synchronizes: None })
    }

    /// Adds the plans for images of another `[height, width]`, of the same batches as those that are there. `compile` is told what a plan's
    /// step is for.
    ///
    /// # Errors
    /// Those of `compile` and of the device; [`Error::Incompatible`] where a plan has other parameters, or takes other images.
    pub fn with_size<E: From<Error>>(
        mut self,
        size: [usize; 2],
        mut compile: impl FnMut(StepKind, usize) -> Result<Arc<Plan>, E>,
    ) -> Result<Self, E> {
        let rest = self.rest_images();
        let mut add = |step, images| {
            let plan = compile(step, images)?;
            let [height, width, _] = input_size(&plan)?;
            if [height, width] != size {
                let given = format!("a plan for images of {height}x{width} is given for {}", by(size));
                return Err(Error::Incompatible(given).into());
            }
            Ok::<_, E>(self.exec.add(plan)?)
        };
        let full = add(StepKind::Update, self.full)?;
        let rest = rest.map(|images| add(StepKind::Update, images)).transpose()?;
        let gathers = self.own.gathers.map(|_| add(StepKind::Gather, self.full)).transpose()?;
        self.others.push((size, Plans { full, rest, gathers }));
        Ok(self)
    }

    /// Whether there are plans for images of that `[height, width]`.
    ///
    /// # Errors
    /// [`Error::Incompatible`] where there are none.
    pub(super) fn check_size(&self, size: [usize; 2]) -> Result<(), Error> {
        self.plans(size).map(drop)
    }

    /// Asks whether the device makes images of that size of a source's pictures itself.
    ///
    /// # Errors
    /// The device's; where there are no plans for that size.
    pub(super) fn prepare_images(
        &mut self,
        size: [usize; 2],
        preparation: &Preparation<'_>,
    ) -> Result<Form, Error> {
        let plans = self.plans(size)?;
        let mut indices: Vec<usize> =
            [Some(plans.full), plans.rest, plans.gathers].into_iter().flatten().collect();
        if plans.full == self.own.full {
            indices.extend(self.statistics.iter().flat_map(|&(full, rest)| [Some(full), rest]).flatten());
        }
        self.exec.prepare_images_of(&indices, preparation)
    }

    /// The plans for images of that `[height, width]`.
    fn plans(&self, size: [usize; 2]) -> Result<Plans, Error> {
        let [height, width, _] = input_size(self.plan())?;
        if size == [height, width] {
            return Ok(self.own);
        }
        let found = self.others.iter().find(|(other, _)| *other == size).map(|(_, plans)| *plans);
        found.ok_or_else(|| {
            Error::Incompatible(format!("`{}` has no plan for images of {}", self.plan().name, by(size)))
        })
    }

    /// The engines that its device has chosen: see [`Device::engines`].
    ///
    /// # Errors
    /// Where the device has failed.
    pub fn engines(&self) -> Result<Engines> {
        self.exec.device().engines()
    }

    /// Adds the plan of full batches that only add their gradients to a sum.
    ///
    /// # Errors
    /// Those of `compile` and of the device.
    pub fn gathering<E: From<Error>>(
        mut self,
        compile: impl FnOnce(usize) -> Result<Arc<Plan>, E>,
    ) -> Result<Self, E> {
        self.own.gathers = Some(self.exec.add(compile(self.full)?)?);
        Ok(self)
    }

    /// Adds the plans that find the statistics of batches.
    ///
    /// # Errors
    /// Those of `compile` and of the device.
    pub fn finding_statistics<E: From<Error>>(
        mut self,
        mut compile: impl FnMut(usize) -> Result<Arc<Plan>, E>,
    ) -> Result<Self, E> {
        let full = self.exec.add(compile(self.full)?)?;
        let rest = self.rest_images();
        let rest = rest.map(|images| self.exec.add(compile(images)?).map_err(E::from)).transpose()?;
        self.statistics = Some((full, rest));
        Ok(self)
    }

    /// Adds the plan by which ranks that update by their own gradients become one again.
    ///
    /// # Errors
    /// Those of `compile` and of the device.
    pub fn synchronizing<E: From<Error>>(
        mut self,
        compile: impl FnOnce(usize) -> Result<Arc<Plan>, E>,
    ) -> Result<Self, E> {
        self.synchronizes = Some(self.exec.add(compile(self.full)?)?);
        Ok(self)
    }

    /// Makes parameters and the optimizer's state the mean over ranks, in which this one has that weight. Nothing is under way.
    ///
    /// # Errors
    /// Where no such plan was added; where a rank has gone.
    pub(super) fn synchronize(&mut self, weight: f32) -> Result<()> {
        let missing = || Error::Incompatible("no plan forms the mean over ranks".to_owned());
        let index = self.synchronizes.ok_or_else(missing)?;
        self.exec.run(index, &RunArgs { share: weight, ..RunArgs::default() }, None)
    }

    /// The same with weights.
    ///
    /// # Errors
    /// Where they are another network's.
    pub fn with_weights(self, weights: &ParamStore) -> Result<Self> {
        self.exec.load_params(weights)?;
        Ok(self)
    }

    /// The plan of full batches.
    pub fn plan(&self) -> &Plan {
        self.exec.plan(0)
    }

    /// Images of a full batch.
    pub fn batch_size(&self) -> usize {
        self.full
    }

    /// Images of the last batch of a pass, where it is no full one.
    fn rest_images(&self) -> Option<usize> {
        self.own.rest.map(|index| self.exec.plan(index).batch)
    }

    /// The executor's plan for that many images, a full batch or the rest.
    pub(super) fn plan_for(&self, images: usize) -> usize {
        self.of(&self.own, images)
    }

    /// The same of the plans for one size.
    fn of(&self, plans: &Plans, images: usize) -> usize {
        plans.rest.filter(|_| images != self.full).unwrap_or(plans.full)
    }

    /// The executor's plan that finds the statistics of a batch of so many images.
    ///
    /// # Errors
    /// Where no such plans were added.
    pub(super) fn statistics_for(&self, images: usize) -> Result<usize, Error> {
        let missing = || Error::Incompatible("no plan finds the statistics of batches".to_owned());
        let (full, rest) = self.statistics.ok_or_else(missing)?;
        Ok(rest.filter(|_| images != self.full).unwrap_or(full))
    }

    /// The executor's plan of a training step on that many images of that `[height, width]`, which ends an update or only adds to its
    /// gradients.
    ///
    /// # Errors
    /// Where there are no plans for that size.
    pub(super) fn step_for(&self, size: [usize; 2], images: usize, ends: bool) -> Result<usize, Error> {
        let plans = self.plans(size)?;
        Ok(plans.gathers.filter(|_| !ends).unwrap_or_else(|| self.of(&plans, images)))
    }
}

/// `112x112`
fn by([height, width]: [usize; 2]) -> String {
    format!("{height}x{width}")
}
