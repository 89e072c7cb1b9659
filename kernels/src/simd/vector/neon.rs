//! The vectors of 64-bit ARM.

use std::arch::aarch64::*;
use std::arch::asm;

use super::{Simd, Vector, Work};

/// Eight lanes of NEON: two of its registers. A scalar that is loaded once is multiplied with both, and so is one
/// instruction less for what is loaded, of which ARM cores do no more in a cycle than of multiply-adds.
#[derive(Clone, Copy)]
pub struct Neon([float32x4_t; 2]);

impl Neon {
    /// Both halves alike.
    #[inline(always)]
    fn map(f: impl Fn(usize) -> float32x4_t) -> Self {
        Neon([f(0), f(1)])
    }

    arithmetic! {
        /// Per element `a` where the mask has ones, else `b`.
        fn select(mask: impl Fn(usize) -> uint32x4_t, a: Self, b: Self) -> Self {
            Self::map(|i| vbslq_f32(mask(i), a.0[i], b.0[i]))
        }

        /// The upper halves of one of its registers rounded to bf16, to nearest, ties to even; see [`super::nearest_bf16`].
        fn rounded_halves(self, register: usize) -> uint16x4_t {
            let x = self.0[register];
            let bits = vreinterpretq_u32_f32(x);
            let odd = vandq_u32(vshrq_n_u32::<16>(bits), vdupq_n_u32(1));
            let rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
            let quiet = vorrq_u32(bits, vdupq_n_u32(0x0040_0000));
            vshrn_n_u32::<16>(vbslq_u32(vceqq_f32(x, x), rounded, quiet))
        }
    }
}

impl Vector for Neon {
    const LANES: usize = 8;
    // Pairs of the 32 there are.
    const REGISTERS: usize = 16;

    fn apart<W: Work>(simd: Simd<Self>, work: W) -> W::Output {
        work.run(simd)
    }

    arithmetic! {
        fn splat(_: Simd<Self>, x: f32) -> Self {
            Neon([vdupq_n_f32(x); 2])
        }

        fn add(self, o: Self) -> Self {
            Self::map(|i| vaddq_f32(self.0[i], o.0[i]))
        }

        fn sub(self, o: Self) -> Self {
            Self::map(|i| vsubq_f32(self.0[i], o.0[i]))
        }

        fn mul(self, o: Self) -> Self {
            Self::map(|i| vmulq_f32(self.0[i], o.0[i]))
        }

        fn div(self, o: Self) -> Self {
            Self::map(|i| vdivq_f32(self.0[i], o.0[i]))
        }

        fn sqrt(self) -> Self {
            Self::map(|i| vsqrtq_f32(self.0[i]))
        }

        fn mul_add(self, a: Self, b: Self) -> Self {
            Self::map(|i| vfmaq_f32(b.0[i], self.0[i], a.0[i]))
        }

        fn before_later_loads(self) -> Self {
            // A comment, not an instruction. Without `nomem`: it may read or write whatever it likes, for all the compiler
            // knows.
            let [mut low, mut high] = self.0;
            asm!(
                "/* {0:v} {1:v} */",
                inout(vreg) low,
                inout(vreg) high,
                options(nostack, preserves_flags)
            );
            Neon([low, high])
        }

        fn max(self, o: Self) -> Self {
            // `fmaxnm` would prefer a number to a NaN in either place.
            Self::select(|i| vcgtq_f32(self.0[i], o.0[i]), self, o)
        }

        fn if_positive(self, a: Self, b: Self) -> Self {
            Self::select(|i| vcgtzq_f32(self.0[i]), a, b)
        }

        fn if_above_or_nan(self, o: Self, a: Self, b: Self) -> Self {
            let number = |i: usize| vceqq_f32(self.0[i], self.0[i]);
            Self::select(|i| vornq_u32(vcgtq_f32(self.0[i], o.0[i]), number(i)), a, b)
        }

        fn if_equal(self, o: Self, a: Self, b: Self) -> Self {
            Self::select(|i| vceqq_f32(self.0[i], o.0[i]), a, b)
        }
    }

    memory! {
        unsafe fn load(_: Simd<Self>, p: *const f32) -> Self {
            Self::map(|i| vld1q_f32(p.add(4 * i)))
        }

        unsafe fn load_first(simd: Simd<Self>, p: *const f32, n: usize) -> Self {
            let mut lanes = [0.0; Self::LANES];
            p.copy_to_nonoverlapping(lanes.as_mut_ptr(), n);
            Self::load(simd, lanes.as_ptr())
        }

        unsafe fn load_bytes(_: Simd<Self>, p: *const u8) -> Self {
            let halves = vmovl_u8(vld1_u8(p));
            let [low, high] = [vget_low_u16(halves), vget_high_u16(halves)];
            Neon([vcvtq_f32_u32(vmovl_u16(low)), vcvtq_f32_u32(vmovl_u16(high))])
        }

        unsafe fn load_bf16(_: Simd<Self>, p: *const u16) -> Self {
            let halves = vld1q_u16(p);
            let [low, high] = [vget_low_u16(halves), vget_high_u16(halves)];
            Neon([low, high].map(|half| vreinterpretq_f32_u32(vshll_n_u16::<16>(half))))
        }

        unsafe fn store(self, p: *mut f32) {
            vst1q_f32(p, self.0[0]);
            vst1q_f32(p.add(4), self.0[1]);
        }

        unsafe fn store_first(self, p: *mut f32, n: usize) {
            let mut lanes = [0.0; Self::LANES];
            self.store(lanes.as_mut_ptr());
            p.copy_from_nonoverlapping(lanes.as_ptr(), n);
        }

        unsafe fn store_bytes(self, p: *mut u8) {
            let [low, high] = self.0.map(|half| vmovn_u32(vcvtq_u32_f32(half)));
            vst1_u8(p, vmovn_u16(vcombine_u16(low, high)));
        }

        unsafe fn store_bf16(self, p: *mut u16) {
            vst1q_u16(p, vcombine_u16(self.rounded_halves(0), self.rounded_halves(1)));
        }
    }
}
