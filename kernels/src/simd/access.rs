//! Whole vectors, and the last, partial one of a row: one algorithm for both.

use super::element::Element;
use super::vector::{Simd, Vector, memory};

/// Whether a vector is whole or the last, partial one.
///
/// # Safety
/// Of the functions that load and store: the elements counted are valid.
#[allow(clippy::missing_safety_doc)] // once, above
pub(crate) trait Access: Copy {
    /// How many elements.
    fn count<V: Vector>(self) -> usize;
    /// Elements from `p` on.
    unsafe fn load<V: Vector, E: Element>(self, simd: Simd<V>, p: *const E) -> V;
    /// Elements to `p` on.
    unsafe fn store<V: Vector, E: Element>(self, v: V, p: *mut E);
}

/// All lanes.
#[derive(Clone, Copy)]
pub(crate) struct Full;

/// The first lanes only: fewer than there are.
#[derive(Clone, Copy)]
pub(crate) struct First(usize);

impl First {
    /// The first `count`.
    #[inline(always)]
    pub fn new<V: Vector>(count: usize) -> Self {
        assert!(count < V::LANES, "more lanes than a vector has");
        First(count)
    }
}

impl Access for Full {
    #[inline(always)]
    fn count<V: Vector>(self) -> usize {
        V::LANES
    }

    memory! {
        unsafe fn load<V: Vector, E: Element>(self, simd: Simd<V>, p: *const E) -> V {
            E::load(simd, p)
        }

        unsafe fn store<V: Vector, E: Element>(self, v: V, p: *mut E) {
            E::store(v, p);
        }
    }
}

impl Access for First {
    #[inline(always)]
    fn count<V: Vector>(self) -> usize {
        self.0
    }

    memory! {
        unsafe fn load<V: Vector, E: Element>(self, simd: Simd<V>, p: *const E) -> V {
            E::load_first(simd, p, self.0)
        }

        unsafe fn store<V: Vector, E: Element>(self, v: V, p: *mut E) {
            E::store_first(v, p, self.0);
        }
    }
}
