//! Aligned memory, and the views of it that kernels get.

use std::marker::PhantomData;

use bytemuck::Pod;

use super::guard::{self, Pages};
use super::heap::Heap;
use super::stream::LINE;
use crate::error::{Error, Result};
use resnetc_compiler::plan::ALIGN;

/// Zeroed bytes at an address that is a multiple of [`ALIGN`]; between guard pages where `guard` is asked to, and then
/// aligned to 4 bytes only, so that not one of them lies outside unnoticed. Kernels make no use of more.
#[derive(Default)]
pub struct Memory {
    heap: Option<Heap>,
    guarded: Option<Pages>,
    bytes: usize,
}

impl Memory {
    /// Allocates; fails where the machine has not that much.
    pub fn zeroed(bytes: usize) -> Result<Self> {
        if let Some(side) = guard::wanted()? {
            return Ok(Memory { heap: None, guarded: Some(Pages::new(bytes, side)?), bytes });
        }
        Ok(Memory { heap: Some(Heap::zeroed(bytes)?), guarded: None, bytes })
    }

    /// Memory for `len` floats.
    pub fn floats(len: usize) -> Result<Self> {
        let bytes = len.checked_mul(size_of::<f32>());
        Self::zeroed(bytes.ok_or_else(|| Error::Device(format!("{len} floats exceed the address space")))?)
    }

    /// Size in bytes, as asked for.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    fn ptr(&self) -> *mut u8 {
        match (&self.heap, &self.guarded) {
            (Some(heap), _) => heap.ptr(),
            (None, Some(pages)) => pages.ptr().cast_mut(),
            (None, None) => std::ptr::without_provenance_mut(ALIGN),
        }
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: that many initialised bytes or more are there.
        unsafe { std::slice::from_raw_parts(self.ptr(), self.bytes) }
    }

    /// All bytes.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`; the borrow is unique.
        unsafe { std::slice::from_raw_parts_mut(self.ptr(), self.bytes) }
    }

    /// All of it, as floats to be read by a kernel.
    pub fn floats_view(&self) -> Src<'_, f32> {
        Src { ptr: self.ptr().cast(), len: self.bytes / size_of::<f32>(), life: PhantomData }
    }

    /// All of it, as floats to be written by a kernel.
    pub fn view(&mut self) -> Dst<'_, f32> {
        Dst { ptr: self.ptr().cast(), len: self.bytes / size_of::<f32>(), life: PhantomData }
    }
}

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

/// Asks for the line of memory at `p`, into the second-level cache; anything may lie there.
#[inline(always)]
pub fn fetch<T>(p: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has the instruction, which reads nothing that a program sees and never faults.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T1>(p.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the same.
    unsafe {
        std::arch::asm!("prfm pldl2keep, [{}]", in(reg) p, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = p;
}

/// Memory that is fetched ahead of its use, some lines at a time.
#[derive(Clone, Copy)]
pub struct Ahead {
    /// Where it goes on.
    pub at: *const f32,
    /// Floats by which that moves each time.
    pub step: usize,
    /// Lines that are asked for each time.
    pub lines: usize,
}

impl Ahead {
    /// Asks for the lines, and moves on.
    #[inline(always)]
    pub fn fetch(&mut self) {
        for line in 0..self.lines {
            fetch(self.at.wrapping_add(line * LINE));
        }
        self.at = self.at.wrapping_add(self.step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_aligned_zeroed_and_as_long_as_asked() {
        for bytes in [0, 1, 64, 1000] {
            let mut memory = Memory::zeroed(bytes).unwrap();
            assert_eq!(memory.bytes(), vec![0; bytes]);
            assert_eq!(memory.bytes_mut().as_ptr().addr() % ALIGN, 0);
        }
        assert!(Memory::floats(usize::MAX / 2).is_err());
    }
}
