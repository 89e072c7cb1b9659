//! Aligned memory.

use super::guard;
use super::guard::Pages;
use super::heap::Heap;
use super::view::{Dst, Src};
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
        if let Some(side) = guard::wanted() {
            return Ok(Memory { heap: None, guarded: Some(Pages::new(bytes, side)?), bytes });
        }
        Ok(Memory { heap: Some(Heap::zeroed(bytes)?), guarded: None, bytes })
    }

    /// Bytes resident of memory of so many when all of it was touched, without guard pages.
    pub fn rounded(bytes: usize) -> usize {
        Heap::rounded(bytes)
    }

    /// Memory for `len` floats.
    pub fn floats(len: usize) -> Result<Self> {
        let bytes = len.checked_mul(size_of::<f32>());
        Self::zeroed(bytes.ok_or_else(|| Error(format!("{len} floats exceed the address space")))?)
    }

    /// Size in bytes, as asked for.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The first byte. Only who has exclusive use of the memory, by whatever means, may write through it.
    pub fn ptr(&self) -> *mut u8 {
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
        // SAFETY: that many floats are there, aligned to 4 bytes at least, while `self` is borrowed.
        unsafe { Src::new(self.ptr().cast(), self.bytes / size_of::<f32>()) }
    }

    /// All of it, as floats to be written by a kernel.
    pub fn view(&mut self) -> Dst<'_, f32> {
        // SAFETY: as in `floats_view`; the borrow is unique.
        unsafe { Dst::new(self.ptr().cast(), self.bytes / size_of::<f32>()) }
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
