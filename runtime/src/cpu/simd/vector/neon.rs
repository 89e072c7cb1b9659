//! The vectors of 64-bit ARM.

use std::arch::aarch64::*;
use std::arch::asm;

use super::Vector;

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

    /// Per element `a` where the mask has ones, else `b`.
    #[inline(always)]
    fn select(mask: impl Fn(usize) -> uint32x4_t, a: Self, b: Self) -> Self {
        Self::map(|i| unsafe { vbslq_f32(mask(i), a.0[i], b.0[i]) })
    }
}

/// The upper halves of `f32` rounded to bf16, to nearest, ties to even; see [`super::nearest_bf16`].
#[inline(always)]
fn rounded_halves(x: float32x4_t) -> uint16x4_t {
    unsafe {
        let bits = vreinterpretq_u32_f32(x);
        let odd = vandq_u32(vshrq_n_u32::<16>(bits), vdupq_n_u32(1));
        let rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
        let quiet = vorrq_u32(bits, vdupq_n_u32(0x0040_0000));
        vshrn_n_u32::<16>(vbslq_u32(vceqq_f32(x, x), rounded, quiet))
    }
}

impl Vector for Neon {
    const LANES: usize = 8;
    // Pairs of the 32 there are.
    const REGISTERS: usize = 16;

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        Self::map(|i| unsafe { vld1q_f32(p.add(4 * i)) })
    }

    #[inline(always)]
    unsafe fn load_first(p: *const f32, n: usize) -> Self {
        let mut lanes = [0.0; Self::LANES];
        unsafe {
            p.copy_to_nonoverlapping(lanes.as_mut_ptr(), n);
            Self::load(lanes.as_ptr())
        }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        unsafe {
            vst1q_f32(p, self.0[0]);
            vst1q_f32(p.add(4), self.0[1]);
        }
    }

    #[inline(always)]
    unsafe fn store_first(self, p: *mut f32, n: usize) {
        let mut lanes = [0.0; Self::LANES];
        unsafe {
            self.store(lanes.as_mut_ptr());
            p.copy_from_nonoverlapping(lanes.as_ptr(), n);
        }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Neon([unsafe { vdupq_n_f32(x) }; 2])
    }

    #[inline(always)]
    unsafe fn add(self, o: Self) -> Self {
        Self::map(|i| unsafe { vaddq_f32(self.0[i], o.0[i]) })
    }

    #[inline(always)]
    unsafe fn sub(self, o: Self) -> Self {
        Self::map(|i| unsafe { vsubq_f32(self.0[i], o.0[i]) })
    }

    #[inline(always)]
    unsafe fn mul(self, o: Self) -> Self {
        Self::map(|i| unsafe { vmulq_f32(self.0[i], o.0[i]) })
    }

    #[inline(always)]
    unsafe fn div(self, o: Self) -> Self {
        Self::map(|i| unsafe { vdivq_f32(self.0[i], o.0[i]) })
    }

    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        Self::map(|i| unsafe { vsqrtq_f32(self.0[i]) })
    }

    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        Self::map(|i| unsafe { vfmaq_f32(b.0[i], self.0[i], a.0[i]) })
    }

    #[inline(always)]
    unsafe fn before_later_loads(mut self) -> Self {
        // Without `nomem`: it may read or write whatever it likes, for all the compiler knows.
        let [low, high] = &mut self.0;
        unsafe {
            asm!(
                "/* {0:v} {1:v} */",
                inout(vreg) * low,
                inout(vreg) * high,
                options(nostack, preserves_flags)
            )
        };
        self
    }

    #[inline(always)]
    unsafe fn max(self, o: Self) -> Self {
        // `fmaxnm` would prefer a number to a NaN in either place.
        Self::select(|i| unsafe { vcgtq_f32(self.0[i], o.0[i]) }, self, o)
    }

    #[inline(always)]
    unsafe fn if_positive(self, a: Self, b: Self) -> Self {
        Self::select(|i| unsafe { vcgtzq_f32(self.0[i]) }, a, b)
    }

    #[inline(always)]
    unsafe fn if_above_or_nan(self, o: Self, a: Self, b: Self) -> Self {
        let wins = |i: usize| unsafe {
            let number = vceqq_f32(self.0[i], self.0[i]);
            vornq_u32(vcgtq_f32(self.0[i], o.0[i]), number)
        };
        Self::select(wins, a, b)
    }

    #[inline(always)]
    unsafe fn if_equal(self, o: Self, a: Self, b: Self) -> Self {
        Self::select(|i| unsafe { vceqq_f32(self.0[i], o.0[i]) }, a, b)
    }

    #[inline(always)]
    unsafe fn load_bytes(p: *const u8) -> Self {
        unsafe {
            let halves = vmovl_u8(vld1_u8(p));
            let [low, high] = [vget_low_u16(halves), vget_high_u16(halves)];
            Neon([vcvtq_f32_u32(vmovl_u16(low)), vcvtq_f32_u32(vmovl_u16(high))])
        }
    }

    #[inline(always)]
    unsafe fn store_bytes(self, p: *mut u8) {
        unsafe {
            let [low, high] = self.0.map(|half| vmovn_u32(vcvtq_u32_f32(half)));
            vst1_u8(p, vmovn_u16(vcombine_u16(low, high)));
        }
    }

    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> Self {
        unsafe {
            let halves = vld1q_u16(p);
            let [low, high] = [vget_low_u16(halves), vget_high_u16(halves)];
            Neon([low, high].map(|half| vreinterpretq_f32_u32(vshll_n_u16::<16>(half))))
        }
    }

    #[inline(always)]
    unsafe fn store_bf16(self, p: *mut u16) {
        let [low, high] = self.0.map(rounded_halves);
        unsafe { vst1q_u16(p, vcombine_u16(low, high)) }
    }
}
