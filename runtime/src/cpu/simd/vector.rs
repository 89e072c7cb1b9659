//! Vectors of `f32`, one type per instruction set, behind the trait that kernels are written over.

use std::sync::atomic::{Ordering, compiler_fence};

// Their unsafe blocks are an intrinsic or two each: the promise of the trait, passed on.
#[cfg(target_arch = "aarch64")]
#[allow(clippy::undocumented_unsafe_blocks)]
mod neon;
#[cfg(target_arch = "x86_64")]
#[allow(clippy::undocumented_unsafe_blocks)]
mod x86;

#[cfg(target_arch = "aarch64")]
pub use neon::Neon;
#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

/// A register full of `f32`.
///
/// All functions are unsafe: the caller runs under [`super::isa::Isa::dispatch`] of the right instruction set, and
/// pointers are valid for the elements read or written (any alignment).
#[allow(clippy::missing_safety_doc)] // once, above
pub trait Vector: Copy {
    /// Elements.
    const LANES: usize;
    /// Registers of the architecture, so that kernels know how large a tile stays in them.
    const REGISTERS: usize;

    /// `LANES` elements.
    unsafe fn load(p: *const f32) -> Self;
    /// The first `n <= LANES` elements, zeros above; nothing beyond them is touched.
    unsafe fn load_first(p: *const f32, n: usize) -> Self;
    /// `LANES` elements.
    unsafe fn store(self, p: *mut f32);
    /// The first `n <= LANES` elements; nothing beyond them is touched.
    unsafe fn store_first(self, p: *mut f32, n: usize);
    /// All elements `x`.
    unsafe fn splat(x: f32) -> Self;
    /// `self + o`
    unsafe fn add(self, o: Self) -> Self;
    /// `self - o`
    unsafe fn sub(self, o: Self) -> Self;
    /// `self * o`
    unsafe fn mul(self, o: Self) -> Self;
    /// `self / o`
    unsafe fn div(self, o: Self) -> Self;
    /// The square root, rounded as IEEE 754 says.
    unsafe fn sqrt(self) -> Self;
    /// `self * a + b`; rounded once where the instruction set has it.
    unsafe fn mul_add(self, a: Self, b: Self) -> Self;
    /// The same, without an instruction; but computed before anything is loaded that the program loads later. Compilers like to
    /// load all that a tile multiplies first, and then keep its sums in memory for want of registers: AVX2 does two thirds
    /// of what it can so.
    #[inline(always)]
    unsafe fn before_later_loads(self) -> Self {
        compiler_fence(Ordering::SeqCst);
        self
    }
    /// `o + self[0] * a[0] + self[1] * a[1]`, the elements of `self` and `a` being pairs of bf16, the first one in the lower half;
    /// subnormal ones count as zero. Only where [`Isa::dispatch_bf16_dot`](super::isa::Isa::dispatch_bf16_dot) leads to.
    #[inline(always)]
    unsafe fn dot_bf16(self, _a: Self, _o: Self) -> Self {
        unreachable!("these vectors multiply no pairs")
    }
    /// The larger one; `o` where `self` is NaN.
    unsafe fn max(self, o: Self) -> Self;
    /// Per element: `a` where `self > 0`, else `b`.
    unsafe fn if_positive(self, a: Self, b: Self) -> Self;
    /// Per element: `a` where `self > o` or `self` is NaN, else `b`.
    unsafe fn if_above_or_nan(self, o: Self, a: Self, b: Self) -> Self;
    /// Per element: `a` where `self == o`, else `b`.
    unsafe fn if_equal(self, o: Self, a: Self, b: Self) -> Self;
    /// `LANES` bytes, as numbers.
    unsafe fn load_bytes(p: *const u8) -> Self;
    /// `LANES` bytes, of elements that are whole numbers from 0 to 255.
    unsafe fn store_bytes(self, p: *mut u8);
    /// `LANES` bf16, given as the upper halves of `f32`.
    unsafe fn load_bf16(p: *const u16) -> Self;
    /// `LANES` elements as bf16: rounded to nearest, ties to even.
    unsafe fn store_bf16(self, p: *mut u16);

