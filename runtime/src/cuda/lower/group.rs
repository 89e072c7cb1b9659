//! Group normalisation.

use resnetc_compiler::plan::GroupGeometry;
use resnetc_compiler::plan::kernel::{GroupApply, GroupBackwardApply, GroupBackwardReduce, GroupStats};

use super::activation;
use super::norm::sum_parts;
use super::site::{Columns, Operand, Site};
use crate::cuda::launch::Arg;
use crate::error::Result;

fn width(g: &GroupGeometry) -> usize {
    g.channels / g.groups
}

pub(super) fn statistics(site: &mut Site<'_>, k: &GroupStats) -> Result<()> {
    let (g, x) = (&k.geometry, site.get("x")?);
    site.count(g.pixels * width(g))?;
    let mut args = vec![Arg::At(x.place), site.at("mean")?, site.at("rstd")?, site.count(g.pixels)?];
    args.extend([site.count(width(g))?, site.count(x.pitch)?, Arg::Float(k.eps)]);
    site.launch_rows(site.entry("group_stats", x.dtype, 1), [g.images, g.groups], args)
}

pub(super) fn apply(site: &mut Site<'_>, k: &GroupApply) -> Result<()> {
    let (g, x, y) = (&k.geometry, site.get("x")?, site.get("y")?);
    let maps: Vec<Operand> = [x, y].into_iter().chain(site.find("residual")).collect();
    let lanes = site.lanes(g.channels, &maps);
    let packs = g.channels / lanes;
    let mut args = vec![Arg::At(x.place), site.at("mean")?, site.at("rstd")?, site.at("scale")?];
    args.extend([site.at("shift")?, site.maybe("residual"), Arg::At(y.place)]);
    args.extend([site.count(g.images)?, site.count(g.pixels)?, site.count(packs)?]);
    args.extend([site.count(width(g))?, site.count(x.pitch)?]);
    args.extend(activation::arguments(k.epilogue.act));
    site.launch_flat(site.entry("group_apply", x.dtype, lanes), g.images * g.pixels * packs, args)
}

pub(super) fn backward_reduce(site: &mut Site<'_>, k: &GroupBackwardReduce) -> Result<()> {
    let (g, dy, x) = (&k.geometry, site.get("dy")?, site.get("x")?);
    let maps: Vec<Operand> = [dy, x].into_iter().chain(site.find("y")).collect();
    let lanes = site.lanes(g.channels, &maps);
    let packs = g.channels / lanes;
    site.count(g.images * g.pixels)?;
    let partial = site.scratch(g.images * 2 * g.channels * size_of::<f32>());
    let mut args = vec![Arg::At(dy.place), Arg::At(x.place), site.at("mean")?, site.at("rstd")?];
    args.extend([site.maybe("y"), Arg::At(partial), site.count(g.pixels)?, site.count(packs)?]);
    args.extend([site.count(width(g))?, site.count(x.pitch)?]);
    args.extend(activation::arguments(k.act));
    let columns = Columns::of_parts(g.images, packs);
    site.launch_columns(site.entry("group_backward_reduce", dy.dtype, lanes), &columns, 2 * lanes, args)?;
    let sums = [site.get("dscale")?.place, site.get("dshift")?.place];
    sum_parts(site, partial, g.images, g.channels, sums)?;
    let mut args = vec![Arg::At(partial), site.at("scale")?, site.at("slope")?, site.at("offset")?];
    args.extend([site.count(g.images)?, site.count(g.pixels)?, site.count(g.channels)?]);
    args.push(site.count(width(g))?);
    site.launch_flat("group_means".to_owned(), g.images * g.groups, args)
}

pub(super) fn backward_apply(site: &mut Site<'_>, k: &GroupBackwardApply) -> Result<()> {
    let (g, dy, x, dx) = (&k.geometry, site.get("dy")?, site.get("x")?, site.get("dx")?);
    let maps: Vec<Operand> = [dy, x, dx].into_iter().chain(site.find("y")).collect();
    let lanes = site.lanes(g.channels, &maps);
    let packs = g.channels / lanes;
    let mut args = vec![Arg::At(dy.place), Arg::At(x.place), site.at("mean")?, site.at("rstd")?];
    args.extend([site.at("scale")?, site.at("slope")?, site.at("offset")?, site.maybe("y")]);
    args.extend([Arg::At(dx.place), site.maybe("dresidual"), site.count(g.images)?, site.count(g.pixels)?]);
    args.extend([site.count(packs)?, site.count(width(g))?, site.count(x.pitch)?]);
    args.extend(activation::arguments(k.epilogue.act));
    site.launch_flat(site.entry("group_backward_apply", dy.dtype, lanes), g.images * g.pixels * packs, args)
}
