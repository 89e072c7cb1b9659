//! Whether a plan has room on a GPU: asked when it is loaded, so that no training ends in its midst for want of memory.

use resnetc_compiler::plan::{Plan, Region};

use super::rounds::LANES;
use crate::error::{Error, Result};

/// What a plan takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Parameters in all their forms, gradients, the optimizer's state, statistics; nothing where a plan before it has brought them.
    pub persistent: usize,
    /// Maps of a batch, what steps need for themselves, and batches that wait.
    pub batch: usize,
}

impl Wanted {
    /// Of a plan with so many bytes of scratch memory, and a copy of its parameters in a narrow type where there is one.
    pub fn by(plan: &Plan, scratch: usize, narrow: bool, first: bool) -> Self {
        let optimizer = (0..plan.optimizer.len()).map(|tensor| Region::Optimizer(tensor as u8));
        let regions = [Region::Params, Region::Grads, Region::State].into_iter().chain(optimizer);
        let own: usize = regions.map(|region| plan.region_bytes(region)).sum();
        let copy = if narrow { plan.region_bytes(Region::Params) / 2 } else { 0 };
        let persistent = if first { own + copy } else { 0 };
        // Batches on their way are bytes of pictures.
        let inputs = LANES * plan.buffer(plan.input).shape.numel().unwrap_or(0);
        Wanted { persistent, batch: plan.region_bytes(Region::Arena) + scratch + inputs }
    }

    /// Refuses what does not fit into so many free bytes.
    ///
    /// # Errors
    /// Says what is needed and what there is, and which batch would fit: maps grow with the batch, weights do not.
    pub fn check(&self, plan: &Plan, free: usize) -> Result<()> {
        let Wanted { persistent, batch } = *self;
        if persistent.saturating_add(batch) <= free {
            return Ok(());
        }
        let images = plan.batch.max(1);
        let fit = free.saturating_sub(persistent) / (batch / images).max(1);
        let way_out = match fit {
            0 => "No batch fits: smaller images, a smaller network, or `--device cpu` are the ways out."
                .to_owned(),
            fit => format!("A batch of {fit} fits."),
        };
        Err(Error::Device(format!(
            "{}: a batch of {images} needs {} of the GPU's memory, {} for weights and {} for maps; {} are free. {way_out}",
            plan.name,
            mebibytes(persistent + batch),
            mebibytes(persistent),
            mebibytes(batch),
            mebibytes(free),
        )))
    }
}

/// `12.3 MiB`
fn mebibytes(bytes: usize) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
