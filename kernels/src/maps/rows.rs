//! Maps between whose rows there may be gaps: slices of wider ones.

use crate::memory::{Dst, Src};
use crate::simd::Element;

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
    pub(crate) fn expect(self, rows: usize, channels: usize, what: &str) {
        expect_len(self.view.len(), spanned(rows, channels, self.gap), what);
    }
}

impl<'a, E: Element> From<Src<'a, E>> for Rows<'a, E> {
    #[inline(always)]
    fn from(view: Src<'a, E>) -> Self {
        Rows { view, gap: 0 }
    }
}

/// A map to be written between whose rows there may be gaps.
#[derive(Clone, Copy)]
pub(crate) struct RowsMut<'a, E> {
    /// From the first element to the last.
    pub view: Dst<'a, E>,
    /// Elements between the last of a row and the first of the next.
    pub gap: usize,
}

impl<'a, E: Element> From<Dst<'a, E>> for RowsMut<'a, E> {
    #[inline(always)]
    fn from(view: Dst<'a, E>) -> Self {
        RowsMut { view, gap: 0 }
    }
}

/// Elements from the first of a map to its last, with a gap between rows.
pub(crate) fn spanned(rows: usize, channels: usize, gap: usize) -> usize {
    rows * channels + rows.saturating_sub(1) * gap
}

/// Checks that a view has the length that the step's sizes give it.
#[track_caller]
pub(crate) fn expect_len(len: usize, expected: usize, what: &str) {
    assert_eq!(len, expected, "{what}: the buffer does not have the kernel's size");
}
