//! The transforms of F(4x4, 3x3) and F(2x2, 3x3), one vector of channels at a time. In one dimension, of the first, with points
//! 0, 1, -1, 2, -2, infinity:
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
//! and of the second, with points 0, 1, -1, infinity:
//!
//! ```text
//!      |1  0 -1  0|        | 1    0    0  |
//! B' = |0  1  1  0|    G = |1/2  1/2  1/2 |   A' = |1  1  1  0|
//!      |0 -1  1  0|        |1/2 -1/2  1/2 |        |0  1 -1  1|
//!      |0 -1  0  1|        | 0    0    1  |
//! ```
//!
//! Functions are generic over the rows of input pixels of a patch, `IN` (6 or 4), and of output pixels, `OUT` (4 or 2). The
//! gradient of the weights takes the adjoints of the first: `A dy A'` of a patch of `dy`, and `G' u G` of sums of its products.

// Loops over constant ranges stay index loops, as in the register tiles: LLVM unrolls those early.
#![allow(clippy::needless_range_loop)]

use crate::simd::{Simd, Vector};

/// `B' d`
#[inline(always)]
fn input<V: Vector, const IN: usize>(d: [V; IN]) -> [V; IN] {
    let simd = d[0].simd();
    let mut points = [simd.zero(); IN];
    if IN == 4 {
        points[0] = d[0].sub(d[2]);
        points[1] = d[1].add(d[2]);
        points[2] = d[2].sub(d[1]);
        points[3] = d[3].sub(d[1]);
        return points;
    }
    let (minus4, minus5, two) = (simd.splat(-4.0), simd.splat(-5.0), simd.splat(2.0));
    let four = simd.splat(4.0);
    let (even, odd) = (d[2].mul_add(minus4, d[4]), d[1].mul_add(minus4, d[3]));
    let (even2, odd2) = (d[4].sub(d[2]), d[3].sub(d[1]));
    points[0] = d[0].mul_add(four, d[2].mul_add(minus5, d[4]));
    points[1] = even.add(odd);
    points[2] = even.sub(odd);
    points[3] = odd2.mul_add(two, even2);
    points[4] = even2.sub(odd2.add(odd2));
    points[5] = d[1].mul_add(four, d[3].mul_add(minus5, d[5]));
    points
}

/// `A' m`
#[inline(always)]
fn output<V: Vector, const IN: usize, const OUT: usize>(m: [V; IN]) -> [V; OUT] {
    let simd = m[0].simd();
    let mut pixels = [simd.zero(); OUT];
    let (sum, difference) = (m[1].add(m[2]), m[1].sub(m[2]));
    if OUT == 2 {
        pixels[0] = m[0].add(sum);
        pixels[1] = difference.add(m[3]);
        return pixels;
    }
    let (sum2, difference2) = (m[3].add(m[4]), m[3].sub(m[4]));
    pixels[0] = m[0].add(sum).add(sum2);
    pixels[1] = difference2.mul_add(simd.splat(2.0), difference);
    pixels[2] = sum2.mul_add(simd.splat(4.0), sum);
    pixels[3] = difference2.mul_add(simd.splat(8.0), difference).add(m[5]);
    pixels
}

/// `G g`
#[inline(always)]
fn weights<V: Vector, const IN: usize>(g: [V; 3]) -> [V; IN] {
    let simd = g[0].simd();
    let mut points = [simd.zero(); IN];
    let outer = g[0].add(g[2]);
    if IN == 4 {
        let half = simd.splat(0.5);
        points[0] = g[0];
        points[1] = outer.add(g[1]).mul(half);
        points[2] = outer.sub(g[1]).mul(half);
        points[3] = g[2];
        return points;
    }
    let (sixth, twelfth) = (simd.splat(-1.0 / 6.0), simd.splat(1.0 / 12.0));
    let outer2 = g[2].mul_add(simd.splat(1.0 / 6.0), g[0].mul(simd.splat(1.0 / 24.0)));
    let middle = g[1].mul(twelfth);
    points[0] = g[0].mul(simd.splat(0.25));
    points[1] = outer.add(g[1]).mul(sixth);
    points[2] = outer.sub(g[1]).mul(sixth);
    points[3] = outer2.add(middle);
    points[4] = outer2.sub(middle);
    points[5] = g[2];
    points
}

