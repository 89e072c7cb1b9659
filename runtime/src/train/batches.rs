//! An executor with the plans that a pass over a data set needs.

use std::sync::Arc;

use resnetc_compiler::plan::Plan;

use crate::device::Device;
use crate::engines::Engines;
use crate::error::{Error, Result};
use crate::exec::Executor;
use crate::weights::ParamStore;

/// A network on a device, ready for a pass over so many images: a plan for full batches and, where the images do not
/// divide, one for the rest. Where several batches make an update, there is one more for those that only add to its gradients; the rest,
/// the last batch of all, ends an update.
pub struct BatchExecutor {
    pub(super) exec: Executor,
    full: usize,
    rest: Option<usize>,
    gathers: Option<usize>,
    /// Of full batches and of the rest.
    statistics: Option<(usize, Option<usize>)>,
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
        mut compile: impl FnMut(usize) -> Result<Arc<Plan>, E>,
    ) -> Result<Self, E> {
        let full = batch_size.min(images).max(1);
        let mut exec = Executor::new(device, compile(full)?)?;
        let rest = match images % full {
            0 => None,
            rest => Some(exec.add(compile(rest)?)?),
        };
        Ok(BatchExecutor { exec, full, rest, gathers: None, statistics: None })
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
        self.gathers = Some(self.exec.add(compile(self.full)?)?);
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
        let rest = self.rest.map(|index| self.exec.plan(index).batch);
        let rest = rest.map(|images| self.exec.add(compile(images)?).map_err(E::from)).transpose()?;
        self.statistics = Some((full, rest));
        Ok(self)
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

    /// The executor's plan for that many images, a full batch or the rest.
    pub(super) fn plan_for(&self, images: usize) -> usize {
        match self.rest {
            Some(index) if images != self.full => index,
            _ => 0,
        }
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

    /// The executor's plan of a training step on that many images, which ends an update or only adds to its gradients.
    pub(super) fn step_for(&self, images: usize, ends: bool) -> usize {
        self.gathers.filter(|_| !ends).unwrap_or_else(|| self.plan_for(images))
    }
}
