//! Lines of the cache, and asking for them before they are read.

/// Floats of a cache line: threads split flat buffers at multiples of it.
pub const LINE: usize = 16;

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
