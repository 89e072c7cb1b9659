//! Batch normalisation, affine maps, sums over channels.

use resnetc_compiler::ir::activation::Activation;
use resnetc_compiler::ir::attrs::Epilogue;
use resnetc_compiler::plan::kernel::{
    Affine, BnApply, BnBackwardApply, BnBackwardReduce, BnMoments, BnStats, ChannelSum, RunningRstd,
};

use super::activation;
use super::site::{Columns, Operand, Site};
use crate::cuda::launch::{Arg, Place};
use crate::error::Result;

pub(super) fn statistics_of_map(site: &mut Site<'_>, k: &BnStats) -> Result<()> {
    let mut args = deviations(site, k.rows, k.channels)?;
    args.extend(destination(site, k)?);
    let x = site.get("x")?;
    site.launch_flat(site.entry("bn_stats_finish", x.dtype, 1), k.channels, args)
}

/// The moments of the rank's own batch.
pub(super) fn moments(site: &mut Site<'_>, k: &BnMoments) -> Result<()> {
    let mut args = deviations(site, k.rows, k.channels)?;
    args.extend([site.count(k.rows)?, site.at("batch_mean")?, site.at("batch_var")?]);
    let x = site.get("x")?;
    site.launch_flat(site.entry("bn_moments", x.dtype, 1), k.channels, args)
}

/// The pass over the map: sums of deviations, in parts, as the first arguments of what makes statistics of them.
fn deviations(site: &mut Site<'_>, rows: usize, channels: usize) -> Result<Vec<Arg<Place>>> {
    let x = site.get("x")?;
    let lanes = site.lanes(channels, &[x]);
    let packs = channels / lanes;
    let columns = Columns::of_rows(rows, packs);
    let partial = site.scratch(columns.parts * 2 * channels * size_of::<f32>());
    let (rows, pitch) = (site.count(rows)?, site.count(x.pitch)?);
    let args = vec![Arg::At(x.place), Arg::At(partial), rows, site.count(packs)?, pitch];
    site.launch_columns(site.entry("bn_stats", x.dtype, lanes), &columns, 2 * lanes, args)?;
    Ok(vec![Arg::At(x.place), Arg::At(partial), site.count(columns.parts)?, site.count(channels)?])
}

/// Reads of the map what channels have lost by cancellation, which is nothing as a rule.
pub(super) fn statistics_of_sums(site: &mut Site<'_>, k: &BnStats, sums: [Place; 2]) -> Result<()> {
    let x = site.get("x")?;
    let lanes = site.lanes(k.channels, &[x]);
    let packs = k.channels / lanes;
    let columns = Columns { width: 1, blocks: packs, parts: 1 };
    let mut args = vec![Arg::At(x.place)];
    args.extend(sums.map(Arg::At));
    args.extend([site.count(packs)?, site.count(x.pitch)?]);
    args.extend(destination(site, k)?);
    site.launch_columns(site.entry("bn_stats_of_sums", x.dtype, lanes), &columns, 2 * lanes, args)
}

/// Where statistics go, and their constants, as the kernels take them.
fn destination(site: &Site<'_>, k: &BnStats) -> Result<[Arg<Place>; 7]> {
    let [running_mean, running_var] = [site.at("running_mean")?, site.at("running_var")?];
    let [mean, rstd, rows] = [site.at("mean")?, site.at("rstd")?, site.count(k.rows)?];
    Ok([running_mean, running_var, mean, rstd, rows, Arg::Float(k.eps), Arg::Float(k.momentum)])
}

pub(super) fn running_rstd(site: &mut Site<'_>, k: &RunningRstd) -> Result<()> {
    let args = vec![site.at("running_var")?, site.at("rstd")?, site.count(k.channels)?, Arg::Float(k.eps)];
    site.launch_flat("running_rstd".to_owned(), k.channels, args)
}

pub(super) fn apply_in_a_pass(site: &mut Site<'_>, k: &BnApply) -> Result<()> {
    let statistics = [site.at("mean")?, site.at("rstd")?];
    scale(site, [k.rows, k.channels], statistics, k.epilogue)
}

pub(super) fn affine(site: &mut Site<'_>, k: &Affine) -> Result<()> {
    scale(site, [k.rows, k.channels], [Arg::Null, Arg::Null], k.epilogue)
}

fn scale(
    site: &mut Site<'_>,
    [rows, channels]: [usize; 2],
    statistics: [Arg<Place>; 2],
    epilogue: Epilogue,
) -> Result<()> {
    let (x, y, residual) = (site.get("x")?, site.get("y")?, site.find("residual"));
    let maps: Vec<Operand> = [x, y].into_iter().chain(residual).collect();
    let lanes = site.lanes(channels, &maps);
    let packs = channels / lanes;
    let mut args = vec![Arg::At(x.place)];
    args.extend(statistics);
    args.extend([site.at("scale")?, site.at("shift")?, site.maybe("residual"), Arg::At(y.place)]);
    args.extend([site.count(rows)?, site.count(packs)?, site.count(x.pitch)?, site.count(y.pitch)?]);
    args.extend(activation::arguments(epilogue.act));
    site.launch_flat(site.entry("bn_apply", x.dtype, lanes), rows * packs, args)
}

