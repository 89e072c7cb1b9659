//! The views of memory that kernels get.

use std::marker::PhantomData;

use bytemuck::Pod;

/// Elements that a kernel reads. A pointer, not a slice: the output of a kernel that works in place lies on an input.
#[derive(Clone, Copy)]
pub struct Src<'a, T> {
    ptr: *const T,
    len: usize,
    life: PhantomData<&'a T>,
}

/// Elements that a kernel writes, each thread its own part.
#[derive(Clone, Copy)]
pub struct Dst<'a, T> {
    ptr: *mut T,
    len: usize,
    life: PhantomData<&'a T>,
}

// SAFETY: a view is a pointer to plain numbers; what makes concurrent use sound is the kernels' static partition, which
// the unsafe accesses through it account for.
unsafe impl<T: Pod + Sync> Sync for Src<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Pod + Send> Send for Src<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Pod + Sync> Sync for Dst<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Pod + Send> Send for Dst<'_, T> {}

impl<'a, T: Pod> Src<'a, T> {
    /// A view of memory that may also be written while the view lives, by a kernel working in place.
    ///
    /// # Safety
    /// `ptr` is aligned and valid for reads of `len` elements during `'a`.
    pub unsafe fn new(ptr: *const T, len: usize) -> Self {
        Src { ptr, len, life: PhantomData }
    }

    /// The first element.
    #[inline(always)]
    pub fn ptr(self) -> *const T {
        self.ptr
    }

    /// Number of elements.
    pub fn len(self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The element at an index.
    ///
    /// # Panics
    /// Where there is none.
    pub fn get(self, index: usize) -> T {
        assert!(index < self.len, "element {index} of {}", self.len);
        // SAFETY: valid by construction, and inside.
        unsafe { self.ptr.add(index).read() }
    }

    /// Some of the elements.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn part(self, range: std::ops::Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len, "range outside of the view");
        Src { ptr: self.ptr.wrapping_add(range.start), len: range.end - range.start, life: PhantomData }
    }

    /// As a slice.
    ///
    /// # Safety
    /// Nothing writes these elements while the slice lives.
    pub unsafe fn slice(self) -> &'a [T] {
        // SAFETY: valid by construction, unwritten by the caller's promise.
        unsafe { std::slice::from_raw_parts(self.ptr, self.len) }
    }
}

impl<'a> Src<'a, u16> {
    /// Pairs of neighbours, each in the place of a float.
    ///
    /// # Panics
    /// Where one has no neighbour, or pairs do not lie where floats may.
    pub fn pairs(self) -> Src<'a, f32> {
        let ptr: *const f32 = self.ptr.cast();
        assert!(self.len.is_multiple_of(2) && ptr.is_aligned(), "a view of pairs");
        Src { ptr, len: self.len / 2, life: PhantomData }
    }
}

impl<'a, T: Pod> From<&'a [T]> for Src<'a, T> {
    fn from(slice: &'a [T]) -> Self {
        Src { ptr: slice.as_ptr(), len: slice.len(), life: PhantomData }
    }
}

impl<'a, T: Pod> Dst<'a, T> {
    /// A view of memory.
    ///
    /// # Safety
    /// `ptr` is aligned and valid for reads and writes of `len` elements during `'a`, by this view's kernel alone.
    pub unsafe fn new(ptr: *mut T, len: usize) -> Self {
        Dst { ptr, len, life: PhantomData }
    }

    /// The first element.
    #[inline(always)]
    pub fn ptr(self) -> *mut T {
        self.ptr
    }

    /// Number of elements.
    pub fn len(self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The same elements, to be read.
    pub fn src(self) -> Src<'a, T> {
        Src { ptr: self.ptr, len: self.len, life: PhantomData }
    }

    /// The elements before and from `at` on.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn split_at(self, at: usize) -> (Self, Self) {
        assert!(at <= self.len, "split outside of the view");
        let rest = Dst { ptr: self.ptr.wrapping_add(at), len: self.len - at, life: PhantomData };
        (Dst { len: at, ..self }, rest)
    }

    /// Some of the elements.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn part(self, range: std::ops::Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len, "range outside of the view");
        Dst { ptr: self.ptr.wrapping_add(range.start), len: range.end - range.start, life: PhantomData }
    }

    /// Part of the elements as a slice.
    ///
    /// # Safety
    /// No other thread reads or writes these elements while the slice lives, and no other slice of them lives.
    pub unsafe fn slice(self, range: std::ops::Range<usize>) -> &'a mut [T] {
        assert!(range.start <= range.end && range.end <= self.len, "range outside of the view");
        // SAFETY: inside, valid by construction, unique by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.add(range.start), range.end - range.start) }
    }
}

impl<'a> Dst<'a, f32> {
    /// The same memory, for four times as many bytes.
    pub fn bytes(self) -> Dst<'a, u8> {
        Dst { ptr: self.ptr.cast(), len: 4 * self.len, life: PhantomData }
    }

    /// The same memory, for twice as many elements of half the size.
    pub fn halves(self) -> Dst<'a, u16> {
        Dst { ptr: self.ptr.cast(), len: 2 * self.len, life: PhantomData }
    }
}

impl<'a, T: Pod> From<&'a mut [T]> for Dst<'a, T> {
    fn from(slice: &'a mut [T]) -> Self {
        Dst { ptr: slice.as_mut_ptr(), len: slice.len(), life: PhantomData }
    }
}
