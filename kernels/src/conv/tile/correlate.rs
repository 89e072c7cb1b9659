//! The innermost loops of a filter gradient: register tiles of input channels by vectors of output channels.

// Loops over constant ranges stay index loops, as in the convolution's tiles: LLVM unrolls those early.
#![allow(clippy::needless_range_loop)]

use super::multiply::unroll;
use super::shape::{fits, with_tile};
use crate::memory::fetch;
use crate::simd::{Simd, Vector, Work, load_part, store_part};

/// One tile of a filter gradient.
#[derive(Clone, Copy)]
pub(in crate::conv) struct FilterTile {
    /// The tile's input channels of the first pixel.
    pub x: *const f32,
    /// Floats from a pixel's to the next one's.
    pub x_step: usize,
    /// Gradient of the output at the first pixel and the panel's first channel, whole vectors.
    pub dy: *const f32,
    /// Floats from a pixel's to the next one's.
    pub dy_step: usize,
    /// Pixels.
    pub pixels: usize,
    /// Output channels of the panel, at most `vectors * lanes`.
    pub width: usize,
    /// Where the sums go: `size` rows, at the panel's first channel.
    pub dw: *mut f32,
    /// Floats from a row to the next one.
    pub dw_step: usize,
    /// Whether to add to what is there.
    pub accumulate: bool,
    /// Where memory is fetched ahead of its use, if it is.
    pub ahead: [*const f32; 2],
    /// Floats by which that moves with each pixel.
    pub ahead_step: usize,
}

/// Computes a tile of `size` input channels by `vectors` vectors of output channels; where `AHEAD`, fetches
/// what comes next.
///
/// # Safety
/// Pointers are valid for the sizes given.
#[inline(always)]
pub(in crate::conv) unsafe fn correlate<V: Vector, const AHEAD: bool>(
    simd: Simd<V>,
    size: usize,
    vectors: usize,
    tile: &FilterTile,
) {
    // SAFETY: the caller's promise.
    unsafe {
        with_tile!((size, vectors), apart::<V, AHEAD>(simd, tile));
    }
}

/// A tile of one size.
struct TileWork<'a, const SIZE: usize, const NV: usize, const AHEAD: bool>(&'a FilterTile);

impl<const SIZE: usize, const NV: usize, const AHEAD: bool> Work for TileWork<'_, SIZE, NV, AHEAD> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: Simd<V>) {
        // SAFETY: the promise of `apart`'s caller.
        unsafe { correlate_tile::<V, SIZE, NV, AHEAD>(simd, self.0) }
    }
}

#[inline(always)]
unsafe fn apart<V: Vector, const SIZE: usize, const NV: usize, const AHEAD: bool>(
    simd: Simd<V>,
    tile: &FilterTile,
) {
    V::apart(simd, TileWork::<SIZE, NV, AHEAD>(tile));
}

#[inline(always)]
unsafe fn correlate_tile<V: Vector, const SIZE: usize, const NV: usize, const AHEAD: bool>(
    simd: Simd<V>,
    tile: &FilterTile,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [[simd.zero(); NV]; SIZE];
        let (mut x, mut dy) = (tile.x, tile.dy);
        for pixel in 0..tile.pixels {
            if AHEAD {
                for ahead in tile.ahead {
                    fetch(ahead.wrapping_add(pixel * tile.ahead_step));
                }
            }
            let mut gradient = [simd.zero(); NV];
            for (v, gradient) in gradient.iter_mut().enumerate() {
                *gradient = simd.load(dy.add(v * V::LANES));
            }
            unroll!(i < SIZE; {
                let x = simd.splat(*x.add(i));
                for v in 0..NV {
                    sums[i][v] = x.mul_add(gradient[v], sums[i][v]);
                }
            });
            (x, dy) = (x.wrapping_add(tile.x_step), dy.wrapping_add(tile.dy_step));
        }
        unroll!(i < SIZE; {
            let dw = tile.dw.wrapping_add(i * tile.dw_step);
            for v in 0..NV {
                let mut sum = sums[i][v];
                if tile.accumulate {
                    sum = sum.add(load_part(simd, dw, v, tile.width));
                }
                store_part(dw, v, tile.width, sum);
            }
        });
    }
}
