//! Products and their gradients.

use resnetc_compiler::plan::kernel::{Mul, MulBackward};

use super::activation;
use super::elementwise::flat;
use super::site::{Columns, Operand, Site};
use crate::cuda::launch::Arg;
use crate::error::Result;

pub(super) fn mul(site: &mut Site<'_>, k: &Mul) -> Result<()> {
    let (a, y, residual) = (site.get("a")?, site.get("y")?, site.maybe("residual"));
    let mut args = vec![Arg::At(a.place), site.at("b")?, residual, Arg::At(y.place)];
    if k.gate {
        let lanes = site.lanes(k.channels, &[a, y]);
        let packs = k.channels / lanes;
        args.extend([site.count(k.images)?, site.count(k.pixels)?, site.count(packs)?]);
        args.extend(activation::arguments(k.epilogue.act));
        return site.launch_flat(site.entry("gate", a.dtype, lanes), k.images * k.pixels * packs, args);
    }
    let (len, [a, y]) = (k.images * k.pixels * k.channels, [a, y].map(flat));
    let lanes = site.lanes(len, &[a, y]);
    args.push(site.count(len / lanes)?);
    args.extend(activation::arguments(k.epilogue.act));
    site.launch_flat(site.entry("mul", a.dtype, lanes), len / lanes, args)
}

pub(super) fn mul_backward(site: &mut Site<'_>, k: &MulBackward) -> Result<()> {
    let (dy, a, da) = (site.get("dy")?, site.get("a")?, site.get("da")?);
    let mut args = vec![Arg::At(dy.place), Arg::At(a.place), site.at("b")?, site.maybe("y")];
    args.extend([Arg::At(da.place), site.at("db")?, site.maybe("dresidual")]);
    if k.gate {
        let maps: [Operand; 3] = [dy, a, da];
        let lanes = site.lanes(k.channels, &maps);
        let packs = k.channels / lanes;
        site.count(k.images * k.pixels)?;
        args.extend([site.count(k.pixels)?, site.count(packs)?]);
        args.extend(activation::arguments(k.epilogue.act));
        let columns = Columns::of_parts(k.images, packs);
        return site.launch_columns(site.entry("gate_backward", dy.dtype, lanes), &columns, lanes, args);
    }
    let len = k.images * k.pixels * k.channels;
    let lanes = site.lanes(len, &[dy, a, da].map(flat));
    args.push(site.count(len / lanes)?);
    args.extend(activation::arguments(k.epilogue.act));
    site.launch_flat(site.entry("mul_backward", dy.dtype, lanes), len / lanes, args)
}
