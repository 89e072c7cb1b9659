//! Which vector instructions the kernels use: decided once, at start.

#[cfg(target_arch = "x86_64")]
use super::vector::{Avx2, Avx512};
use super::vector::{Portable, Simd, Vector, Work};
use crate::error::{Error, Result};

/// An instruction set that kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Isa {
    /// 512-bit vectors, and AMX for convolutions.
    Amx,
    /// 512-bit vectors, and those of pairs of bf16 (AVX512-BF16) for convolutions in bf16.
    Avx512Bf16,
    /// 512-bit vectors (AVX-512F).
    Avx512,
    /// 256-bit vectors (AVX2 and FMA).
    Avx2,
    /// Pairs of 128-bit vectors, of 64-bit ARM.
    Neon,
    /// Plain Rust that the compiler vectorises for the target's baseline (SSE2, ...).
    Portable,
}

impl Isa {
    /// All, fastest first.
    pub const ALL: [Isa; 6] = [Isa::Amx, Isa::Avx512Bf16, Isa::Avx512, Isa::Avx2, Isa::Neon, Isa::Portable];

    /// The fastest that this machine has.
    pub fn best() -> Self {
        Self::ALL.into_iter().find(|isa| isa.pays()).unwrap_or(Isa::Portable)
    }

    /// Whether this machine has it, and gains by it. Intel's processors take four times as long for a multiplication of pairs
    /// as for one of floats, AMD's as long. The processor's name decides, not a measurement: the choice decides the last bits
    /// of a training's weights, so it has to be the same in every process.
    fn pays(self) -> bool {
        self.available() && (self != Isa::Avx512Bf16 || by_amd())
    }

    /// The instruction set of this name, if the machine has it.
    ///
    /// # Errors
    /// Where there is none of that name, or the machine has not got it.
    pub fn named(name: &str) -> Result<Self> {
        let isa = Self::ALL.into_iter().find(|isa| isa.name() == name).ok_or_else(|| {
            Error(format!("{name}: unknown; use amx, avx512bf16, avx512, avx2, neon or portable"))
        })?;
        if !isa.available() {
            return Err(Error(format!("{name}: this machine has no such instructions")));
        }
        Ok(isa)
    }

    /// The name that [`Isa::named`] knows it by.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Amx => "amx",
            Isa::Avx512Bf16 => "avx512bf16",
            Isa::Avx512 => "avx512",
            Isa::Avx2 => "avx2",
            Isa::Neon => "neon",
            Isa::Portable => "portable",
        }
    }

    /// Whether this machine has it.
    pub fn available(self) -> bool {
        match self {
            Isa::Amx => Isa::Avx512.available() && super::amx::available(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Bf16 => Isa::Avx512.available() && is_x86_feature_detected!("avx512bf16"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx512Bf16 | Isa::Avx512 | Isa::Avx2 => false,
            Isa::Neon => cfg!(target_arch = "aarch64"),
            Isa::Portable => true,
        }
    }

    /// `f32` lanes of a vector.
    pub fn lanes(self) -> usize {
        match self {
            Isa::Amx | Isa::Avx512Bf16 | Isa::Avx512 => 16,
            Isa::Avx2 | Isa::Neon => 8,
            Isa::Portable => Portable::LANES,
        }
    }

    /// Vector registers, counted in vectors of [`Isa::lanes`].
    pub fn registers(self) -> usize {
        match self {
            Isa::Amx | Isa::Avx512Bf16 | Isa::Avx512 => 32,
            Isa::Avx2 | Isa::Neon => 16,
            Isa::Portable => Portable::REGISTERS,
        }
    }

    /// Does `work` compiled for this instruction set.
    ///
    /// # Panics
    /// When the machine lacks it, which [`Isa::best`] and [`Isa::named`] rule out.
    pub fn dispatch<W: Work>(self, work: W) -> W::Output {
        debug_assert!(self.available());
        match self {
            // SAFETY: an `Isa` is only used where `available` holds.
            #[cfg(target_arch = "x86_64")]
            Isa::Amx | Isa::Avx512Bf16 | Isa::Avx512 => Avx512::apart(unsafe { Simd::new() }, work),
            // SAFETY: likewise.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Avx2::apart(unsafe { Simd::new() }, work),
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Amx | Isa::Avx512Bf16 | Isa::Avx512 | Isa::Avx2 => self.missing(),
            // SAFETY: all 64-bit ARM processors that run an operating system have NEON.
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => work.run(unsafe { Simd::<super::vector::Neon>::new() }),
            #[cfg(not(target_arch = "aarch64"))]
            Isa::Neon => self.missing(),
            // SAFETY: plain Rust.
            Isa::Portable => work.run(unsafe { Simd::<Portable>::new() }),
        }
    }

    /// Does `work` where [`Vector::dot_bf16`] is an instruction.
    ///
    /// # Panics
    /// Where it is none: only [`Isa::Avx512Bf16`] has it.
    pub fn dispatch_bf16_dot<W: Work>(self, work: W) -> W::Output {
        debug_assert!(self.available());
        match self {
            // SAFETY: an `Isa` is only used where `available` holds.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Bf16 => unsafe { Avx512::apart_with_pairs(Simd::new(), work) },
            _ => {
                drop(work);
                unreachable!("{} multiplies no pairs", self.name())
            }
        }
    }

    fn missing(self) -> ! {
        unreachable!("{} is not available on this architecture", self.name())
    }
}

/// Whether the processor calls itself one of AMD's.
#[cfg(target_arch = "x86_64")]
fn by_amd() -> bool {
    let name = std::arch::x86_64::__cpuid(0);
    [name.ebx, name.edx, name.ecx].map(u32::to_le_bytes).concat() == b"AuthenticAMD"
}

#[cfg(not(target_arch = "x86_64"))]
fn by_amd() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_unknown_ones_are_errors() {
        for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
            assert_eq!(Isa::named(isa.name()).unwrap(), isa);
        }
        let error = Isa::named("sse9").unwrap_err().to_string();
        assert_eq!(error, "sse9: unknown; use amx, avx512bf16, avx512, avx2, neon or portable");
    }
}
