//! What the launches of several updates begin with.

use resnetc_compiler::plan::kernel::Update;

use super::site::Site;
use crate::cuda::launch::{Arg, Place, THREADS};
use crate::error::Result;

/// What all updates take: parameter, gradient, state, rate, number of the step, what belongs to a scaled loss, length, factor of the rate.
pub(super) fn operands(site: &Site<'_>, k: &Update) -> Result<Vec<Arg<Place>>> {
    let mut args = vec![site.at("param")?, site.at("grad")?];
    for name in k.rule.state() {
        args.push(site.at(name)?);
    }
    args.extend([site.at("rate")?, site.at("step")?]);
    args.extend(["scale", "finite", "skipped"].map(|name| site.maybe(name)));
    args.extend([site.count(k.len)?, Arg::Float(k.lr_scale)]);
    Ok(args)
}

/// Blocks that share a parameter whose norms are taken, at most: each block of the update adds up all of their sums.
const MAX_NORM_PARTS: usize = 256;

/// Memory for the sums of squares of so many elements, and the blocks that make them.
pub(super) fn norm_parts(site: &mut Site<'_>, len: usize) -> (Place, usize) {
    let parts = len.div_ceil(THREADS * 4).clamp(1, MAX_NORM_PARTS);
    (site.scratch(parts * 2 * size_of::<f32>()), parts)
}
