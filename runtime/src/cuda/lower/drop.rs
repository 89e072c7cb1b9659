//! Dropping random parts.

use resnetc_compiler::ir::op::DropPart;
use resnetc_compiler::plan::kernel::Drop;

use super::site::Site;
use crate::cuda::launch::{Arg, THREADS};
use crate::error::Result;
use crate::random::{blocks, threshold};

/// Blocks that share the squares' map, at most: whoever scales adds up what each has kept.
const MAX_PARTS: usize = 256;

pub(super) fn drop(site: &mut Site<'_>, k: &Drop) -> Result<()> {
    let g = &k.geometry;
    let (x, y, per_image) = (site.get("x")?, site.get("y")?, g.h * g.w * g.c);
    let part = match k.part {
        DropPart::Element => 1,
        DropPart::Image => per_image,
        DropPart::Block { size } => return drop_blocks(site, k, size),
    };
    let kept = (1.0 / (1.0 - f64::from(k.rate))) as f32;
    let mut args = vec![Arg::At(x.place), site.at("seed")?, site.at("step")?, Arg::At(y.place)];
    args.extend([site.count(g.n * per_image)?, site.count(part)?, Arg::Int(threshold(f64::from(k.rate)))]);
    args.extend([Arg::Float(kept), Arg::Long(k.stream)]);
    site.launch_flat(site.entry("drop", x.dtype, 1), g.n * per_image, args)
}

fn drop_blocks(site: &mut Site<'_>, k: &Drop, size: usize) -> Result<()> {
    let g = &k.geometry;
    let (x, y, len) = (site.get("x")?, site.get("y")?, g.n * g.h * g.w * g.c);
    let (size, probability) = blocks(g, size, k.rate);
    let parts = len.div_ceil(THREADS).min(MAX_PARTS);
    let (keeps, counts) = (site.scratch(len), site.scratch(parts * size_of::<u32>()));
    let mut args = vec![site.at("seed")?, site.at("step")?, Arg::At(keeps), Arg::At(counts)];
    for size in [g.n, g.h, g.w, g.c, size] {
        args.push(site.count(size)?);
    }
    args.extend([Arg::Int(threshold(probability)), Arg::Long(k.stream)]);
    site.count(len)?;
    site.launch_rows("drop_block_mask".to_owned(), [parts, 1], args)?;
    let mut args = vec![Arg::At(x.place), Arg::At(keeps), Arg::At(counts), site.count(parts)?];
    args.extend([Arg::At(y.place), site.count(len)?]);
    site.launch_flat(site.entry("drop_block", x.dtype, 1), len, args)
}
