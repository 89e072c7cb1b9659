//! Maps between whose rows there may be gaps: slices of wider ones.

use crate::cpu::memory::Src;
use crate::cpu::simd::{Access, Element, Vector, load};

/// A map to be read between whose rows there may be gaps.
#[derive(Clone, Copy)]
pub struct Rows<'a, E> {
    /// From the first element to the last.
    pub view: Src<'a, E>,
    /// Elements between the last of a row and the first of the next.
    pub gap: usize,
}

impl<E: Element> Rows<'_, E> {
    /// Checks the length.
    #[track_caller]
    pub(in crate::cpu) fn expect(self, rows: usize, channels: usize, what: &str) {
        expect_len(self.view.len(), spanned(rows, channels, self.gap), what);
    }

    /// The vector of a row's elements, `at` being their index in a map without gaps.
    ///
    /// # Safety
    /// As [`Access::load`]; the elements lie inside the view.
    #[inline(always)]
    pub(in crate::cpu) unsafe fn load<V: Vector>(self, access: impl Access, row: usize, at: usize) -> V {
        // SAFETY: the caller's promise.
        unsafe { load(access, self.view, at + row * self.gap) }
    }
}

/// Elements from the first of a map to its last, with a gap between rows.
pub(in crate::cpu) fn spanned(rows: usize, channels: usize, gap: usize) -> usize {
    rows * channels + rows.saturating_sub(1) * gap
}

/// Checks that a view has the length that the step's sizes give it.
#[track_caller]
pub(in crate::cpu) fn expect_len(len: usize, expected: usize, what: &str) {
    assert_eq!(len, expected, "{what}: the buffer does not have the kernel's size");
}
