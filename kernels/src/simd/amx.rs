//! Whether there is AMX (Intel's matrix unit), and whether this process may use it.

#[cfg(target_arch = "x86_64")]
pub use x86::available;

/// Only x86-64 has one.
#[cfg(not(target_arch = "x86_64"))]
pub fn available() -> bool {
    false
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    #[cfg(target_os = "linux")]
    use std::arch::asm;
    use std::sync::OnceLock;

    /// Whether the processor has AMX, and the operating system lets this process use it.
    pub fn available() -> bool {
        static AVAILABLE: OnceLock<bool> = OnceLock::new();
        *AVAILABLE.get_or_init(|| {
            is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512bf16")
                && in_processor()
                && permitted()
        })
    }

    /// CPUID leaf 7: AMX-BF16 and AMX-TILE.
    fn in_processor() -> bool {
        let features = std::arch::x86_64::__cpuid_count(7, 0).edx;
        features & (1 << 22) != 0 && features & (1 << 24) != 0
    }

    /// Asks Linux for the tile registers: their state is large, so that each process has to (`arch_prctl`,
    /// `ARCH_REQ_XCOMP_PERM`). The answer holds for all its threads.
    #[cfg(target_os = "linux")]
    fn permitted() -> bool {
        const ARCH_PRCTL: i64 = 158;
        const ARCH_REQ_XCOMP_PERM: i64 = 0x1023;
        const XFEATURE_XTILEDATA: i64 = 18;
        let mut result = ARCH_PRCTL;
        // SAFETY: the call reads two numbers and writes no memory of ours.
        unsafe {
            asm!(
                "syscall",
                inlateout("rax") result,
                in("rdi") ARCH_REQ_XCOMP_PERM,
                in("rsi") XFEATURE_XTILEDATA,
                out("rcx") _,
                out("r11") _,
                options(nostack),
            );
        }
        result == 0
    }

    #[cfg(not(target_os = "linux"))]
    fn permitted() -> bool {
        false
    }
}
