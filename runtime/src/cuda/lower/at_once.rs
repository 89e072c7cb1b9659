//! Normalisations and their gradients: by one call of the driver's where that is faster than the passes of [`norm`](super::norm).

use resnetc_compiler::ir::activation::Activation;
use resnetc_compiler::ir::attrs::Epilogue;
use resnetc_compiler::plan::kernel::{BnApply, BnBackwardApply, BnBackwardReduce, BnStats};

use super::norm;
use super::norms::Pair;
use super::site::Site;
use crate::cuda::launch::{Call, NormWays, Place, Prepared};
use crate::cuda::normalise::{NormPattern, NormTask, Normalise};
use crate::error::Result;

/// By the sums that the convolution left where it did; or later, by what applies them, where the driver is faster so; else in two passes
/// of which the first one reads the map.
pub(super) fn statistics(site: &mut Site<'_>, k: &BnStats) -> Result<()> {
    match site.sums_of("x") {
        Some(sums) => norm::statistics_of_sums(site, k, sums),
        None if leaves_statistics(site)? => Ok(()),
        None => norm::statistics_of_map(site, k),
    }
}

pub(super) fn apply(site: &mut Site<'_>, k: &BnApply) -> Result<()> {
    match site.taken_norm("mean") {
        Some(prepared) => forward(site, prepared),
        None => norm::apply_in_a_pass(site, k),
    }
}

/// Later, by what computes the gradient of the map, where the driver is faster so; else in a pass.
pub(super) fn backward_reduce(site: &mut Site<'_>, k: &BnBackwardReduce) -> Result<()> {
    let masked = site.is_masked("dy");
    if leaves_sums(site, k, masked)? { Ok(()) } else { norm::reduce(site, k, masked) }
}

pub(super) fn backward_apply(site: &mut Site<'_>, k: &BnBackwardApply) -> Result<()> {
    match site.taken_norm("dscale") {
        Some(prepared) => backward(site, prepared),
        None => norm::apply_gradient(site, k, site.is_masked("dy")),
    }
}

/// Whether the step that applies these statistics takes them, too.
fn leaves_statistics(site: &mut Site<'_>) -> Result<bool> {
    let Some(Pair { first: (first, k), second: (second, apply) }) = site.norm_of("mean") else {
        return Ok(false);
    };
    let (mut of_map, mut behind) = (site.trial(first), site.trial(second));
    norm::statistics_of_map(&mut of_map, k)?;
    norm::apply_in_a_pass(&mut behind, apply)?;
    let BnApply { epilogue: Epilogue { residual, act }, .. } = *apply;
    let pattern = NormPattern::NormForward { residual, act };
    leaves(site, "mean", [of_map, behind], pattern, [k.rows, k.channels])
}

/// Whether the step that computes the gradient of the map takes its sums, too. `masked` says whether a convolution has masked `dy`.
fn leaves_sums(site: &mut Site<'_>, k: &BnBackwardReduce, masked: bool) -> Result<bool> {
    let Some(pair) = site.norm_gradient_of("dscale") else { return Ok(false) };
    let relu = match k.epilogue.act {
        None => false,
        Some(_) if masked => false,
        Some(Activation::Relu) if k.epilogue.recomputes_sign() => true,
        Some(_) => return Ok(false),
    };
    let (mut sums, mut behind) = (site.trial(pair.first.0), site.trial(pair.second.0));
    norm::reduce(&mut sums, k, masked)?;
    norm::apply_gradient(&mut behind, pair.second.1, masked)?;
    leaves(site, "dscale", [sums, behind], NormPattern::NormBackward { relu }, [k.rows, k.channels])
}

/// Whether the driver has something for what these two sites do, and that is taken.
fn leaves(
    site: &mut Site<'_>,
    made: &str,
    parts: [Site<'_>; 2],
    pattern: NormPattern,
    [rows, channels]: [usize; 2],
) -> Result<bool> {
    let [first, second] = parts.map(Site::finish);
    let scratch = first.scratch.max(second.scratch);
    let parts = first.calls.into_iter().chain(second.calls).collect();
    let (element, deterministic) = (site.get("x")?.dtype, site.is_deterministic());
    let fused = NormTask { pattern, rows, channels, element, deterministic };
    let prepared = site.preparer.prepare_norm(&NormWays { fused, parts, scratch });
    let prepared = prepared.map_err(|error| site.told(error))?;
    if let Some(prepared) = prepared {
        site.leave_to_second(made, prepared);
    }
    Ok(prepared.is_some())
}

/// A normalisation with its statistics, at the step that applies them.
fn forward(site: &mut Site<'_>, prepared: Prepared) -> Result<()> {
    let mut operands = site.named(&["x", "mean", "rstd", "scale", "shift", "y"])?;
    operands.extend(site.find("residual").map(|residual| ("residual", residual.place)));
    let mut numbers = Vec::new();
    if let Some(Pair { first: (step, &BnStats { eps, momentum, .. }), .. }) = site.norm_of("mean") {
        operands.extend(site.beside(step).named(&["running_mean", "running_var"])?);
        numbers = vec![("eps", eps), ("momentum", momentum)];
    }
    call(site, prepared, operands, numbers);
    Ok(())
}

/// The gradient with its sums, at the step that computes that of the map.
fn backward(site: &mut Site<'_>, prepared: Prepared) -> Result<()> {
    let mut operands = site.named(&["dy", "x", "mean", "rstd", "scale", "dscale", "dshift", "dx"])?;
    operands.extend(site.find("shift").map(|shift| ("shift", shift.place)));
    call(site, prepared, operands, Vec::new());
    Ok(())
}

fn call(
    site: &mut Site<'_>,
    prepared: Prepared,
    operands: Vec<(&'static str, Place)>,
    numbers: Vec<(&'static str, f32)>,
) {
    let workspace = site.scratch(prepared.workspace);
    site.call(Call::Normalise(Normalise { id: prepared.id, operands, numbers, workspace }));
}