/// `A d`
#[inline(always)]
fn gradient<V: Vector>(d: [V; 4]) -> [V; 6] {
    let simd = d[0].simd();
    let (even, odd) = (d[0].add(d[2]), d[1].add(d[3]));
    let (even2, odd2) = (d[2].mul_add(simd.splat(4.0), d[0]), d[3].mul_add(simd.splat(4.0), d[1]));
    let odd2 = odd2.add(odd2);
    [d[0], even.add(odd), even.sub(odd), even2.add(odd2), even2.sub(odd2), d[3]]
}

/// `G' u`
#[inline(always)]
fn weights_gradient<V: Vector>(u: [V; 6]) -> [V; 3] {
    let simd = u[0].simd();
    let sixth = simd.splat(1.0 / 6.0);
    let (sum, difference) = (u[1].add(u[2]).mul(sixth), u[2].sub(u[1]).mul(sixth));
    let (sum2, difference2) = (u[3].add(u[4]), u[3].sub(u[4]));
    [
        sum2.mul_add(simd.splat(1.0 / 24.0), u[0].mul_add(simd.splat(0.25), simd.zero().sub(sum))),
        difference2.mul_add(simd.splat(1.0 / 12.0), difference),
        sum2.mul_add(sixth, u[5].sub(sum)),
    ]
}

/// A transform of one dimension, of `$from` elements to `$to`, applied to the columns and then the rows of a square. No
/// function: a closure would not be compiled for the caller's instructions.
macro_rules! both {
    ($transform:expr, $square:expr, $from:expr, $to:expr) => {{
        let zero = $square[0][0].simd().zero();
        let mut half = [[zero; $to]; $from];
        for x in 0..$from {
            half[x] = $transform(column($square, x));
        }
        let mut whole = [[zero; $to]; $to];
        for y in 0..$to {
            whole[y] = $transform(column(&half, y));
        }
        whole
    }};
}

/// `B' d B` of the pixels `d`; elements in the order of the points.
#[inline(always)]
pub fn input_patch<V: Vector, const IN: usize>(d: &[[V; IN]; IN]) -> [[V; IN]; IN] {
    both!(input, d, IN, IN)
}

/// `A' m A` of the elements `m`.
#[inline(always)]
pub fn output_patch<V: Vector, const IN: usize, const OUT: usize>(m: &[[V; IN]; IN]) -> [[V; OUT]; OUT] {
    both!(output::<V, IN, OUT>, m, IN, OUT)
}

/// `G g G'` of the taps `g`.
#[inline(always)]
pub fn weights_patch<V: Vector, const IN: usize>(g: &[[V; 3]; 3]) -> [[V; IN]; IN] {
    both!(weights::<V, IN>, g, 3, IN)
}

/// Column `x` of a matrix of so many rows.
#[inline(always)]
fn column<V: Vector, const ROWS: usize, const COLS: usize>(rows: &[[V; COLS]; ROWS], x: usize) -> [V; ROWS] {
    let mut column = [rows[0][x]; ROWS];
    for y in 0..ROWS {
        column[y] = rows[y][x];
    }
    column
}

/// `A d A'` of the pixels `d`.
#[inline(always)]
pub fn gradient_patch<V: Vector>(d: &[[V; 4]; 4]) -> [[V; 6]; 6] {
    both!(gradient, d, 4, 6)
}

/// `G' u G` of the elements `u`.
#[inline(always)]
pub fn weights_gradient_patch<V: Vector>(u: &[[V; 6]; 6]) -> [[V; 3]; 3] {
    both!(weights_gradient, u, 6, 3)
}

/// A vector of each point, from planes that are `plane` floats apart.
///
/// # Safety
/// The pointer is to a plane, followed by those of the other points.
#[inline(always)]
pub unsafe fn load_points<V: Vector, const IN: usize>(
    simd: Simd<V>,
    from: *const f32,
    plane: usize,
) -> [[V; IN]; IN] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut points = [[simd.zero(); IN]; IN];
        for y in 0..IN {
            for x in 0..IN {
                points[y][x] = simd.load(from.add((y * IN + x) * plane));
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
pub unsafe fn store_points<V: Vector, const IN: usize>(points: &[[V; IN]; IN], to: *mut f32, plane: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        for y in 0..IN {
            for x in 0..IN {
                points[y][x].store(to.add((y * IN + x) * plane));
            }
        }
    }
}
