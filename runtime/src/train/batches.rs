//! An executor with the plans that a pass over a data set needs.

use std::sync::Arc;

use resnetc_compiler::plan::Plan;

use crate::device::Device;
use crate::error::{Error, Result};
use crate::exec::Executor;
use crate::weights::ParamStore;

/// A network on a device, ready for a pass over so many images: a plan for full batches and, where the images do not
/// divide, one for the rest.
pub struct BatchExecutor {
    pub(super) exec: Executor,
    full: usize,
    rest: Option<usize>,
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
        Ok(BatchExecutor { exec, full, rest })
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

    /// The executor's plan for that many images: one of the two.
    pub(super) fn plan_for(&self, images: usize) -> usize {
        match self.rest {
            Some(index) if images != self.full => index,
            _ => 0,
        }
    }
}
