//! Sums of gradients over batches, averages of weights over updates.

use candle_core::Result;
use resnetc_compiler::plan::kernel::AccumulateGradients;

use super::effects::{Effects, Given};

/// `grad, sum, share`
pub(super) fn accumulate(k: &AccumulateGradients, given: &Given<'_>) -> Result<Effects> {
    let sum = (given.get("sum")? + (given.get("grad")? * given.number("share")?)?)?;
    Ok(match k.last {
        true => vec![("sum", sum.zeros_like()?), ("grad", sum)],
        false => vec![("sum", sum)],
    })
}

/// `average, value, decay`
pub(super) fn average(given: &Given<'_>) -> Result<Effects> {
    let decay = given.number("decay")?;
    let average = ((given.get("average")? * decay)? + (given.get("value")? * (1.0 - decay))?)?;
    Ok(vec![("average", average)])
}
