//! Memory between pages that fault when touched: finds kernels that read or write outside of it.
//!
//! A debugging aid, on Linux. With [`Side::After`], every piece of [`Memory`](super::Memory) ends exactly where such
//! a page begins; with [`Side::Before`], it begins exactly behind one. The kernels' suites lay each operand at that
//! edge in turn.
//!
//! The side is one setting of the whole process, as a choice of allocator is: kernels allocate small tables of their own
//! in many places, and not one of them is to be left out.

use std::sync::OnceLock;

/// Where the memory touches a guard page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// A page before its first byte.
    Before,
    /// A page after its last byte.
    After,
}

static WANTED: OnceLock<Side> = OnceLock::new();

/// Lays all memory of the CPU device that is allocated from now on beside guard pages. The first call counts: a process
/// has one side.
pub fn guard_memory(side: Side) {
    WANTED.get_or_init(|| side);
}

/// What was asked for.
pub(super) fn wanted() -> Option<Side> {
    WANTED.get().copied()
}

pub use pages::Pages;

#[cfg(target_os = "linux")]
mod pages {
    use std::ptr::NonNull;

    use super::Side;
    use crate::error::{Error, Result};

    /// Elements of a buffer are of 4 bytes at most.
    const ALIGN: usize = 4;

    /// Zeroed bytes between two guard pages, touching one of them.
    pub struct Pages {
        /// The mapping, both guard pages included.
        base: NonNull<u8>,
        mapped: usize,
        /// Of the first usable byte.
        offset: usize,
    }

    // SAFETY: a mapping belongs to the process, not to a thread; it is reached through the owner's borrows alone.
    unsafe impl Send for Pages {}
    // SAFETY: as above.
    unsafe impl Sync for Pages {}

    impl Pages {
        /// Maps `bytes`, rounded up to a multiple of 4.
        pub fn new(bytes: usize, side: Side) -> Result<Self> {
            let fault = || Error(format!("cannot map {bytes} bytes between guard pages"));
            // SAFETY: no pointers are passed.
            let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).map_err(|_| fault())?;
            let bytes = bytes.checked_next_multiple_of(ALIGN).ok_or_else(fault)?;
            let usable = bytes.checked_next_multiple_of(page).ok_or_else(fault)?;
            let mapped = usable.checked_add(2 * page).ok_or_else(fault)?;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            // SAFETY: a new mapping, at an address of the kernel's choice.
            let base = unsafe { libc::mmap(std::ptr::null_mut(), mapped, libc::PROT_NONE, flags, -1, 0) };
            if base == libc::MAP_FAILED {
                return Err(fault());
            }
            let base = NonNull::new(base.cast::<u8>()).ok_or_else(fault)?;
            let offset = match side {
                Side::Before => page,
                Side::After => page + usable - bytes,
            };
            let pages = Pages { base, mapped, offset };
            if usable == 0 {
                return Ok(pages);
            }
            // SAFETY: the pages between the first and the last of the mapping just made.
            let status = unsafe {
                libc::mprotect(base.as_ptr().add(page).cast(), usable, libc::PROT_READ | libc::PROT_WRITE)
            };
            if status == 0 { Ok(pages) } else { Err(fault()) }
        }

        /// The first usable byte.
        pub fn ptr(&self) -> *const u8 {
            self.base.as_ptr().wrapping_add(self.offset)
        }
    }

    impl Drop for Pages {
        fn drop(&mut self) {
            // SAFETY: the mapping was made in `new` with this length, and nothing borrows it any more.
            unsafe { libc::munmap(self.base.as_ptr().cast(), self.mapped) };
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod pages {
    use super::Side;
    use crate::error::{Error, Result};

    /// There are none here.
    pub enum Pages {}

    impl Pages {
        /// Fails.
        pub fn new(_: usize, _: Side) -> Result<Self> {
            Err(Error("guard pages need Linux".to_owned()))
        }

        /// Of no memory.
        pub fn ptr(&self) -> *const u8 {
            match *self {}
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn guarded_memory_touches_its_page_and_is_usable() {
        for bytes in [0, 1, 4, 4096, 5001] {
            for side in [Side::Before, Side::After] {
                let pages = Pages::new(bytes, side).unwrap();
                let rounded = bytes.next_multiple_of(4);
                let edge = pages.ptr().addr() + if side == Side::After { rounded } else { 0 };
                assert_eq!(edge % 4096, 0, "{bytes} bytes, {side:?}");
                // SAFETY: the usable bytes, borrowed from nowhere else.
                let all = unsafe { std::slice::from_raw_parts_mut(pages.ptr().cast_mut(), rounded) };
                assert!(all.iter().all(|&b| b == 0));
                all.fill(1);
            }
        }
    }
}
