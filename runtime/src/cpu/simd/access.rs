//! Whole vectors, and the last, partial one of a row: one algorithm for both.

use super::vector::Vector;

/// Whether a vector is whole or the last, partial one.
///
/// # Safety
/// Of its functions: dispatched as [`Vector`] demands; the elements counted are valid.
pub trait Access: Copy {
    /// Elements from `p` on.
    unsafe fn load<V: Vector>(self, p: *const f32) -> V;
    /// Elements to `p` on.
    unsafe fn store<V: Vector>(self, v: V, p: *mut f32);
    /// Bytes from `p` on, as numbers.
    unsafe fn load_bytes<V: Vector>(self, p: *const u8) -> V;
    /// Whole numbers below 256, as bytes to `p` on.
    unsafe fn store_bytes<V: Vector>(self, v: V, p: *mut u8);
    /// bf16 from `p` on.
    unsafe fn load_bf16<V: Vector>(self, p: *const u16) -> V;
    /// Rounded to bf16, to `p` on.
    unsafe fn store_bf16<V: Vector>(self, v: V, p: *mut u16);
}

/// All lanes.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Full;

/// The first lanes only.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct First(pub usize);

impl Access for Full {
    #[inline(always)]
    unsafe fn load<V: Vector>(self, p: *const f32) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::load(p) }
    }

    #[inline(always)]
    unsafe fn store<V: Vector>(self, v: V, p: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { v.store(p) }
    }

    #[inline(always)]
    unsafe fn load_bytes<V: Vector>(self, p: *const u8) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::load_bytes(p) }
    }

    #[inline(always)]
    unsafe fn store_bytes<V: Vector>(self, v: V, p: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe { v.store_bytes(p) }
    }

    #[inline(always)]
    unsafe fn load_bf16<V: Vector>(self, p: *const u16) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::load_bf16(p) }
    }

    #[inline(always)]
    unsafe fn store_bf16<V: Vector>(self, v: V, p: *mut u16) {
        // SAFETY: the caller's promise.
        unsafe { v.store_bf16(p) }
    }
}

impl Access for First {
    #[inline(always)]
    unsafe fn load<V: Vector>(self, p: *const f32) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::load_first(p, self.0) }
    }

    #[inline(always)]
    unsafe fn store<V: Vector>(self, v: V, p: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { v.store_first(p, self.0) }
    }

    #[inline(always)]
    unsafe fn load_bytes<V: Vector>(self, p: *const u8) -> V {
        let mut bytes = [0u8; 16];
        // SAFETY: `self.0` bytes are readable, and no vector is longer than 16.
        unsafe {
            std::ptr::copy_nonoverlapping(p, bytes.as_mut_ptr(), self.0);
            V::load_bytes(bytes.as_ptr())
        }
    }

    #[inline(always)]
    unsafe fn store_bytes<V: Vector>(self, v: V, p: *mut u8) {
        let mut bytes = [0u8; 16];
        // SAFETY: `self.0` bytes are writable, and no vector is longer than 16.
        unsafe {
            v.store_bytes(bytes.as_mut_ptr());
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), p, self.0);
        }
    }

    #[inline(always)]
    unsafe fn load_bf16<V: Vector>(self, p: *const u16) -> V {
        let mut halves = [0u16; 16];
        // SAFETY: `self.0` elements are readable, and no vector is longer than 16.
        unsafe {
            std::ptr::copy_nonoverlapping(p, halves.as_mut_ptr(), self.0);
            V::load_bf16(halves.as_ptr())
        }
    }

    #[inline(always)]
    unsafe fn store_bf16<V: Vector>(self, v: V, p: *mut u16) {
        let mut halves = [0u16; 16];
        // SAFETY: `self.0` elements are writable, and no vector is longer than 16.
        unsafe {
            v.store_bf16(halves.as_mut_ptr());
            std::ptr::copy_nonoverlapping(halves.as_ptr(), p, self.0);
        }
    }
}
