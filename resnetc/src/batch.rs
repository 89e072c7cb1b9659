//! How many images a training step can have in the memory that there is.

use resnetc_compiler::backend::Backend;
use resnetc_compiler::ir::graph::Mode;

use crate::error::{Error, Result};
use crate::spec::Spec;

/// Most images that are chosen: larger batches fit often, and train worse without another recipe (Keskar et al. 2017).
const MOST: usize = 512;
/// Steps that an epoch has at least.
const STEPS: usize = 8;

/// A batch that fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fitting {
    /// Images per step.
    pub images: usize,
    /// What the plan takes: maps and their gradients, parameters, the optimizer's tensors.
    pub bytes: usize,
}

/// The largest power of two, up to 512 and an eighth of the training images, whose training step takes at most that many bytes.
///
/// # Errors
/// Where not even one image fits; where the spec cannot be trained.
pub fn fitting(spec: &Spec, backend: Backend, images: usize, memory: usize) -> Result<Fitting> {
    let most = (images / STEPS).clamp(1, MOST);
    let mut batch = if most.is_power_of_two() { most } else { most.next_power_of_two() / 2 };
    loop {
        match spec.plan(Mode::Train, batch, backend).map(|plan| plan.bytes()) {
            Ok(bytes) if bytes <= memory => return Ok(Fitting { images: batch, bytes }),
            Ok(needed) if batch == 1 => {
                return Err(Error::TooLittleMemory { network: spec.name().to_owned(), needed, memory });
            }
            // Beyond the spec's own limit, which fewer images may keep to.
            Err(error) if batch == 1 || spec.resolved().train.memory_limit.is_none() => return Err(error),
            Ok(_) | Err(_) => {}
        }
        batch /= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::SpecOptions;

    #[test]
    fn the_largest_power_of_two_that_fits_is_chosen() {
        let spec = Spec::builtin("resnet20", &SpecOptions::default()).expect("compiled in");
        let bytes = |batch| spec.plan(Mode::Train, batch, Backend::CPU).expect("it compiles").bytes();
        let fits =
            |images, memory| fitting(&spec, Backend::CPU, images, memory).map(|fitting| fitting.images);
        assert_eq!(fits(50_000, usize::MAX).expect("all fits"), 512);
        assert_eq!(
            fits(244, usize::MAX).expect("all fits"),
            16,
            "244 images: an epoch of more than eight steps"
        );
        assert_eq!(fits(3, usize::MAX).expect("all fits"), 1);
        assert_eq!(fits(50_000, bytes(64)).expect("64 fit"), 64);
        assert_eq!(fits(50_000, bytes(64) - 1).expect("32 fit"), 32);
        let error = fits(50_000, 1000).expect_err("not even one").to_string();
        assert!(error.starts_with("resnet20: a training step of one image takes"), "{error}");
    }
}
