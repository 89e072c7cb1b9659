//! Kernels that compute each element from the elements at its place.

use resnetc_compiler::plan::kernel::{Activate, ActivateBackward, Add, ScaleShift};

use super::activation;
use super::site::{Operand, Site};
use crate::cuda::launch::Arg;
use crate::error::Result;

pub(super) fn activate(site: &mut Site<'_>, k: &Activate) -> Result<()> {
    let (x, y) = (site.get("x")?, site.get("y")?);
    let lanes = site.lanes(k.len, &[x, y].map(flat));
    let mut args = vec![Arg::At(x.place), Arg::At(y.place), site.count(k.len / lanes)?];
    args.extend(activation::arguments(Some(k.act)));
    site.launch_flat(site.entry("activate_map", x.dtype, lanes), k.len / lanes, args)
}

pub(super) fn activate_backward(site: &mut Site<'_>, k: &ActivateBackward) -> Result<()> {
    let (dy, saved, dx) = (site.get("dy")?, site.get("saved")?, site.get("dx")?);
    let lanes = site.lanes(k.len, &[dy, saved, dx].map(flat));
    let pointers = [dy, saved, dx].map(|map| Arg::At(map.place));
    let mut args = pointers.to_vec();
    args.push(site.count(k.len / lanes)?);
    args.extend(activation::arguments(Some(k.act)));
    site.launch_flat(site.entry("activate_backward", dy.dtype, lanes), k.len / lanes, args)
}

pub(super) fn add(site: &mut Site<'_>, k: &Add) -> Result<()> {
    let (mut a, mut b, mut y) = (site.get("a")?, site.get("b")?, site.get("y")?);
    if a.packed() && b.packed() {
        [a, b, y] = [a, b, y].map(flat);
    }
    // The result and a packed operand may be matrices or maps; a slice is a map and says where pixels end.
    let channels = [a, b].into_iter().find(|map| !map.packed()).map_or(a.channels, |map| map.channels);
    let lanes = site.lanes(channels, &[a, b, y]);
    let (rows, packs) = (k.len / channels, channels / lanes);
    let mut args = vec![Arg::At(a.place), Arg::At(b.place), Arg::At(y.place)];
    args.extend([site.count(rows)?, site.count(packs)?, site.count(a.pitch)?, site.count(b.pitch)?]);
    args.extend(activation::arguments(k.act));
    site.launch_flat(site.entry("add", y.dtype, lanes), rows * packs, args)
}

pub(super) fn scale_shift(site: &mut Site<'_>, k: &ScaleShift) -> Result<()> {
    let (x, y) = (site.get("x")?, site.get("y")?);
    let lanes = site.lanes(k.len, &[x, y].map(flat));
    let args = vec![Arg::At(x.place), Arg::At(y.place), site.count(k.len / lanes)?];
    let args = args.into_iter().chain([Arg::Float(k.scale), Arg::Float(k.shift)]).collect();
    site.launch_flat(site.entry("scale_shift", x.dtype, lanes), k.len / lanes, args)
}

/// A packed map as one pixel of all its elements.
pub(super) fn flat(map: Operand) -> Operand {
    Operand { pitch: map.numel, channels: map.numel, ..map }
}