    /// All zeros.
    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the caller's promise.
        unsafe { Self::splat(0.0) }
    }

    /// Sum of the elements, always in the order of the lanes.
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        let mut lanes = [0.0; 16];
        // SAFETY: no vector is longer than 16.
        unsafe { self.store(lanes.as_mut_ptr()) };
        lanes[..Self::LANES].iter().sum()
    }
}

/// Eight lanes of plain Rust.
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

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller's promise.
        Portable(unsafe { p.cast::<[f32; 8]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn load_first(p: *const f32, n: usize) -> Self {
        let mut v = [0.0; 8];
        // SAFETY: `n` elements are readable.
        v[..n].copy_from_slice(unsafe { std::slice::from_raw_parts(p, n) });
        Portable(v)
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { p.cast::<[f32; 8]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn store_first(self, p: *mut f32, n: usize) {
        for (i, &x) in self.0[..n].iter().enumerate() {
            // SAFETY: `i < n`.
            unsafe { p.add(i).write(x) };
        }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Portable([x; 8])
    }

    #[inline(always)]
    unsafe fn add(self, o: Self) -> Self {
        self.zip(o, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn sub(self, o: Self) -> Self {
        self.zip(o, |a, b| a - b)
    }

    #[inline(always)]
    unsafe fn mul(self, o: Self) -> Self {
        self.zip(o, |a, b| a * b)
    }

    #[inline(always)]
    unsafe fn div(self, o: Self) -> Self {
        self.zip(o, |a, b| a / b)
    }

    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        Portable(self.0.map(f32::sqrt))
    }

    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        // A fused operation is a library call where the target's baseline has no instruction for it.
        if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
            Portable(std::array::from_fn(|i| self.0[i].mul_add(a.0[i], b.0[i])))
        } else {
            Portable(std::array::from_fn(|i| self.0[i] * a.0[i] + b.0[i]))
        }
    }

    #[inline(always)]
    unsafe fn max(self, o: Self) -> Self {
        self.zip(o, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    unsafe fn if_positive(self, a: Self, b: Self) -> Self {
        Portable(std::array::from_fn(|i| if self.0[i] > 0.0 { a.0[i] } else { b.0[i] }))
    }

    #[inline(always)]
    unsafe fn if_above_or_nan(self, o: Self, a: Self, b: Self) -> Self {
        let wins = |i: usize| self.0[i] > o.0[i] || self.0[i].is_nan();
        Portable(std::array::from_fn(|i| if wins(i) { a.0[i] } else { b.0[i] }))
    }

    #[inline(always)]
    unsafe fn if_equal(self, o: Self, a: Self, b: Self) -> Self {
        Portable(std::array::from_fn(|i| if self.0[i] == o.0[i] { a.0[i] } else { b.0[i] }))
    }

    #[inline(always)]
    unsafe fn load_bytes(p: *const u8) -> Self {
        // SAFETY: the caller's promise.
        Portable(unsafe { p.cast::<[u8; 8]>().read() }.map(f32::from))
    }

    #[inline(always)]
    unsafe fn store_bytes(self, p: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe { p.cast::<[u8; 8]>().write(self.0.map(|x| x as u8)) }
    }

    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> Self {
        // SAFETY: the caller's promise.
        let halves = unsafe { p.cast::<[u16; 8]>().read_unaligned() };
        Portable(halves.map(|half| f32::from_bits(u32::from(half) << 16)))
    }

    #[inline(always)]
    unsafe fn store_bf16(self, p: *mut u16) {
        let halves = self.0.map(|x| (nearest_bf16(x).to_bits() >> 16) as u16);
        // SAFETY: the caller's promise.
        unsafe { p.cast::<[u16; 8]>().write_unaligned(halves) }
    }
}

/// Rounded to bf16, to nearest, ties to even. Without branches, so that loops over it vectorise.
#[inline(always)]
pub fn nearest_bf16(x: f32) -> f32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) & 0xffff_0000;
    // Adding could make an infinity of a NaN.
    f32::from_bits(if x.is_nan() { bits | 0x0040_0000 } else { rounded })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::simd::isa::{Isa, Work};

    /// Every operation against scalar arithmetic on small whole numbers, where all of it is exact.
    struct Check;

    impl Work for Check {
        type Output = ();

        #[inline(always)]
        fn run<V: Vector>(self) {
            let a: Vec<f32> = (0..V::LANES).map(|i| i as f32 - 3.0).collect();
            let b: Vec<f32> = (0..V::LANES).map(|i| (1 << (i % 3)) as f32).collect();
            let all = |v: V| {
                let mut out = vec![0.0; V::LANES];
                // SAFETY: `out` has the vector's length.
                unsafe { v.store(out.as_mut_ptr()) };
                out
            };
            let expect = |f: &dyn Fn(f32, f32) -> f32| -> Vec<f32> {
                a.iter().zip(&b).map(|(&a, &b)| f(a, b)).collect()
            };
            // SAFETY: dispatched; `a` and `b` have the vector's length.
            unsafe {
                let (x, y) = (V::load(a.as_ptr()), V::load(b.as_ptr()));
                assert_eq!(all(x.add(y)), expect(&|a, b| a + b));
                assert_eq!(all(x.sub(y)), expect(&|a, b| a - b));
                assert_eq!(all(x.mul(y)), expect(&|a, b| a * b));
                assert_eq!(all(x.div(y)), expect(&|a, b| a / b));
                assert_eq!(all(x.mul_add(y, V::splat(5.0))), expect(&|a, b| a * b + 5.0));
                assert_eq!(all(x.max(y)), expect(&|a, b| a.max(b)));
                assert_eq!(
                    all(x.if_positive(y, V::splat(-9.0))),
                    expect(&|a, b| if a > 0.0 { b } else { -9.0 })
                );
                assert_eq!(x.sum(), a.iter().sum::<f32>());
                let nine = V::splat(-9.0);
                assert_eq!(all(x.if_equal(y, y, nine)), expect(&|a, b| if a == b { b } else { -9.0 }));
                assert_eq!(all(x.if_above_or_nan(y, x, nine)), expect(&|a, b| if a > b { a } else { -9.0 }));
                let nan = V::splat(f32::NAN);
                assert_eq!(all(nan.if_above_or_nan(y, y, nine)), b);
                assert_eq!(all(x.if_above_or_nan(nan, y, nine)), vec![-9.0; V::LANES]);
                let bytes: Vec<u8> = (0..V::LANES).map(|i| (255 - 16 * i) as u8).collect();
                let mut copy = vec![0; V::LANES];
                V::load_bytes(bytes.as_ptr()).store_bytes(copy.as_mut_ptr());
                assert_eq!(copy, bytes);
                assert_eq!(all(V::load_bytes(bytes.as_ptr()))[1], 239.0);
                assert_eq!(all(V::zero()), vec![0.0; V::LANES]);
                for n in 0..=V::LANES {
                    let mut first = a[..n].to_vec();
                    first.resize(V::LANES, 0.0);
                    assert_eq!(all(V::load_first(a.as_ptr(), n)), first);
                    let mut out = b.clone();
                    x.store_first(out.as_mut_ptr(), n);
                    assert_eq!(out, [&a[..n], &b[n..]].concat());
                }
            }
        }
    }

    /// Products of pairs, of small whole numbers likewise.
    struct CheckPairs;

    impl Work for CheckPairs {
        type Output = ();

        #[inline(always)]
        fn run<V: Vector>(self) {
            let pair = |low: f32, high: f32| f32::from_bits(low.to_bits() >> 16 | high.to_bits());
            let a: Vec<f32> = (0..V::LANES).map(|i| pair(i as f32, -3.0)).collect();
            let b: Vec<f32> = (0..V::LANES).map(|i| pair(7.0, 1.0 - i as f32)).collect();
            let mut found = vec![0.0; V::LANES];
            // SAFETY: dispatched; all have the vector's length.
            unsafe {
                let sums = V::load(a.as_ptr()).dot_bf16(V::load(b.as_ptr()), V::splat(0.5));
                sums.store(found.as_mut_ptr());
            }
            let expected: Vec<f32> = (0..V::LANES).map(|i| 0.5 + 10.0 * i as f32 - 3.0).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn pairs_are_multiplied_and_added() {
        if Isa::Avx512Bf16.available() {
            Isa::Avx512Bf16.dispatch_bf16_dot(CheckPairs);
        }
    }

    #[test]
    fn operations_are_those_of_scalars() {
        for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
            isa.dispatch(Check);
        }
    }
}
