//! Elements of maps, `f32`, bf16 or bytes, as vectors of `f32`.

use bytemuck::Pod;

use super::vector::{MAX_LANES, Simd, Vector, memory};

/// An element of a map in memory, so that a kernel is written once for all of them.
///
/// # Safety
/// Of its functions: the elements are valid, as many as the vector has lanes or `n` of them, which are no more.
#[allow(clippy::missing_safety_doc)] // once, above
pub trait Element: Pod + Sync + Send {
    /// Elements from `p` on, as `f32`.
    unsafe fn load<V: Vector>(simd: Simd<V>, p: *const Self) -> V;

    /// To `p` on; rounded where the elements are narrower.
    unsafe fn store<V: Vector>(v: V, p: *mut Self);

    /// The first `n` elements, zeros above.
    #[inline(always)]
    unsafe fn load_first<V: Vector>(simd: Simd<V>, p: *const Self, n: usize) -> V {
        let mut all = [Self::zeroed(); MAX_LANES];
        // SAFETY: the caller's promise; no vector is longer than the copy.
        unsafe {
            p.copy_to_nonoverlapping(all.as_mut_ptr(), n);
            Self::load(simd, all.as_ptr())
        }
    }

    /// The first `n` elements.
    #[inline(always)]
    unsafe fn store_first<V: Vector>(v: V, p: *mut Self, n: usize) {
        let mut all = [Self::zeroed(); MAX_LANES];
        // SAFETY: as above.
        unsafe {
            Self::store(v, all.as_mut_ptr());
            p.copy_from_nonoverlapping(all.as_ptr(), n);
        }
    }
}

impl Element for f32 {
    memory! {
        unsafe fn load<V: Vector>(simd: Simd<V>, p: *const f32) -> V {
            V::load(simd, p)
        }

        unsafe fn store<V: Vector>(v: V, p: *mut f32) {
            v.store(p);
        }

        unsafe fn load_first<V: Vector>(simd: Simd<V>, p: *const f32, n: usize) -> V {
            V::load_first(simd, p, n)
        }

        unsafe fn store_first<V: Vector>(v: V, p: *mut f32, n: usize) {
            v.store_first(p, n);
        }
    }
}

/// bf16.
impl Element for u16 {
    memory! {
        unsafe fn load<V: Vector>(simd: Simd<V>, p: *const u16) -> V {
            V::load_bf16(simd, p)
        }

        unsafe fn store<V: Vector>(v: V, p: *mut u16) {
            v.store_bf16(p);
        }
    }
}

/// Whole numbers below 256.
impl Element for u8 {
    memory! {
        unsafe fn load<V: Vector>(simd: Simd<V>, p: *const u8) -> V {
            V::load_bytes(simd, p)
        }

        unsafe fn store<V: Vector>(v: V, p: *mut u8) {
            v.store_bytes(p);
        }
    }
}

/// Vector `v` of the `width` elements at `p`.
///
/// # Safety
/// The elements are there.
#[inline(always)]
pub(crate) unsafe fn load_part<V: Vector, E: Element>(
    simd: Simd<V>,
    p: *const E,
    v: usize,
    width: usize,
) -> V {
    let first = v * V::LANES;
    // SAFETY: the caller's promise.
    unsafe {
        if first + V::LANES <= width {
            E::load(simd, p.add(first))
        } else {
            E::load_first(simd, p.wrapping_add(first), width.saturating_sub(first))
        }
    }
}

/// Stores vector `v` of the `width` elements at `p`.
///
/// # Safety
/// See [`load_part`].
#[inline(always)]
pub(crate) unsafe fn store_part<V: Vector, E: Element>(p: *mut E, v: usize, width: usize, value: V) {
    let first = v * V::LANES;
    // SAFETY: the caller's promise.
    unsafe {
        if first + V::LANES <= width {
            E::store(value, p.add(first));
        } else {
            E::store_first(value, p.wrapping_add(first), width.saturating_sub(first));
        }
    }
}
