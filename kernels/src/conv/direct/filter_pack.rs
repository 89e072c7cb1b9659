//! Operands of a filter gradient, packed. In the maps, pixels whose channels are a power of two lie in the same few sets of a
//! cache, and a tile reads a part of each.

use std::ops::Range;

use crate::conv::tile::panels::{Panels, copy_rows};
use crate::memory::LINE;
use crate::simd::{Simd, Vector, load_part};

/// Floats from a pixel's packed input channels to the next one's: an odd number of cache lines, which makes use of all sets.
pub(super) const fn input_step(len: usize) -> usize {
    (len.div_ceil(LINE) | 1) * LINE
}

/// Copies `len` input channels of each pixel, from channel `from` of its run on: `[pixel][channel]`, pixels being
/// [`input_step`] apart.
///
/// # Safety
/// `rows` are `pixels` pointers to runs that have those channels, `to` has room for
/// `pixels` steps.
#[inline(always)]
pub(super) unsafe fn pack_input<V: Vector>(
    simd: Simd<V>,
    rows: *const *const f32,
    pixels: usize,
    from: usize,
    len: usize,
    to: *mut f32,
) {
    for pixel in 0..pixels {
        // SAFETY: the caller's promise; a step is whole vectors.
        unsafe {
            let x = (*rows.add(pixel)).add(from);
            let to = to.add(pixel * input_step(len));
            for v in 0..len.div_ceil(V::LANES) {
                load_part::<V, _>(simd, x, v, len).store(to.add(v * V::LANES));
            }
        }
    }
}

/// Copies the gradient's channels of some panels of a group: `[panel][pixel][channel of the panel]`, filled up with zeros
/// to whole vectors.
///
/// # Safety
/// `dy` points to the group's first channel of `pixels` pixels that are `step` floats apart, `to` has room for
/// [`packed_gradient_len`] floats.
pub(super) unsafe fn pack_gradient(
    dy: *const f32,
    step: usize,
    pixels: usize,
    panels: Panels,
    wanted: Range<usize>,
    to: *mut f32,
) {
    for panel in wanted {
        let (width, vectors) = panels.size(panel);
        let first = panel * panels.shape.width();
        // SAFETY: the caller's promise.
        unsafe {
            let to = to.add(first * pixels);
            copy_rows(dy.add(first), step, pixels, width, vectors * panels.shape.lanes, to);
        }
    }
}

/// Floats that [`pack_gradient`] writes of a group's panels.
pub(super) fn packed_gradient_len(panels: Panels, pixels: usize) -> usize {
    panels.channels.next_multiple_of(panels.shape.lanes) * pixels
}
