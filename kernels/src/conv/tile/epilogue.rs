//! What becomes of a tile's sums: bias, residual, activation, and the map that they are stored in, as `f32` or as bf16.

use resnetc_compiler::ir::op::Activation;

use crate::pointwise::activation;
use crate::simd::{Simd, Vector, load_part, store_part};

/// Where the sums of a tile go.
#[derive(Clone, Copy)]
pub(in crate::conv) struct Place {
    /// Pixels that are stored, the first of the tile.
    pub count: usize,
    /// Their indices in the output map.
    pub outs: *const usize,
    /// First output channel.
    pub channel: usize,
    /// Output channels of the panel, at most `vectors * lanes`.
    pub width: usize,
}

/// What happens to the sums before they are stored: `act(sum + bias + residual)`.
#[derive(Clone, Copy)]
pub(in crate::conv) struct TileEpilogue {
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

/// The maps of a [`TileEpilogue`].
#[derive(Clone, Copy)]
pub(in crate::conv) enum Maps {
    /// Single precision.
    F32(Map<f32>),
    /// The upper halves of `f32`.
    Bf16(Map<u16>),
}

/// An output map, and what is added to it.
#[derive(Clone, Copy)]
pub(in crate::conv) struct Map<E> {
    /// The output map.
    pub y: *mut E,
    /// Of the output's shape, or null. May be the output map itself: each of its elements is read once, right before the
    /// output's is stored.
    pub residual: *const E,
}

/// Applies an activation to a tile that has just been stored.
///
/// # Safety
/// Of all: pointers are valid for the sizes given.
#[inline(always)]
pub(in crate::conv) unsafe fn activate<V: Vector>(
    simd: Simd<V>,
    vectors: usize,
    place: &Place,
    epilogue: &TileEpilogue,
    act: Activation,
    y: *mut f32,
) {
    // SAFETY: the caller's promise: the elements are those that the tile has stored.
    unsafe {
        for px in 0..place.count {
            let y = y.add(*place.outs.add(px) * (epilogue.channels + epilogue.gap) + place.channel);
            for v in 0..vectors {
                store_part(
                    y,
                    v,
                    place.width,
                    activation::forward(Some(act), load_part::<V, _>(simd, y, v, place.width)),
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
pub(in crate::conv) unsafe fn narrow<V: Vector>(
    simd: Simd<V>,
    vectors: usize,
    place: &Place,
    epilogue: &TileEpilogue,
    map: &Map<u16>,
    sums: *const f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let floor = simd.splat(activation::floor(epilogue.act));
        let late = activation::late(epilogue.act);
        for px in 0..place.count {
            let pixel = *place.outs.add(px);
            let at = pixel * epilogue.channels + place.channel;
            let to = map.y.add(at + pixel * epilogue.gap);
            for v in 0..vectors {
                let mut y = simd.load(sums.add((px * vectors + v) * V::LANES));
                if !epilogue.bias.is_null() {
                    y = y.add(load_part(simd, epilogue.bias.add(place.channel), v, place.width));
                }
                if !map.residual.is_null() {
                    y = y.add(load_part(simd, map.residual.add(at), v, place.width));
                }
                y = floor.max(y);
                if late.is_some() {
                    y = activation::forward(late, y);
                }
                store_part(to, v, place.width, y);
            }
        }
    }
}
