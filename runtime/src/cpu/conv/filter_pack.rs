//! Operands of a filter gradient in the order that its tiles read them. In the maps a tile's channels are a part of a line
//! per pixel, and pixels whose channels are a power of two lie in the same few sets of a cache.

use std::ops::Range;

use super::pack::Panels;
use super::tile::{Shape, load_part};
use crate::cpu::vector::Vector;

/// Copies `len` input channels of each pixel, from channel `from` of its run on: `[tile][pixel][channel of the tile]`, the
/// last tiles having as many channels as are left.
///
/// # Safety
/// Dispatched as [`Vector`] demands; `rows` are `pixels` pointers to runs that have those channels, `to` has room for
/// `pixels * len` floats.
#[inline(always)]
pub(super) unsafe fn pack_input<V: Vector>(
    rows: *const *const f32,
    pixels: usize,
    from: usize,
    len: usize,
    shape: Shape,
    to: *mut f32,
) {
    let whole = len / shape.scalars * shape.scalars;
    // SAFETY: the caller's promise.
    unsafe {
        // Pixel by pixel, so that each is read from its first channel to its last.
        for pixel in 0..pixels {
            let x = (*rows.add(pixel)).add(from);
            for first in (0..whole).step_by(shape.scalars) {
                let to = to.add(first * pixels + pixel * shape.scalars);
                copy_part::<V>(x.add(first), shape.scalars, to);
            }
        }
        let mut first = whole;
        while first < len {
            let size = shape.within(len - first);
            for pixel in 0..pixels {
                let x = (*rows.add(pixel)).add(from + first);
                copy_part::<V>(x, size, to.add(first * pixels + pixel * size));
            }
            first += size;
        }
    }
}

/// Copies the gradient's channels of some panels of a group: `[panel][pixel][channel of the panel]`, filled up with zeros
/// to whole vectors.
///
/// # Safety
/// Dispatched as [`Vector`] demands; `dy` points to the group's first channel of `pixels` pixels that are `step` floats
/// apart, `to` has room for [`packed_gradient_len`] floats.
#[inline(always)]
pub(super) unsafe fn pack_gradient<V: Vector>(
    dy: *const f32,
    step: usize,
    pixels: usize,
    panels: Panels,
    wanted: Range<usize>,
    to: *mut f32,
) {
    for pixel in 0..pixels {
        for panel in wanted.clone() {
            let (width, vectors) = panels.size(panel);
            let first = panel * panels.shape.width();
            // SAFETY: the caller's promise.
            unsafe {
                let from = dy.add(pixel * step + first);
                let to = to.add(first * pixels + pixel * vectors * V::LANES);
                for v in 0..vectors {
                    load_part::<V>(from, v, width).store(to.add(v * V::LANES));
                }
            }
        }
    }
}

/// Floats that [`pack_gradient`] writes of a group's panels.
pub(super) fn packed_gradient_len(panels: Panels, pixels: usize) -> usize {
    panels.channels.next_multiple_of(panels.shape.lanes) * pixels
}

/// Copies a few floats.
#[inline(always)]
unsafe fn copy_part<V: Vector>(from: *const f32, count: usize, to: *mut f32) {
    for first in (0..count).step_by(V::LANES) {
        let count = V::LANES.min(count - first);
        // SAFETY: the caller's promise.
        unsafe { V::load_first(from.add(first), count).store_first(to.add(first), count) };
    }
}
