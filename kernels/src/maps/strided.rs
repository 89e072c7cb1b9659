//! Vectors of a map that lie a fixed distance apart: the same channels of pixels side by side. One check of the last one's
//! place stands for all of them.

use std::marker::PhantomData;

use crate::memory::{Dst, Src};
use crate::simd::{Access, Element, Simd, Vector};

/// Vectors of a map that lie a fixed distance apart.
pub(crate) struct Strided<'a, V, A, E> {
    simd: Simd<V>,
    access: A,
    next: *const E,
    step: usize,
    left: usize,
    map: PhantomData<Src<'a, E>>,
}

impl<'a, V: Vector, A: Access, E: Element> Strided<'a, V, A, E> {
    /// Vectors of a map: `[first, step, count]`, from element `first` on, each `step` elements behind the one before.
    ///
    /// # Safety
    /// They are inside of the map.
    #[inline(always)]
    pub unsafe fn new(simd: Simd<V>, access: A, map: Src<'a, E>, [first, step, left]: [usize; 3]) -> Self {
        Strided { simd, access, next: map.ptr().wrapping_add(first), step, left, map: PhantomData }
    }
}

/// The same, checked.
///
/// # Panics
/// When the map ends before.
#[inline(always)]
pub(crate) fn strided<'a, V: Vector, A: Access, E: Element>(
    simd: Simd<V>,
    access: A,
    map: Src<'a, E>,
    place: [usize; 3],
) -> Strided<'a, V, A, E> {
    expect_inside::<V>(map.len(), access, place);
    // SAFETY: checked.
    unsafe { Strided::new(simd, access, map, place) }
}

impl<V: Vector, A: Access, E: Element> Iterator for Strided<'_, V, A, E> {
    type Item = V;

    #[inline(always)]
    fn next(&mut self) -> Option<V> {
        self.left = self.left.checked_sub(1)?;
        let p = self.next;
        self.next = p.wrapping_add(self.step);
        // SAFETY: inside, by the promise of `new`.
        Some(unsafe { self.access.load(self.simd, p) })
    }
}

/// Places of vectors in a map that lie a fixed distance apart.
pub(crate) struct StridedMut<'a, V, A, E> {
    access: A,
    next: *mut E,
    step: usize,
    left: usize,
    vector: PhantomData<V>,
    map: PhantomData<Dst<'a, E>>,
}

/// A place where one vector is stored.
pub(crate) struct Slot<'a, V, A, E> {
    access: A,
    p: *mut E,
    vector: PhantomData<V>,
    map: PhantomData<Dst<'a, E>>,
}

/// As [`strided`].
///
/// # Panics
/// Likewise.
///
/// # Safety
/// No other thread touches these elements while their places live.
#[inline(always)]
pub(crate) unsafe fn strided_mut<'a, V: Vector, A: Access, E: Element>(
    access: A,
    view: Dst<'a, E>,
    place: [usize; 3],
) -> StridedMut<'a, V, A, E> {
    expect_inside::<V>(view.len(), access, place);
    let [first, step, left] = place;
    StridedMut {
        access,
        next: view.ptr().wrapping_add(first),
        step,
        left,
        vector: PhantomData,
        map: PhantomData,
    }
}

impl<'a, V: Vector, A: Access, E: Element> Iterator for StridedMut<'a, V, A, E> {
    type Item = Slot<'a, V, A, E>;

    #[inline(always)]
    fn next(&mut self) -> Option<Slot<'a, V, A, E>> {
        self.left = self.left.checked_sub(1)?;
        let slot = Slot { access: self.access, p: self.next, vector: PhantomData, map: PhantomData };
        self.next = self.next.wrapping_add(self.step);
        Some(slot)
    }
}

impl<V: Vector, A: Access, E: Element> Slot<'_, V, A, E> {
    /// Stores it.
    #[inline(always)]
    pub fn store(self, v: V) {
        // SAFETY: `strided_mut` has found the last place inside; they are this thread's by its caller's promise.
        unsafe { self.access.store(v, self.p) }
    }
}

/// Checks that so many elements are all that vectors reach which begin at `first`, and at each `step` behind it.
#[inline(always)]
fn expect_inside<V: Vector>(len: usize, access: impl Access, [first, step, count]: [usize; 3]) {
    let last = |count: usize| step.checked_mul(count - 1)?.checked_add(first);
    let end = |count: usize| last(count)?.checked_add(access.count::<V>());
    let inside = count == 0 || end(count).is_some_and(|end| end <= len);
    assert!(inside, "a map is smaller than the kernel's size");
}
