//! Muon's update: the mean gradient, its norm, three products for each step of the iteration, the step.

use resnetc_compiler::ir::update::{MuonAttrs, NEWTON_SCHULZ, NEWTON_SCHULZ_EPS, NEWTON_SCHULZ_STEPS};
use resnetc_compiler::plan::kernel::Update;

use super::site::Site;
use super::update_parts::{norm_parts, operands};
use crate::cuda::launch::{Arg, Place};
use crate::error::Result;

/// Side of a tile of a product: the root of a block's threads.
const TILE: usize = 16;

/// A product `[m, k] [k, n]` of matrices in scratch memory: the left one's elements lie `steps` apart from row to row and from column to
/// column, the others are row-major. To it, `added.1 * added.0` is added.
struct Product {
    size: [usize; 3],
    left: Place,
    steps: [usize; 2],
    right: Place,
    factor: f32,
    added: Option<(Place, f32)>,
    out: Place,
}

pub(super) fn update(site: &mut Site<'_>, k: &Update, attrs: &MuonAttrs) -> Result<()> {
    let matrix = k.matrix.expect("lowering gives it to rules that take a matrix");
    let [long, short] = matrix.sides();
    let bytes = |elements: usize| elements * size_of::<f32>();
    let matrices = [(); 2].map(|()| site.scratch(bytes(k.len)));
    let squares = [(); 2].map(|()| site.scratch(bytes(short * short)));
    let (moved, len, finite) = (Arg::At(matrices[0]), site.count(k.len)?, site.maybe("finite"));
    let mut args = vec![site.at("grad")?, site.at("momentum_buffer")?, moved, site.maybe("scale"), finite];
    args.extend([len, Arg::Float(attrs.momentum), Arg::Int(u32::from(attrs.nesterov))]);
    site.launch_flat("muon_mean".to_owned(), k.len, args)?;
    let (norms, parts) = norm_parts(site, k.len);
    site.launch_rows("muon_norm".to_owned(), [parts, 1], vec![moved, finite, Arg::At(norms), len])?;
    let sides = [site.count(long)?, site.count(short)?, Arg::Int(u32::from(matrix.is_wide()))];
    let mut args = vec![moved, Arg::At(matrices[1]), finite, Arg::At(norms), site.count(parts)?];
    args.extend(sides.into_iter().chain([Arg::Float(NEWTON_SCHULZ_EPS)]));
    site.launch_rows("muon_spread".to_owned(), [parts, 1], args)?;
    let result = orthogonalise(site, [long, short], [matrices[1], matrices[0]], squares)?;
    let mut args = operands(site, k)?;
    args.extend([Arg::Float(attrs.weight_decay), Arg::Float(matrix.scale() as f32), Arg::At(result)]);
    args.extend(sides);
    site.launch_flat(k.rule.kernel_name().to_owned(), k.len, args)
}

/// The iteration on the first of two matrices; says which has the result.
fn orthogonalise(
    site: &mut Site<'_>,
    [long, short]: [usize; 2],
    [mut x, mut other]: [Place; 2],
    [gram, polynomial]: [Place; 2],
) -> Result<Place> {
    let [a, b, c] = NEWTON_SCHULZ;
    for _ in 0..NEWTON_SCHULZ_STEPS {
        let (size, steps) = ([short, short, long], [1, short]);
        product(site, &Product { size, left: x, steps, right: x, factor: 1.0, added: None, out: gram })?;
        let (size, steps, added) = ([short; 3], [short, 1], Some((gram, b)));
        product(site, &Product { size, left: gram, steps, right: gram, factor: c, added, out: polynomial })?;
        let (size, added) = ([long, short, short], Some((x, a)));
        product(site, &Product { size, left: x, steps, right: polynomial, factor: 1.0, added, out: other })?;
        (x, other) = (other, x);
    }
    Ok(x)
}

fn product(site: &mut Site<'_>, p: &Product) -> Result<()> {
    let [m, n, _] = p.size;
    let (added, share) = p.added.map_or((Arg::Null, 0.0), |(place, share)| (Arg::At(place), share));
    let mut args = vec![Arg::At(p.left), Arg::At(p.right), added, Arg::At(p.out), site.maybe("finite")];
    for count in p.size.into_iter().chain(p.steps) {
        args.push(site.count(count)?);
    }
    args.extend([Arg::Float(p.factor), Arg::Float(share)]);
    site.launch_tiles("muon_product".to_owned(), [m.div_ceil(TILE), n.div_ceil(TILE)], args)
}
