//! Vectors of plain Rust, for any processor.

use super::{Simd, Vector, Work, nearest_bf16};

/// Eight lanes.
#[derive(Clone, Copy)]
pub struct Portable([f32; 8]);

impl Portable {
    #[inline(always)]
    fn zip(self, o: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Portable(std::array::from_fn(|i| f(self.0[i], o.0[i])))
    }
}

impl Vector for Portable {
    const LANES: usize = 8;
    // Each is two of the machine's own, of which SSE2 has 16.
    const REGISTERS: usize = 8;

    fn apart<W: Work>(simd: Simd<Self>, work: W) -> W::Output {
        work.run(simd)
    }

    #[inline(always)]
    fn splat(_: Simd<Self>, x: f32) -> Self {
        Portable([x; 8])
    }

    memory! {
        unsafe fn load(_: Simd<Self>, p: *const f32) -> Self {
            Portable(p.cast::<[f32; 8]>().read_unaligned())
        }

        unsafe fn load_first(_: Simd<Self>, p: *const f32, n: usize) -> Self {
            let mut v = [0.0; 8];
            v[..n].copy_from_slice(std::slice::from_raw_parts(p, n));
            Portable(v)
        }

        unsafe fn load_bytes(_: Simd<Self>, p: *const u8) -> Self {
            Portable(p.cast::<[u8; 8]>().read().map(f32::from))
        }

        unsafe fn load_bf16(_: Simd<Self>, p: *const u16) -> Self {
            let halves = p.cast::<[u16; 8]>().read_unaligned();
            Portable(halves.map(|half| f32::from_bits(u32::from(half) << 16)))
        }

        unsafe fn store(self, p: *mut f32) {
            p.cast::<[f32; 8]>().write_unaligned(self.0)
        }

        unsafe fn store_first(self, p: *mut f32, n: usize) {
            for (i, &x) in self.0[..n].iter().enumerate() {
                p.add(i).write(x);
            }
        }

        unsafe fn store_bytes(self, p: *mut u8) {
            p.cast::<[u8; 8]>().write(self.0.map(|x| x as u8))
        }

        unsafe fn store_bf16(self, p: *mut u16) {
            let halves = self.0.map(|x| (nearest_bf16(x).to_bits() >> 16) as u16);
            p.cast::<[u16; 8]>().write_unaligned(halves)
        }
    }

    #[inline(always)]
    fn add(self, o: Self) -> Self {
        self.zip(o, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, o: Self) -> Self {
        self.zip(o, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, o: Self) -> Self {
        self.zip(o, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, o: Self) -> Self {
        self.zip(o, |a, b| a / b)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        Portable(self.0.map(f32::sqrt))
    }

    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        // A fused operation is a library call where the target's baseline has no instruction for it.
        if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
            Portable(std::array::from_fn(|i| self.0[i].mul_add(a.0[i], b.0[i])))
        } else {
            Portable(std::array::from_fn(|i| self.0[i] * a.0[i] + b.0[i]))
        }
    }

    #[inline(always)]
    fn max(self, o: Self) -> Self {
        self.zip(o, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn if_positive(self, a: Self, b: Self) -> Self {
        Portable(std::array::from_fn(|i| if self.0[i] > 0.0 { a.0[i] } else { b.0[i] }))
    }

    #[inline(always)]
    fn if_above_or_nan(self, o: Self, a: Self, b: Self) -> Self {
        let wins = |i: usize| self.0[i] > o.0[i] || self.0[i].is_nan();
        Portable(std::array::from_fn(|i| if wins(i) { a.0[i] } else { b.0[i] }))
    }

    #[inline(always)]
    fn if_equal(self, o: Self, a: Self, b: Self) -> Self {
        Portable(std::array::from_fn(|i| if self.0[i] == o.0[i] { a.0[i] } else { b.0[i] }))
    }
}
