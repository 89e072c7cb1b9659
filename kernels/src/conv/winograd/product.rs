//! Products of transformed patches with transformed weights: register tiles as those of the direct convolution, but of
//! rows that are a fixed distance apart and hold a few channels only. There a tile is over after some hundred cycles, so
//! what comes before and after its multiplications counts: nothing is looked up, and the distance is a constant where
//! there are few channels.

// Loops over constant ranges stay index loops, as in the register tiles: LLVM unrolls those early.
#![allow(clippy::needless_range_loop)]

use crate::conv::tile::multiply::{add_products, before_later_loads, multiply_add, unroll};
use crate::conv::tile::shape::{channels_at_once, fits, one_by_one, with_tile};
use crate::memory::Ahead;
use crate::simd::{Simd, Vector, Work};

/// Factors and results of a tile, row by row.
#[derive(Clone, Copy)]
pub struct Product {
    /// Patches: rows of `reads` floats.
    pub a: *const f32,
    /// Channels read, a multiple of four.
    pub reads: usize,
    /// Weights: `reads` rows of the tile's vectors.
    pub b: *const f32,
    /// Results: rows that are `writes` floats apart.
    pub c: *mut f32,
    /// Floats between the rows of results.
    pub writes: usize,
    /// Weights that later tiles read: some lines are fetched with every few channels.
    pub ahead: Ahead,
}

/// Computes a tile of `size` patches (one of [`Shape::covering`](crate::conv::tile::shape::Shape::covering)) by `vectors`
/// vectors.
///
/// # Safety
/// Pointers are valid for the sizes given.
#[inline(always)]
pub unsafe fn multiply<V: Vector>(simd: Simd<V>, size: usize, vectors: usize, product: &Product) {
    // SAFETY: the caller's promise.
    unsafe {
        match (size, vectors, product.reads) {
            (6, 4, 64) if const { fits::<V>(6, 4) } => apart::<V, 6, 4, 64>(simd, product),
            (24, 1, 16) if const { fits::<V>(24, 1) } => apart::<V, 24, 1, 16>(simd, product),
            (12, 2, 32) if const { fits::<V>(12, 2) } => apart::<V, 12, 2, 32>(simd, product),
            (12, 2, 64) if const { fits::<V>(12, 2) } => apart::<V, 12, 2, 64>(simd, product),
            (6, 2, 16) if const { fits::<V>(6, 2) } => apart::<V, 6, 2, 16>(simd, product),
            (6, 2, 32) if const { fits::<V>(6, 2) } => apart::<V, 6, 2, 32>(simd, product),
            (6, 2, 64) if const { fits::<V>(6, 2) } => apart::<V, 6, 2, 64>(simd, product),
            _ => with_tile!((size, vectors), tile::<V>(simd, product)),
        }
    }
}

/// A tile of any number of channels read.
#[inline(always)]
unsafe fn tile<V: Vector, const SIZE: usize, const NV: usize>(simd: Simd<V>, product: &Product) {
    // SAFETY: the caller's promise.
    unsafe { apart::<V, SIZE, NV, 0>(simd, product) }
}

/// A tile of one size, of one number of channels read or, where `READS` is 0, of any.
struct TileWork<'a, const SIZE: usize, const NV: usize, const READS: usize>(&'a Product);

impl<const SIZE: usize, const NV: usize, const READS: usize> Work for TileWork<'_, SIZE, NV, READS> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: Simd<V>) {
        // SAFETY: the promise of `apart`'s caller.
        unsafe { tile_of::<V, SIZE, NV, READS>(simd, self.0) }
    }
}

#[inline(always)]
unsafe fn apart<V: Vector, const SIZE: usize, const NV: usize, const READS: usize>(
    simd: Simd<V>,
    product: &Product,
) {
    V::apart(simd, TileWork::<SIZE, NV, READS>(product));
}

/// `READS` is the number of channels read, or 0 where that is no constant.
#[inline(always)]
unsafe fn tile_of<V: Vector, const SIZE: usize, const NV: usize, const READS: usize>(
    simd: Simd<V>,
    product: &Product,
) {
    let reads = if READS == 0 { product.reads } else { READS };
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [[simd.zero(); NV]; SIZE];
        // All of these divide a vector's length.
        match channels_at_once(V::REGISTERS, NV) {
            4 => channels::<V, SIZE, NV, 4>(&mut sums, product, reads),
            2 => channels::<V, SIZE, NV, 2>(&mut sums, product, reads),
            _ => channels::<V, SIZE, NV, 1>(&mut sums, product, reads),
        }
        unroll!(i < SIZE; {
            let to = product.c.add(i * product.writes);
            for v in 0..NV {
                sums[i][v].store(to.add(v * V::LANES));
            }
        });
    }
}

/// Adds the products of all channels, `STEP` at a time.
#[inline(always)]
unsafe fn channels<V: Vector, const SIZE: usize, const NV: usize, const STEP: usize>(
    sums: &mut [[V; NV]; SIZE],
    product: &Product,
    reads: usize,
) {
    let mut ahead = product.ahead;
    // SAFETY: the caller's promise.
    unsafe {
        for first in (0..reads).step_by(STEP) {
            ahead.fetch();
            let b = product.b.add(first * NV * V::LANES);
            add_products!(V, sums[SIZE][NV], STEP, b, true, false, |i| product.a.add(i * reads + first));
        }
    }
}
