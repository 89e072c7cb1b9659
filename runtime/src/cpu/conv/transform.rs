//! The transforms of F(4x4, 3x3), one vector of channels at a time. In one dimension, with points 0, 1, -1, 2, -2, infinity:
//!
//! ```text
//!      |4  0 -5  0  1  0|        | 1/4    0    0 |
//!      |0 -4 -4  1  1  0|        |-1/6 -1/6 -1/6 |        |1  1  1  1  1  0|
//! B' = |0  4 -4 -1  1  0|    G = |-1/6  1/6 -1/6 |   A' = |0  1 -1  2 -2  0|
//!      |0 -2 -1  2  1  0|        |1/24 1/12  1/6 |        |0  1  1  4  4  0|
//!      |0  2 -1 -2  1  0|        |1/24 -1/12 1/6 |        |0  1 -1  8 -8  1|
//!      |0  4  0 -5  0  1|        |  0    0    1  |
//! ```

// Loops over constant ranges stay index loops, as in the register tiles: LLVM unrolls those early.
#![allow(clippy::needless_range_loop)]

use crate::cpu::vector::Vector;

/// Rows and columns of output pixels of a patch.
pub(super) const OUT: usize = 4;

/// Rows and columns of input pixels of a patch.
pub(super) const IN: usize = 6;

/// Elements of a transformed patch.
pub(super) const POINTS: usize = IN * IN;

/// `B' d`
#[inline(always)]
unsafe fn input<V: Vector>(d: [V; IN]) -> [V; IN] {
    // SAFETY: dispatched, by the callers' promise.
    unsafe {
        let (minus4, minus5, two) = (V::splat(-4.0), V::splat(-5.0), V::splat(2.0));
        let four = V::splat(4.0);
        let (even, odd) = (d[2].mul_add(minus4, d[4]), d[1].mul_add(minus4, d[3]));
        let (even2, odd2) = (d[4].sub(d[2]), d[3].sub(d[1]));
        [
            d[0].mul_add(four, d[2].mul_add(minus5, d[4])),
            even.add(odd),
            even.sub(odd),
            odd2.mul_add(two, even2),
            even2.sub(odd2.add(odd2)),
            d[1].mul_add(four, d[3].mul_add(minus5, d[5])),
        ]
    }
}

/// `A' m`
#[inline(always)]
unsafe fn output<V: Vector>(m: [V; IN]) -> [V; OUT] {
    // SAFETY: dispatched, by the callers' promise.
    unsafe {
        let (sum, difference) = (m[1].add(m[2]), m[1].sub(m[2]));
        let (sum2, difference2) = (m[3].add(m[4]), m[3].sub(m[4]));
        [
            m[0].add(sum).add(sum2),
            difference2.mul_add(V::splat(2.0), difference),
            sum2.mul_add(V::splat(4.0), sum),
            difference2.mul_add(V::splat(8.0), difference).add(m[5]),
        ]
    }
}

/// `G g`
#[inline(always)]
unsafe fn weights<V: Vector>(g: [V; 3]) -> [V; IN] {
    // SAFETY: dispatched, by the callers' promise.
    unsafe {
        let outer = g[0].add(g[2]);
        let (sixth, twelfth) = (V::splat(-1.0 / 6.0), V::splat(1.0 / 12.0));
        let outer2 = g[2].mul_add(V::splat(1.0 / 6.0), g[0].mul(V::splat(1.0 / 24.0)));
        let middle = g[1].mul(twelfth);
        [
            g[0].mul(V::splat(0.25)),
            outer.add(g[1]).mul(sixth),
            outer.sub(g[1]).mul(sixth),
            outer2.add(middle),
            outer2.sub(middle),
            g[2],
        ]
    }
}

/// `B' d B` of the pixels `d`; elements in the order of the points.
///
/// # Safety
/// Of the three: dispatched as [`Vector`] demands.
#[inline(always)]
pub(super) unsafe fn input_patch<V: Vector>(d: &[[V; IN]; IN]) -> [[V; IN]; IN] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut half = [[V::zero(); IN]; IN];
        for x in 0..IN {
            half[x] = input([d[0][x], d[1][x], d[2][x], d[3][x], d[4][x], d[5][x]]);
        }
        let mut points = [[V::zero(); IN]; IN];
        for y in 0..IN {
            points[y] = input([half[0][y], half[1][y], half[2][y], half[3][y], half[4][y], half[5][y]]);
        }
        points
    }
}

/// `A' m A` of the elements `m`.
///
/// # Safety
/// See [`input_patch`].
#[inline(always)]
pub(super) unsafe fn output_patch<V: Vector>(m: &[[V; IN]; IN]) -> [[V; OUT]; OUT] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut half = [[V::zero(); OUT]; IN];
        for x in 0..IN {
            half[x] = output([m[0][x], m[1][x], m[2][x], m[3][x], m[4][x], m[5][x]]);
        }
        let mut pixels = [[V::zero(); OUT]; OUT];
        for y in 0..OUT {
            pixels[y] = output([half[0][y], half[1][y], half[2][y], half[3][y], half[4][y], half[5][y]]);
        }
        pixels
    }
}

/// `G g G'` of the taps `g`.
///
/// # Safety
/// See [`input_patch`].
#[inline(always)]
pub(super) unsafe fn weights_patch<V: Vector>(g: &[[V; 3]; 3]) -> [[V; IN]; IN] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut half = [[V::zero(); IN]; 3];
        for x in 0..3 {
            half[x] = weights([g[0][x], g[1][x], g[2][x]]);
        }
        let mut points = [[V::zero(); IN]; IN];
        for y in 0..IN {
            points[y] = weights([half[0][y], half[1][y], half[2][y]]);
        }
        points
    }
}
