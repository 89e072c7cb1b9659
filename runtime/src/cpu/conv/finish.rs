//! What becomes of a tile's sums: bias, residual, activation, and the map that they are stored in, as `f32` or as bf16.

use resnetc_compiler::ir::op::Activation;

use super::tile::Tile;
use crate::cpu::activation;
use crate::cpu::stored::Element;
use crate::cpu::stream::{First, Full};
use crate::cpu::vector::Vector;

/// What happens to the sums before they are stored: `act(sum + bias + residual)`.
#[derive(Clone, Copy)]
pub(super) struct Finish {
    /// `[channels]`, or null.
    pub bias: *const f32,
    /// Applied last.
    pub act: Option<Activation>,
    /// What is added to and written, as it is stored.
    pub maps: Maps,
    /// Channels of the maps.
    pub channels: usize,
    /// Elements between the output's pixels; the residual has none.
    pub gap: usize,
}

/// The maps of a [`Finish`].
#[derive(Clone, Copy)]
pub(super) enum Maps {
    /// Single precision.
    F32(Map<f32>),
    /// The upper halves of `f32`.
    Bf16(Map<u16>),
}

/// An output map, and what is added to it.
#[derive(Clone, Copy)]
pub(super) struct Map<E> {
    /// The output map.
    pub y: *mut E,
    /// Of the output's shape, or null. May be the output map itself: each of its elements is read once, right before the
    /// output's is stored.
    pub residual: *const E,
}

/// Applies an activation to a tile that has just been stored.
///
/// # Safety
/// Of all: dispatched as [`Vector`] demands; pointers valid for the sizes given.
#[inline(always)]
pub(super) unsafe fn activate<V: Vector>(
    vectors: usize,
    tile: &Tile,
    finish: &Finish,
    act: Activation,
    y: *mut f32,
) {
    // SAFETY: the caller's promise: the elements are those that the tile has stored.
    unsafe {
        for px in 0..tile.count {
            let y = y.add(*tile.outs.add(px) * (finish.channels + finish.gap) + tile.channel);
            for v in 0..vectors {
                store_part(
                    y,
                    v,
                    tile.width,
                    activation::forward(Some(act), load_part::<V, _>(y, v, tile.width)),
                );
            }
        }
    }
}

/// Finishes a tile's `sums`, `[pixel][vectors * lanes]`, and stores them as bf16.
///
/// # Safety
/// See [`activate`].
#[inline(always)]
pub(super) unsafe fn narrow<V: Vector>(
    vectors: usize,
    tile: &Tile,
    finish: &Finish,
    map: &Map<u16>,
    sums: *const f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let floor = V::splat(activation::floor(finish.act));
        let late = activation::late(finish.act);
        for px in 0..tile.count {
            let pixel = *tile.outs.add(px);
            let at = pixel * finish.channels + tile.channel;
            let to = map.y.add(at + pixel * finish.gap);
            for v in 0..vectors {
                let mut y = V::load(sums.add((px * vectors + v) * V::LANES));
                if !finish.bias.is_null() {
                    y = y.add(load_part(finish.bias.add(tile.channel), v, tile.width));
                }
                if !map.residual.is_null() {
                    y = y.add(load_part(map.residual.add(at), v, tile.width));
                }
                y = floor.max(y);
                if late.is_some() {
                    y = activation::forward(late, y);
                }
                store_part(to, v, tile.width, y);
            }
        }
    }
}

/// Vector `v` of the `width` elements at `p`.
///
/// # Safety
/// Dispatched as [`Vector`] demands; the elements are there.
#[inline(always)]
pub(super) unsafe fn load_part<V: Vector, E: Element>(p: *const E, v: usize, width: usize) -> V {
    let first = v * V::LANES;
    // SAFETY: the caller's promise.
    unsafe {
        if first + V::LANES <= width {
            E::load(Full, p.add(first))
        } else {
            E::load(First(width.saturating_sub(first)), p.wrapping_add(first))
        }
    }
}

/// Stores vector `v` of the `width` elements at `p`.
///
/// # Safety
/// See [`load_part`].
#[inline(always)]
pub(super) unsafe fn store_part<V: Vector, E: Element>(p: *mut E, v: usize, width: usize, value: V) {
    let first = v * V::LANES;
    // SAFETY: the caller's promise.
    unsafe {
        if first + V::LANES <= width {
            E::store(Full, value, p.add(first));
        } else {
            E::store(First(width.saturating_sub(first)), value, p.wrapping_add(first));
        }
    }
}
