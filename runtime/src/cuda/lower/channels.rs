//! Copies: channels that are put together or taken out, other element types, gaps that are closed.

use resnetc_compiler::ir::types::DType;
use resnetc_compiler::plan::PadGeometry;
use resnetc_compiler::plan::kernel::{ChannelSlice, Concat, PadShortcut, PadShortcutBackward};

use super::site::{Operand, Site};
use crate::cuda::launch::{Arg, Place};
use crate::error::Result;

/// Elements that a thread copies at once, where they are aligned.
const LANES: usize = 4;

/// Adds a copy of a map to another one with as many channels, whatever types and gaps they have.
pub(super) fn copy(site: &mut Site<'_>, from: &Operand, to: &Operand) -> Result<()> {
    copy_by(site, &format!("convert_{}_{}", from.dtype, to.dtype), from, to)
}

/// Adds a copy of a map of `f32` with elements rounded to another type.
pub(super) fn round(site: &mut Site<'_>, by: DType, from: &Operand, to: &Operand) -> Result<()> {
    copy_by(site, &format!("round_{by}_{}", to.dtype), from, to)
}

fn copy_by(site: &mut Site<'_>, kernel: &str, from: &Operand, to: &Operand) -> Result<()> {
    let channels = from.channels;
    let wide = channels.is_multiple_of(LANES) && from.aligned(LANES) && to.aligned(LANES);
    let lanes = if wide { LANES } else { 1 };
    let (rows, packs) = (from.numel / channels.max(1), channels / lanes);
    let args = vec![Arg::At(from.place), Arg::At(to.place), site.count(rows)?, site.count(packs)?];
    let args = args.into_iter().chain([site.count(from.pitch)?, site.count(to.pitch)?]).collect();
    site.launch_flat(format!("{kernel}x{lanes}"), rows * packs, args)
}

/// Some channels of a map.
fn part(map: &Operand, start: usize, channels: usize) -> Operand {
    let offset = map.place.offset + start * map.dtype.size();
    let numel = map.numel / map.channels.max(1) * channels;
    Operand { place: Place { offset, ..map.place }, channels, numel, ..*map }
}

pub(super) fn concat(site: &mut Site<'_>, k: &Concat) -> Result<()> {
    let (y, parts) = (site.get("y")?, site.inputs());
    let mut start = 0;
    for (from, &channels) in parts.iter().zip(&k.channels) {
        copy(site, from, &part(&y, start, channels))?;
        start += channels;
    }
    Ok(())
}

pub(super) fn slice(site: &mut Site<'_>, k: &ChannelSlice) -> Result<()> {
    let (x, y) = (site.get("x")?, site.get("y")?);
    copy(site, &part(&x, k.start, k.taken), &y)
}

fn pad(site: &Site<'_>, g: &PadGeometry) -> Result<Vec<Arg<Place>>> {
    let sizes = [g.n, g.h, g.w, g.cin, g.out[0], g.out[1], g.cout, g.before];
    sizes.into_iter().chain(g.stride).map(|size| site.count(size)).collect()
}

pub(super) fn pad_shortcut(site: &mut Site<'_>, k: &PadShortcut) -> Result<()> {
    let (x, y) = (site.get("x")?, site.get("y")?);
    let mut args = vec![Arg::At(x.place), Arg::At(y.place)];
    args.extend(pad(site, &k.geometry)?);
    site.launch_flat(site.entry("pad_shortcut", y.dtype, 1), y.numel, args)
}

pub(super) fn pad_shortcut_backward(site: &mut Site<'_>, k: &PadShortcutBackward) -> Result<()> {
    let (dy, dx) = (site.get("dy")?, site.get("dx")?);
    let mut args = vec![Arg::At(dy.place), Arg::At(dx.place)];
    args.extend(pad(site, &k.geometry)?);
    site.launch_flat(site.entry("pad_shortcut_backward", dx.dtype, 1), dx.numel, args)
}
