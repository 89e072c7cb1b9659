//! The weights that the command line names.

use std::path::Path;

use resnetc::{Spec, Weights, WeightsOptions};
use resnetc_runtime::weights::ParamStore;

use crate::failure::Result;
use crate::output::Output;

/// Those of a file, whose peculiarities are told; without one, fresh ones from a seed.
pub fn load(spec: &Spec, file: Option<&Path>, seed: Option<u64>, output: &Output) -> Result<ParamStore> {
    let Some(file) = file else {
        return Ok(spec.initial_weights(seed.unwrap_or(spec.resolved().train.seed))?);
    };
    let weights = Weights::load(spec, &WeightsOptions { seed, ..WeightsOptions::file(file) })?;
    weights.told().iter().for_each(|line| output.warn(line));
    Ok(weights.store()?)
}
