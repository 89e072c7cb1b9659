//! The innermost loops of a filter gradient: register tiles of input channels by vectors of output channels.

// Loops over constant ranges stay index loops, as in the convolution's tiles: LLVM unrolls those early.
#![allow(clippy::needless_range_loop)]

use super::tile::{load_part, store_part, unroll};
use crate::cpu::memory::fetch;
use crate::cpu::vector::Vector;

/// One tile of a filter gradient.
#[derive(Clone, Copy)]
pub(super) struct FilterTile {
    /// Pointers to one run of each pixel.
    pub rows: *const *const f32,
    /// First channel of the tile in the run.
    pub from: usize,
    /// Gradient of the output at the first pixel and the panel's first channel.
    pub dy: *const f32,
    /// Channels of the output.
    pub channels: usize,
    /// Pixels.
    pub pixels: usize,
    /// Output channels of the panel, at most `vectors * lanes`.
    pub width: usize,
    /// Where the sums go: `size` rows of `channels` floats, at the panel's first channel.
    pub dw: *mut f32,
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
/// Dispatched as [`Vector`] demands; pointers valid for the sizes given.
#[inline(always)]
pub(super) unsafe fn correlate<V: Vector, const AHEAD: bool>(size: usize, vectors: usize, tile: &FilterTile) {
    // SAFETY: the caller's promise.
    unsafe {
        match (size, vectors) {
            (6, 4) if V::REGISTERS >= 32 => correlate_tile::<V, 6, 4, AHEAD>(tile),
            (4, 4) if V::REGISTERS >= 32 => correlate_tile::<V, 4, 4, AHEAD>(tile),
            (2, 4) if V::REGISTERS >= 32 => correlate_tile::<V, 2, 4, AHEAD>(tile),
            (1, 4) if V::REGISTERS >= 32 => correlate_tile::<V, 1, 4, AHEAD>(tile),
            (8, 3) if V::REGISTERS >= 32 => correlate_tile::<V, 8, 3, AHEAD>(tile),
            (6, 3) if V::REGISTERS >= 32 => correlate_tile::<V, 6, 3, AHEAD>(tile),
            (4, 3) if V::REGISTERS >= 32 => correlate_tile::<V, 4, 3, AHEAD>(tile),
            (2, 3) if V::REGISTERS >= 32 => correlate_tile::<V, 2, 3, AHEAD>(tile),
            (1, 3) if V::REGISTERS >= 32 => correlate_tile::<V, 1, 3, AHEAD>(tile),
            (12, 2) => correlate_tile::<V, 12, 2, AHEAD>(tile),
            (8, 2) => correlate_tile::<V, 8, 2, AHEAD>(tile),
            (6, 2) => correlate_tile::<V, 6, 2, AHEAD>(tile),
            (4, 2) => correlate_tile::<V, 4, 2, AHEAD>(tile),
            (2, 2) => correlate_tile::<V, 2, 2, AHEAD>(tile),
            (1, 2) => correlate_tile::<V, 1, 2, AHEAD>(tile),
            (24, 1) => correlate_tile::<V, 24, 1, AHEAD>(tile),
            (16, 1) => correlate_tile::<V, 16, 1, AHEAD>(tile),
            (12, 1) => correlate_tile::<V, 12, 1, AHEAD>(tile),
            (8, 1) => correlate_tile::<V, 8, 1, AHEAD>(tile),
            (6, 1) => correlate_tile::<V, 6, 1, AHEAD>(tile),
            (4, 1) => correlate_tile::<V, 4, 1, AHEAD>(tile),
            (2, 1) => correlate_tile::<V, 2, 1, AHEAD>(tile),
            (1, 1) => correlate_tile::<V, 1, 1, AHEAD>(tile),
            _ => unreachable!("no tile of {size} x {vectors}"),
        }
    }
}

#[inline(always)]
unsafe fn correlate_tile<V: Vector, const SIZE: usize, const NV: usize, const AHEAD: bool>(
    tile: &FilterTile,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [[V::zero(); NV]; SIZE];
        let mut dy = tile.dy;
        for pixel in 0..tile.pixels {
            if AHEAD {
                for ahead in tile.ahead {
                    fetch(ahead.wrapping_add(pixel * tile.ahead_step));
                }
            }
            let x = (*tile.rows.add(pixel)).add(tile.from);
            let mut gradient = [V::zero(); NV];
            for (v, gradient) in gradient.iter_mut().enumerate() {
                *gradient = load_part(dy, v, tile.width);
            }
            unroll!(i < SIZE; {
                let x = V::splat(*x.add(i));
                for v in 0..NV {
                    sums[i][v] = x.mul_add(gradient[v], sums[i][v]);
                }
            });
            dy = dy.wrapping_add(tile.channels);
        }
        unroll!(i < SIZE; {
            let dw = tile.dw.wrapping_add(i * tile.channels);
            for v in 0..NV {
                let mut sum = sums[i][v];
                if tile.accumulate {
                    sum = sum.add(load_part(dw, v, tile.width));
                }
                store_part(dw, v, tile.width, sum);
            }
        });
    }
}
