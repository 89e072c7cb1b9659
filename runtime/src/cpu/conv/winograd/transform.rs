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
//!
//! The gradient of the weights takes the adjoints: `A dy A'` of a patch of `dy`, and `G' u G` of sums of its products.

// Loops over constant ranges stay index loops, as in the register tiles: LLVM unrolls those early.
#![allow(clippy::needless_range_loop)]

use crate::cpu::vector::Vector;

/// Rows and columns of output pixels of a patch.
pub const OUT: usize = 4;

/// Rows and columns of input pixels of a patch.
pub const IN: usize = 6;

/// Elements of a transformed patch.
pub const POINTS: usize = IN * IN;

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

/// `A d`
#[inline(always)]
unsafe fn gradient<V: Vector>(d: [V; OUT]) -> [V; IN] {
    // SAFETY: dispatched, by the callers' promise.
    unsafe {
        let (even, odd) = (d[0].add(d[2]), d[1].add(d[3]));
        let (even2, odd2) = (d[2].mul_add(V::splat(4.0), d[0]), d[3].mul_add(V::splat(4.0), d[1]));
        let odd2 = odd2.add(odd2);
        [d[0], even.add(odd), even.sub(odd), even2.add(odd2), even2.sub(odd2), d[3]]
    }
}

/// `G' u`
#[inline(always)]
unsafe fn weights_gradient<V: Vector>(u: [V; IN]) -> [V; 3] {
    // SAFETY: dispatched, by the callers' promise.
    unsafe {
        let sixth = V::splat(1.0 / 6.0);
        let (sum, difference) = (u[1].add(u[2]).mul(sixth), u[2].sub(u[1]).mul(sixth));
        let (sum2, difference2) = (u[3].add(u[4]), u[3].sub(u[4]));
        [
            sum2.mul_add(V::splat(1.0 / 24.0), u[0].mul_add(V::splat(0.25), V::zero().sub(sum))),
            difference2.mul_add(V::splat(1.0 / 12.0), difference),
            sum2.mul_add(sixth, u[5].sub(sum)),
        ]
    }
}

/// `B' d B` of the pixels `d`; elements in the order of the points.
///
/// # Safety
/// Of the three: dispatched as [`Vector`] demands.
#[inline(always)]
pub unsafe fn input_patch<V: Vector>(d: &[[V; IN]; IN]) -> [[V; IN]; IN] {
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
pub unsafe fn output_patch<V: Vector>(m: &[[V; IN]; IN]) -> [[V; OUT]; OUT] {
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
pub unsafe fn weights_patch<V: Vector>(g: &[[V; 3]; 3]) -> [[V; IN]; IN] {
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

/// `A d A'` of the pixels `d`.
///
/// # Safety
/// See [`input_patch`].
#[inline(always)]
pub unsafe fn gradient_patch<V: Vector>(d: &[[V; OUT]; OUT]) -> [[V; IN]; IN] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut half = [[V::zero(); IN]; OUT];
        for x in 0..OUT {
            half[x] = gradient([d[0][x], d[1][x], d[2][x], d[3][x]]);
        }
        let mut points = [[V::zero(); IN]; IN];
        for y in 0..IN {
            points[y] = gradient([half[0][y], half[1][y], half[2][y], half[3][y]]);
        }
        points
    }
}

/// `G' u G` of the elements `u`.
///
/// # Safety
/// See [`input_patch`].
#[inline(always)]
pub unsafe fn weights_gradient_patch<V: Vector>(u: &[[V; IN]; IN]) -> [[V; 3]; 3] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut half = [[V::zero(); 3]; IN];
        for x in 0..IN {
            half[x] = weights_gradient([u[0][x], u[1][x], u[2][x], u[3][x], u[4][x], u[5][x]]);
        }
        let mut taps = [[V::zero(); 3]; 3];
        for y in 0..3 {
            taps[y] =
                weights_gradient([half[0][y], half[1][y], half[2][y], half[3][y], half[4][y], half[5][y]]);
        }
        taps
    }
}

/// A vector of each point, from planes that are `plane` floats apart.
///
/// # Safety
/// Dispatched as [`Vector`] demands; the pointer is to a plane, followed by those of the other points.
#[inline(always)]
pub unsafe fn load_points<V: Vector>(from: *const f32, plane: usize) -> [[V; IN]; IN] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut points = [[V::zero(); IN]; IN];
        for y in 0..IN {
            for x in 0..IN {
                points[y][x] = V::load(from.add((y * IN + x) * plane));
            }
        }
        points
    }
}

/// Stores a vector of each point likewise.
///
/// # Safety
/// See [`load_points`].
#[inline(always)]
pub unsafe fn store_points<V: Vector>(points: &[[V; IN]; IN], to: *mut f32, plane: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        for y in 0..IN {
            for x in 0..IN {
                points[y][x].store(to.add((y * IN + x) * plane));
            }
        }
    }
}
