//! Products of matrices that lie in scratch memory.

use std::ops::Range;

use crate::ctx::Ctx;
use crate::memory::{Dst, Src};
use crate::simd::{Simd, Vector, Work};
use crate::threads::chunk;

/// Rows of a register tile.
const ROWS: usize = 6;
/// Vectors of a row of it: with the rows, as many sums as AVX2 has registers for.
const VECTORS: usize = 2;
/// Columns of a tile with the longest vectors. Tiles are cut the same with all, so that shares do not depend on the instructions.
const COLUMNS: usize = 32;

/// `out = factor * left right + added.1 * added.0`, of `[m, k]` and `[k, n]`.
#[derive(Clone, Copy)]
pub(super) struct Product<'a> {
    /// `m, n, k`
    pub size: [usize; 3],
    /// The left one.
    pub left: Src<'a, f32>,
    /// Elements from one of its rows to the next, and from one of its columns to the next.
    pub steps: [usize; 2],
    /// The right one, row-major.
    pub right: Src<'a, f32>,
    pub factor: f32,
    /// Row-major, as `out` is.
    pub added: Option<(Src<'a, f32>, f32)>,
    /// Where none of the others is.
    pub out: Dst<'a, f32>,
}

impl Product<'_> {
    /// Computes it. Tiles are independent, and cut in advance: the bits do not depend on the threads.
    pub(super) fn run(&self, ctx: &Ctx<'_>) {
        let [m, n, k] = self.size;
        if m * n * k == 0 {
            return;
        }
        let last = (m - 1) * self.steps[0] + (k - 1) * self.steps[1];
        assert!(last < self.left.len() && k * n <= self.right.len() && m * n <= self.out.len());
        assert!(self.added.is_none_or(|(added, _)| m * n <= added.len()));
        let (tiles, threads) = (m.div_ceil(ROWS) * n.div_ceil(COLUMNS), ctx.threads.count());
        // A multiplication takes as long as an eighth of an element that is read and written.
        ctx.parallel(m * n * k / 8, &|thread| {
            ctx.isa.dispatch(Tiles { product: self, tiles: chunk(tiles, 1, thread, threads) });
        });
    }
}

/// Some of a product's tiles: rows first, so that those columns of the right one stay in the cache.
struct Tiles<'a> {
    product: &'a Product<'a>,
    tiles: Range<usize>,
}

impl Work for Tiles<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: Simd<V>) {
        let [m, n, _] = self.product.size;
        let down = m.div_ceil(ROWS);
        for tile in self.tiles {
            let (row, start) = (tile % down * ROWS, tile / down * COLUMNS);
            for column in (start..n.min(start + COLUMNS)).step_by(VECTORS * V::LANES) {
                let width = (n.min(start + COLUMNS) - column).min(VECTORS * V::LANES);
                // SAFETY: `Product::run` has checked the lengths; tile and width end where the matrices do.
                unsafe { tile_of(simd, self.product, [row, column], (m - row).min(ROWS), width) };
            }
        }
    }
}

/// One register tile, from a row and a column on.
///
/// # Safety
/// `rows <= ROWS` rows and `width <= VECTORS * LANES` columns are inside of the product, whose operands have its size.
#[inline(always)]
unsafe fn tile_of<V: Vector>(
    simd: Simd<V>,
    p: &Product<'_>,
    [row, column]: [usize; 2],
    rows: usize,
    width: usize,
) {
    let [_, n, k] = p.size;
    let mut sums = [[simd.zero(); VECTORS]; ROWS];
    // Rows that are not there read the last one, and are not stored.
    let lefts: [usize; ROWS] = std::array::from_fn(|i| (row + i.min(rows - 1)) * p.steps[0]);
    let lanes: [usize; VECTORS] = std::array::from_fn(|v| width.saturating_sub(v * V::LANES).min(V::LANES));
    let whole = width == VECTORS * V::LANES;
    for at in 0..k {
        // SAFETY: inside, by the caller's promise.
        let right: [V; VECTORS] = std::array::from_fn(|v| unsafe {
            let from = p.right.ptr().add(at * n + column).wrapping_add(v * V::LANES);
            match whole {
                true => simd.load(from),
                false => simd.load_first(from, lanes[v]),
            }
        });
        for (sum, left) in sums.iter_mut().zip(lefts) {
            // SAFETY: as above.
            let x = simd.splat(unsafe { *p.left.ptr().add(left + at * p.steps[1]) });
            for (sum, right) in sum.iter_mut().zip(right) {
                *sum = x.mul_add(right, *sum);
            }
        }
    }
    for (i, sum) in sums.iter().enumerate().take(rows) {
        for (v, &sum) in sum.iter().enumerate().filter(|&(v, _)| lanes[v] > 0) {
            let to = (row + i) * n + column + v * V::LANES;
            let mut value = sum.mul(simd.splat(p.factor));
            // SAFETY: as above; this tile's elements are written by this thread alone.
            unsafe {
                if let Some((added, factor)) = p.added {
                    let added = simd.load_first(added.ptr().add(to), lanes[v]);
                    value = added.mul_add(simd.splat(factor), value);
                }
                value.store_first(p.out.ptr().add(to), lanes[v]);
            }
        }
    }
}
