//! Where [`Memory`](super::Memory) comes from: large pieces from Linux itself, page by page as they are touched, so
//! that what a program has freed by then can be used again; others from the program's allocator.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

use crate::error::{Error, Result};
use resnetc_compiler::plan::ALIGN;

/// From this size on, memory is aligned to and asked for in huge pages: kernels that read at large strides then find all
/// they read in the table of translations (a tenth of the time of ResNet-50's inference, `benches/NOTES.md`).
const HUGE_PAGE: usize = 2 << 20;

/// Owned memory.
pub struct Heap {
    first: NonNull<u8>,
    origin: Origin,
}

/// To whom memory is given back.
enum Origin {
    Allocator(Layout),
    #[cfg(target_os = "linux")]
    Mapping(NonNull<u8>, usize),
}

// SAFETY: the memory is owned, and is plain bytes.
unsafe impl Send for Heap {}
// SAFETY: likewise; a shared one is only read.
unsafe impl Sync for Heap {}

impl Heap {
    /// Zeros, at least one.
    pub fn zeroed(bytes: usize) -> Result<Self> {
        let failed = || Error(format!("cannot allocate {bytes} bytes of memory"));
        #[cfg(target_os = "linux")]
        if bytes >= HUGE_PAGE {
            return Self::mapped(bytes).ok_or_else(failed);
        }
        let align = if bytes >= HUGE_PAGE { HUGE_PAGE } else { ALIGN };
        let layout = Layout::from_size_align(bytes.max(align), align).map_err(|_| failed())?;
        // SAFETY: the layout has a size.
        let first = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or_else(failed)?;
        Ok(Heap { first, origin: Origin::Allocator(layout) })
    }

    /// Bytes that so many take, whole huge pages where they are asked for.
    pub fn rounded(bytes: usize) -> usize {
        let mapped = cfg!(target_os = "linux") && bytes >= HUGE_PAGE;
        if mapped { bytes.checked_next_multiple_of(HUGE_PAGE).unwrap_or(bytes) } else { bytes }
    }

    /// A mapping of its own, in huge pages if Linux likes.
    #[cfg(target_os = "linux")]
    fn mapped(bytes: usize) -> Option<Self> {
        let size = bytes.checked_next_multiple_of(HUGE_PAGE)?;
        let mapped = size.checked_add(HUGE_PAGE)?;
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping, at an address of the kernel's choice.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), mapped, access, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return None;
        }
        let base = NonNull::new(base.cast::<u8>())?;
        let offset = base.addr().get().wrapping_neg() % HUGE_PAGE;
        // SAFETY: the mapping is a huge page longer than what is used of it; the advice changes no contents.
        let first = unsafe {
            let first = base.add(offset);
            libc::madvise(first.as_ptr().cast(), size, libc::MADV_HUGEPAGE);
            first
        };
        Some(Heap { first, origin: Origin::Mapping(base, mapped) })
    }

    /// The first byte.
    pub fn ptr(&self) -> *mut u8 {
        self.first.as_ptr()
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        match self.origin {
            // SAFETY: allocated in `zeroed` with this layout.
            Origin::Allocator(layout) => unsafe { dealloc(self.first.as_ptr(), layout) },
            // SAFETY: mapped with this length, and nothing borrows it any more.
            #[cfg(target_os = "linux")]
            Origin::Mapping(base, mapped) => unsafe {
                libc::munmap(base.as_ptr().cast(), mapped);
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_aligned_zeroed_and_usable_to_its_end() {
        for bytes in [0, 1, 100, HUGE_PAGE - 1, HUGE_PAGE, 3 * HUGE_PAGE + 5] {
            let heap = Heap::zeroed(bytes).unwrap();
            let align = if bytes >= HUGE_PAGE { HUGE_PAGE } else { ALIGN };
            assert_eq!(heap.ptr().addr() % align, 0, "{bytes}");
            // SAFETY: owned, and borrowed from nowhere else.
            let all = unsafe { std::slice::from_raw_parts_mut(heap.ptr(), bytes) };
            assert!(all.iter().all(|&byte| byte == 0), "{bytes}");
            all.fill(1);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn large_memory_takes_whole_huge_pages() {
        for (bytes, taken) in [(0, 0), (HUGE_PAGE - 1, HUGE_PAGE - 1), (HUGE_PAGE, HUGE_PAGE)] {
            assert_eq!(Heap::rounded(bytes), taken);
        }
        assert_eq!(Heap::rounded(HUGE_PAGE + 1), 2 * HUGE_PAGE);
    }

    #[test]
    fn what_cannot_be_had_is_an_error() {
        for bytes in [usize::MAX, isize::MAX as usize, 1 << 60] {
            assert!(Heap::zeroed(bytes).is_err(), "{bytes}");
        }
    }
}
