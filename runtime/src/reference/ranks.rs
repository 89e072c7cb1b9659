//! What ranks tell each other, for a rank that is alone: the sum over all of them is its own.

use candle_core::{Result, Tensor};
use resnetc_compiler::plan::kernel::{AllReduce, BnCombine};

use super::effects::{Effects, Given};

/// `grad [, share]`
pub(super) fn all_reduce(k: &AllReduce, given: &Given<'_>) -> Result<Effects> {
    let grad = given.get("grad")?;
    Ok(vec![("grad", if k.weighted { (grad * given.number("share")?)? } else { grad.clone() })])
}

/// `grad`, or `param`
pub(super) fn wait(name: &'static str, given: &Given<'_>) -> Result<Effects> {
    Ok(vec![(name, given.get(name)?.clone())])
}

/// `batch_mean, batch_var, running_mean, running_var, share -> mean, rstd`
pub(super) fn combine(k: &BnCombine, given: &Given<'_>) -> Result<Effects> {
    let (mean, var) = (given.get("batch_mean")?, given.get("batch_var")?);
    let (count, momentum) = (k.rows as f64, f64::from(k.momentum));
    let unbiased = (var * (count / (count - 1.0).max(1.0)))?;
    let blend = |old: &Tensor, new: &Tensor| (old * (1.0 - momentum))? + (new * momentum)?;
    let running_mean = blend(given.get("running_mean")?, mean)?;
    let running_var = blend(given.get("running_var")?, &unbiased)?;
    let rstd = (var + f64::from(k.eps))?.sqrt()?.recip()?;
    Ok(vec![
        ("mean", mean.clone()),
        ("rstd", rstd),
        ("running_mean", running_mean),
        ("running_var", running_var),
    ])
}

/// `dscale, dshift, share -> all_dscale, all_dshift`
pub(super) fn combine_sums(given: &Given<'_>) -> Result<Effects> {
    Ok(vec![("all_dscale", given.get("dscale")?.clone()), ("all_dshift", given.get("dshift")?.clone())])
}