/// The first pass; over a gradient that is masked already, it needs no mask.
pub(super) fn reduce(site: &mut Site<'_>, k: &BnBackwardReduce, masked: bool) -> Result<()> {
    let (dy, x) = (site.get("dy")?, site.get("x")?);
    let (y, act) = mask(site, k.epilogue, masked);
    let maps: Vec<Operand> = [dy, x].into_iter().chain(y).collect();
    let lanes = site.lanes(k.channels, &maps);
    let packs = k.channels / lanes;
    let columns = Columns::of_rows(k.rows, packs);
    let partial = site.scratch(columns.parts * 2 * k.channels * size_of::<f32>());
    let mut args = vec![Arg::At(dy.place), Arg::At(x.place), site.at("mean")?, site.at("rstd")?];
    args.extend([site.maybe("scale"), site.maybe("shift"), pointer(y), Arg::At(partial)]);
    args.extend([site.count(k.rows)?, site.count(packs)?, site.count(x.pitch)?]);
    args.extend(activation::arguments(act));
    site.launch_columns(site.entry("bn_backward_reduce", dy.dtype, lanes), &columns, 2 * lanes, args)?;
    let sums = [site.get("dscale")?.place, site.get("dshift")?.place];
    sum_parts(site, partial, columns.parts, k.channels, sums)
}

/// The map by which a gradient is masked, if one is, and the activation whose gradient that is.
fn mask(site: &Site<'_>, epilogue: Epilogue, masked: bool) -> (Option<Operand>, Option<Activation>) {
    if masked { (None, None) } else { (site.find("y"), epilogue.act) }
}

fn pointer(operand: Option<Operand>) -> Arg<Place> {
    operand.map_or(Arg::Null, |operand| Arg::At(operand.place))
}

/// Adds up the partial sums `[parts][N][channels]`, each of the `N` to its own place.
pub(super) fn sum_parts<const N: usize>(
    site: &mut Site<'_>,
    partial: Place,
    parts: usize,
    channels: usize,
    sums: [Place; N],
) -> Result<()> {
    for (i, sum) in sums.into_iter().enumerate() {
        let from = Place { offset: partial.offset + i * channels * size_of::<f32>(), ..partial };
        let pitch = site.count(N * channels)?;
        let args = vec![Arg::At(from), site.count(parts)?, pitch, Arg::At(sum), site.count(channels)?];
        site.launch_flat("sum_parts".to_owned(), channels, args)?;
    }
    Ok(())
}

/// The second pass, likewise.
pub(super) fn apply_gradient(site: &mut Site<'_>, k: &BnBackwardApply, masked: bool) -> Result<()> {
    let (dy, x, dx) = (site.get("dy")?, site.get("x")?, site.get("dx")?);
    let (y, act) = mask(site, k.epilogue, masked);
    let maps: Vec<Operand> = [dy, x, dx].into_iter().chain(y).collect();
    let lanes = site.lanes(k.channels, &maps);
    let packs = k.channels / lanes;
    let mut args = vec![Arg::At(dy.place), Arg::At(x.place), site.at("mean")?, site.at("rstd")?];
    args.extend([site.at("scale")?, site.at("dscale")?, site.at("dshift")?, site.maybe("shift")]);
    args.extend([pointer(y), Arg::At(dx.place), site.maybe("dresidual")]);
    args.extend([site.count(k.rows)?, site.count(packs)?, site.count(x.pitch)?]);
    args.extend(activation::arguments(act));
    site.launch_flat(site.entry("bn_backward_apply", dy.dtype, lanes), k.rows * packs, args)
}

pub(super) fn channel_sum(site: &mut Site<'_>, k: &ChannelSum) -> Result<()> {
    let dy = site.get("dy")?;
    let lanes = site.lanes(k.channels, &[dy]);
    let packs = k.channels / lanes;
    let columns = Columns::of_rows(k.rows, packs);
    let partial = site.scratch(columns.parts * k.channels * size_of::<f32>());
    let args = vec![Arg::At(dy.place), Arg::At(partial), site.count(k.rows)?, site.count(packs)?];
    site.launch_columns(site.entry("channel_sum", dy.dtype, lanes), &columns, lanes, args)?;
    let db = site.get("db")?.place;
    sum_parts(site, partial, columns.parts, k.channels, [db])
}
