//! Pooling over windows, blurs, pooling of whole images.

use resnetc_compiler::plan::kernel::{
    AvgPool, AvgPoolBackward, BlurPool, BlurPoolBackward, GlobalAvgPool, GlobalAvgPoolBackward,
    GlobalMaxPool, GlobalMaxPoolBackward, MaxPool, MaxPoolBackward,
};
use resnetc_compiler::plan::{BlurGeometry, PoolGeometry};

use super::site::{Columns, Operand, Site};
use crate::cuda::launch::{Arg, Place};
use crate::error::Result;

/// The parameters `POOL` of the kernels.
fn pool(site: &Site<'_>, g: &PoolGeometry, packs: usize) -> Result<Vec<Arg<Place>>> {
    let a = &g.attrs;
    let sizes = [g.n, g.h, g.w, packs, g.out[0], g.out[1], a.kernel[0], a.kernel[1]];
    let all = sizes.into_iter().chain(a.stride).chain(a.padding);
    all.map(|size| site.count(size)).collect()
}

fn blur(site: &Site<'_>, g: &BlurGeometry, packs: usize) -> Result<Vec<Arg<Place>>> {
    let sizes = [g.n, g.h, g.w, packs, g.out[0], g.out[1]];
    sizes.into_iter().chain(g.stride).map(|size| site.count(size)).collect()
}

/// Launches a kernel with a thread per pack of its result, after which its arguments say what it reads.
fn gather(
    site: &mut Site<'_>,
    kernel: &str,
    lanes: usize,
    result: &Operand,
    args: Vec<Arg<Place>>,
) -> Result<()> {
    site.launch_flat(site.entry(kernel, result.dtype, lanes), result.numel / lanes, args)
}

pub(super) fn max(site: &mut Site<'_>, k: &MaxPool) -> Result<()> {
    let (x, y) = (site.get("x")?, site.get("y")?);
    let lanes = site.lanes(k.geometry.c, &[x, y]);
    let mut args = vec![Arg::At(x.place), Arg::At(y.place), site.maybe("positions"), site.count(y.pitch)?];
    args.extend(pool(site, &k.geometry, k.geometry.c / lanes)?);
    gather(site, "max_pool", lanes, &y, args)
}

pub(super) fn max_backward(site: &mut Site<'_>, k: &MaxPoolBackward) -> Result<()> {
    let (dy, dx) = (site.get("dy")?, site.get("dx")?);
    let lanes = site.lanes(k.geometry.c, &[dy, dx]);
    let mut args = vec![Arg::At(dy.place), site.at("positions")?, Arg::At(dx.place)];
    args.extend(pool(site, &k.geometry, k.geometry.c / lanes)?);
    gather(site, "max_pool_backward", lanes, &dx, args)
}

pub(super) fn avg(site: &mut Site<'_>, k: &AvgPool) -> Result<()> {
    let (x, y) = (site.get("x")?, site.get("y")?);
    let lanes = site.lanes(k.geometry.c, &[x, y]);
    let counted = Arg::Int(u32::from(k.geometry.attrs.count_padding));
    let mut args = vec![Arg::At(x.place), Arg::At(y.place), site.count(y.pitch)?, counted];
    args.extend(pool(site, &k.geometry, k.geometry.c / lanes)?);
    gather(site, "avg_pool", lanes, &y, args)
}

pub(super) fn avg_backward(site: &mut Site<'_>, k: &AvgPoolBackward) -> Result<()> {
    let (dy, dx) = (site.get("dy")?, site.get("dx")?);
    let lanes = site.lanes(k.geometry.c, &[dy, dx]);
    let counted = Arg::Int(u32::from(k.geometry.attrs.count_padding));
    let mut args = vec![Arg::At(dy.place), Arg::At(dx.place), counted];
    args.extend(pool(site, &k.geometry, k.geometry.c / lanes)?);
    gather(site, "avg_pool_backward", lanes, &dx, args)
}

pub(super) fn blurred(site: &mut Site<'_>, k: &BlurPool) -> Result<()> {
    let (x, y) = (site.get("x")?, site.get("y")?);
    let lanes = site.lanes(k.geometry.c, &[x, y]);
    let mut args = vec![Arg::At(x.place), Arg::At(y.place)];
    args.extend(blur(site, &k.geometry, k.geometry.c / lanes)?);
    gather(site, "blur_pool", lanes, &y, args)
}

pub(super) fn blurred_backward(site: &mut Site<'_>, k: &BlurPoolBackward) -> Result<()> {
    let (dy, dx) = (site.get("dy")?, site.get("dx")?);
    let lanes = site.lanes(k.geometry.c, &[dy, dx]);
    let mut args = vec![Arg::At(dy.place), Arg::At(dx.place)];
    args.extend(blur(site, &k.geometry, k.geometry.c / lanes)?);
    gather(site, "blur_pool_backward", lanes, &dx, args)
}

pub(super) fn global_avg(site: &mut Site<'_>, k: &GlobalAvgPool) -> Result<()> {
    let x = site.get("x")?;
    let lanes = site.lanes(k.channels, &[x]);
    let packs = k.channels / lanes;
    let args = vec![Arg::At(x.place), site.at("y")?, site.count(k.pixels)?, site.count(packs)?];
    site.count(k.images * k.pixels)?;
    let columns = Columns::of_parts(k.images, packs);
    site.launch_columns(site.entry("global_avg_pool", x.dtype, lanes), &columns, lanes, args)
}

pub(super) fn global_avg_backward(site: &mut Site<'_>, k: &GlobalAvgPoolBackward) -> Result<()> {
    let dx = site.get("dx")?;
    let lanes = site.lanes(k.channels, &[dx]);
    let packs = k.channels / lanes;
    let sizes = [site.count(k.images)?, site.count(k.pixels)?, site.count(packs)?];
    let args = [site.at("dy")?, Arg::At(dx.place)].into_iter().chain(sizes).collect();
    gather(site, "global_avg_pool_backward", lanes, &dx, args)
}

pub(super) fn global_max(site: &mut Site<'_>, k: &GlobalMaxPool) -> Result<()> {
    let x = site.get("x")?;
    let lanes = site.lanes(k.channels, &[x]);
    let packs = k.channels / lanes;
    let sizes = [site.count(k.pixels)?, site.count(packs)?];
    let args = [Arg::At(x.place), site.at("y")?, site.maybe("positions")].into_iter().chain(sizes).collect();
    site.count(k.images * k.pixels)?;
    let columns = Columns::of_parts(k.images, packs);
    // A maximum is a value and its pixel.
    site.launch_columns(site.entry("global_max_pool", x.dtype, lanes), &columns, 2 * lanes, args)
}

pub(super) fn global_max_backward(site: &mut Site<'_>, k: &GlobalMaxPoolBackward) -> Result<()> {
    let dx = site.get("dx")?;
    let lanes = site.lanes(k.channels, &[dx]);
    let packs = k.channels / lanes;
    let sizes = [site.count(k.images)?, site.count(k.pixels)?, site.count(packs)?];
    let operands = [site.at("dy")?, site.at("positions")?, Arg::At(dx.place)];
    gather(site, "global_max_pool_backward", lanes, &dx, operands.into_iter().chain(sizes).collect())
}
