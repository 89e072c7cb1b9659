//! Elements of maps, `f32` or bf16, as vectors of `f32`.

use bytemuck::Pod;

use super::access::{Access, First, Full};
use super::vector::Vector;
use crate::cpu::memory::{Dst, Src};

/// An element of a stored map, so that a kernel is written once for both.
///
/// # Safety
/// Of its functions: dispatched as [`Vector`] demands; the elements that `access` counts are valid.
pub trait Element: Pod + Sync + Send {
    /// Elements from `p` on, as `f32`.
    ///
    /// # Safety
    /// As above.
    unsafe fn load<V: Vector>(access: impl Access, p: *const Self) -> V;
    /// To `p` on; rounded where the elements are narrower.
    ///
    /// # Safety
    /// As above.
    unsafe fn store<V: Vector>(access: impl Access, v: V, p: *mut Self);
}

impl Element for f32 {
    #[inline(always)]
    unsafe fn load<V: Vector>(access: impl Access, p: *const f32) -> V {
        // SAFETY: the caller's promise.
        unsafe { access.load(p) }
    }

    #[inline(always)]
    unsafe fn store<V: Vector>(access: impl Access, v: V, p: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { access.store(v, p) }
    }
}

impl Element for u16 {
    #[inline(always)]
    unsafe fn load<V: Vector>(access: impl Access, p: *const u16) -> V {
        // SAFETY: the caller's promise.
        unsafe { access.load_bf16(p) }
    }

    #[inline(always)]
    unsafe fn store<V: Vector>(access: impl Access, v: V, p: *mut u16) {
        // SAFETY: the caller's promise.
        unsafe { access.store_bf16(v, p) }
    }
}

/// The vector of `view` from `at` on.
///
/// # Safety
/// As [`Access::load`]; the elements lie inside the view.
#[inline(always)]
pub(in crate::cpu) unsafe fn load<V: Vector>(
    access: impl Access,
    view: Src<'_, impl Element>,
    at: usize,
) -> V {
    // SAFETY: the caller's promise.
    unsafe { element(access, view.ptr().add(at)) }
}

/// [`load`] of a type with a name.
#[inline(always)]
unsafe fn element<V: Vector, E: Element>(access: impl Access, p: *const E) -> V {
    // SAFETY: the caller's promise.
    unsafe { E::load(access, p) }
}

/// Stores `v` from `at` on.
///
/// # Safety
/// As [`Access::store`]; the elements lie inside the view.
#[inline(always)]
pub(in crate::cpu) unsafe fn store<V: Vector>(
    access: impl Access,
    view: Dst<'_, impl Element>,
    at: usize,
    v: V,
) {
    // SAFETY: the caller's promise.
    unsafe { set_element(access, v, view.ptr().add(at)) }
}

/// [`store`] of a type with a name.
#[inline(always)]
unsafe fn set_element<V: Vector, E: Element>(access: impl Access, v: V, p: *mut E) {
    // SAFETY: the caller's promise.
    unsafe { E::store(access, v, p) }
}

/// Vector `v` of the `width` elements at `p`.
///
/// # Safety
/// Dispatched as [`Vector`] demands; the elements are there.
#[inline(always)]
pub(in crate::cpu) unsafe fn load_part<V: Vector, E: Element>(p: *const E, v: usize, width: usize) -> V {
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
pub(in crate::cpu) unsafe fn store_part<V: Vector, E: Element>(p: *mut E, v: usize, width: usize, value: V) {
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
