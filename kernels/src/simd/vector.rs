//! Vectors of `f32`, one type per instruction set, behind the trait that kernels are written over.
//!
//! [`Simd`] is a token that proves that the processor has the instructions of a vector. Vectors are made with it alone, so
//! arithmetic on them is safe code. What is left unsafe reads or writes memory through pointers.

use std::marker::PhantomData;
use std::sync::atomic::{Ordering, compiler_fence};

/// Functions of intrinsics that touch no memory.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! arithmetic {
    ($($(#[$attribute:meta])* fn $name:ident($($parameters:tt)*) -> $result:ty { $($body:tt)* })*) => {$(
        $(#[$attribute])*
        #[inline(always)]
        fn $name($($parameters)*) -> $result {
            // SAFETY: there is a vector or a token: the processor has the instructions.
            unsafe { $($body)* }
        }
    )*};
}

/// Functions that load or store, and leave it to their callers that memory is there.
macro_rules! memory {
    ($(
        $(#[$attribute:meta])*
        unsafe fn $name:ident$(<$($type:ident: $bound:ident),*>)?($($parameters:tt)*) $(-> $result:ty)? { $($body:tt)* }
    )*) => {$(
        $(#[$attribute])*
        #[inline(always)]
        unsafe fn $name$(<$($type: $bound),*>)?($($parameters)*) $(-> $result)? {
            // SAFETY: there is a vector or a token; pointers are valid by the caller's promise.
            unsafe { $($body)* }
        }
    )*};
}

pub(super) use memory;

#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "aarch64")]
pub use neon::Neon;
pub use portable::Portable;
#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

/// Lanes of the longest vector.
pub const MAX_LANES: usize = 16;

/// An algorithm written once over [`Vector`], to be compiled for each instruction set by [`Isa::dispatch`](super::isa::Isa::dispatch).
///
/// `run` and everything generic over `V` below it must be `#[inline(always)]`: only then is it compiled with the
/// instructions of the function that it ends up in.
pub trait Work {
    /// What comes back.
    type Output;

    /// Does the work with vectors of type `V`, which the token makes.
    fn run<V: Vector>(self, simd: Simd<V>) -> Self::Output;
}

/// Proof that the processor has the instructions of `V`: [`Isa::dispatch`](super::isa::Isa::dispatch) hands it out.
pub struct Simd<V>(PhantomData<V>);

impl<V> Clone for Simd<V> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for Simd<V> {}

impl<V: Vector> Simd<V> {
    /// The token.
    ///
    /// # Safety
    /// The processor has the instructions of `V`.
    #[inline(always)]
    pub(crate) unsafe fn new() -> Self {
        Simd(PhantomData)
    }

    /// All elements `x`.
    #[inline(always)]
    pub fn splat(self, x: f32) -> V {
        V::splat(self, x)
    }

    /// All zeros.
    #[inline(always)]
    pub fn zero(self) -> V {
        V::splat(self, 0.0)
    }

    /// The first of these numbers, as many as a vector has.
    #[inline(always)]
    pub fn from_lanes(self, lanes: &[f32; MAX_LANES]) -> V {
        const { assert!(V::LANES <= MAX_LANES) };
        // SAFETY: no vector is longer.
        unsafe { V::load(self, lanes.as_ptr()) }
    }

    /// `LANES` elements.
    ///
    /// # Safety
    /// See [`Vector`].
    #[inline(always)]
    pub unsafe fn load(self, p: *const f32) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::load(self, p) }
    }

    /// The first `n <= LANES` elements, zeros above; nothing beyond them is touched.
    ///
    /// # Safety
    /// See [`Vector`].
    #[inline(always)]
    pub unsafe fn load_first(self, p: *const f32, n: usize) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::load_first(self, p, n) }
    }
}

/// A register full of `f32`. A value proves, as its token does, that the processor has the instructions.
///
/// # Safety
/// Of the functions that load and store: pointers are valid for the elements read or written (any alignment).
#[allow(clippy::missing_safety_doc)] // once, above
pub trait Vector: Copy {
    /// Elements.
    const LANES: usize;
    /// Registers of the architecture, so that kernels know how large a tile stays in them.
    const REGISTERS: usize;

    /// All elements `x`.
    fn splat(simd: Simd<Self>, x: f32) -> Self;
    /// `LANES` elements.
    unsafe fn load(simd: Simd<Self>, p: *const f32) -> Self;
    /// The first `n <= LANES` elements, zeros above; nothing beyond them is touched.
    unsafe fn load_first(simd: Simd<Self>, p: *const f32, n: usize) -> Self;
    /// `LANES` bytes, as numbers.
    unsafe fn load_bytes(simd: Simd<Self>, p: *const u8) -> Self;
    /// `LANES` bf16, given as the upper halves of `f32`.
    unsafe fn load_bf16(simd: Simd<Self>, p: *const u16) -> Self;

    /// `LANES` elements.
    unsafe fn store(self, p: *mut f32);
    /// The first `n <= LANES` elements; nothing beyond them is touched.
    unsafe fn store_first(self, p: *mut f32, n: usize);
    /// `LANES` bytes, of elements that are whole numbers from 0 to 255.
    unsafe fn store_bytes(self, p: *mut u8);
    /// `LANES` elements as bf16: rounded to nearest, ties to even.
    unsafe fn store_bf16(self, p: *mut u16);

    /// `self + o`
    fn add(self, o: Self) -> Self;
    /// `self - o`
    fn sub(self, o: Self) -> Self;
    /// `self * o`
    fn mul(self, o: Self) -> Self;
    /// `self / o`
    fn div(self, o: Self) -> Self;
    /// The square root, rounded as IEEE 754 says.
    fn sqrt(self) -> Self;
    /// `self * a + b`; rounded once where the instruction set has it.
    fn mul_add(self, a: Self, b: Self) -> Self;
    /// The larger one; `o` where `self` is NaN.
    fn max(self, o: Self) -> Self;
    /// Per element: `a` where `self > 0`, else `b`.
    fn if_positive(self, a: Self, b: Self) -> Self;
    /// Per element: `a` where `self > o` or `self` is NaN, else `b`.
    fn if_above_or_nan(self, o: Self, a: Self, b: Self) -> Self;
    /// Per element: `a` where `self == o`, else `b`.
    fn if_equal(self, o: Self, a: Self, b: Self) -> Self;

    /// The same, without an instruction; but computed before anything is loaded that the program loads later. Compilers like to
    /// load all that a tile multiplies first, and then keep its sums in memory for want of registers: AVX2 does two thirds
    /// of what it can so.
    #[inline(always)]
    fn before_later_loads(self) -> Self {
        compiler_fence(Ordering::SeqCst);
        self
    }

    /// `o + self[0] * a[0] + self[1] * a[1]`, the elements of `self` and `a` being pairs of bf16, the first one in the lower half;
    /// subnormal ones count as zero.
    ///
    /// # Safety
    /// Below [`Isa::dispatch_bf16_dot`](super::isa::Isa::dispatch_bf16_dot) only: a vector does not prove that there is the instruction.
    #[inline(always)]
    unsafe fn dot_bf16(self, _a: Self, _o: Self) -> Self {
        unreachable!("these vectors multiply no pairs")
    }

    /// Does `work` with the same instructions, in a function of its own until the optimiser thinks better of it. Where a function has many
    /// long parts of which one runs, each such part goes through here: a compiler's time grows with the square of a function's length.
    fn apart<W: Work>(simd: Simd<Self>, work: W) -> W::Output;

    /// The same for work that calls [`Vector::dot_bf16`].
    ///
    /// # Safety
    /// As that.
    #[inline(always)]
    unsafe fn apart_with_pairs<W: Work>(_simd: Simd<Self>, _work: W) -> W::Output {
        unreachable!("these vectors multiply no pairs")
    }

    /// The token that it was made with.
    #[inline(always)]
    fn simd(self) -> Simd<Self> {
        Simd(PhantomData)
    }

    /// The elements, and zeros behind them.
    #[inline(always)]
    fn lanes(self) -> [f32; MAX_LANES] {
        const { assert!(Self::LANES <= MAX_LANES) };
        let mut lanes = [0.0; MAX_LANES];
        // SAFETY: no vector is longer.
        unsafe { self.store(lanes.as_mut_ptr()) };
        lanes
    }

    /// Sum of the elements, always in the order of the lanes.
    #[inline(always)]
    fn sum(self) -> f32 {
        self.lanes()[..Self::LANES].iter().sum()
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
    use crate::simd::isa::Isa;

    /// The lanes that a vector has.
    fn all<V: Vector>(v: V) -> Vec<f32> {
        v.lanes()[..V::LANES].to_vec()
    }

    /// Every operation against scalar arithmetic on small whole numbers, where all of it is exact.
    struct Arithmetic;

    impl Work for Arithmetic {
        type Output = ();

        #[inline(always)]
        fn run<V: Vector>(self, simd: Simd<V>) {
            let a: [f32; MAX_LANES] = std::array::from_fn(|i| i as f32 - 3.0);
            let b: [f32; MAX_LANES] = std::array::from_fn(|i| (1 << (i % 3)) as f32);
            let expect = |f: &dyn Fn(f32, f32) -> f32| -> Vec<f32> {
                a.iter().zip(&b).map(|(&a, &b)| f(a, b)).take(V::LANES).collect()
            };
            let (x, y) = (simd.from_lanes(&a), simd.from_lanes(&b));
            assert_eq!(all(x.add(y)), expect(&|a, b| a + b));
            assert_eq!(all(x.sub(y)), expect(&|a, b| a - b));
            assert_eq!(all(x.mul(y)), expect(&|a, b| a * b));
            assert_eq!(all(x.div(y)), expect(&|a, b| a / b));
            assert_eq!(all(y.mul(y).sqrt()), expect(&|_, b| b));
            assert_eq!(all(x.mul_add(y, simd.splat(5.0))), expect(&|a, b| a * b + 5.0));
            assert_eq!(all(x.max(y)), expect(&|a, b| a.max(b)));
            let nine = simd.splat(-9.0);
            assert_eq!(all(x.if_positive(y, nine)), expect(&|a, b| if a > 0.0 { b } else { -9.0 }));
            assert_eq!(x.sum(), a[..V::LANES].iter().sum::<f32>());
            assert_eq!(all(x.if_equal(y, y, nine)), expect(&|a, b| if a == b { b } else { -9.0 }));
            assert_eq!(all(x.if_above_or_nan(y, x, nine)), expect(&|a, b| if a > b { a } else { -9.0 }));
            let nan = simd.splat(f32::NAN);
            assert_eq!(all(nan.if_above_or_nan(y, y, nine)), b[..V::LANES]);
            assert_eq!(all(x.if_above_or_nan(nan, y, nine)), vec![-9.0; V::LANES]);
            assert_eq!(all(simd.zero()), vec![0.0; V::LANES]);
            assert_eq!(all(x.simd().splat(2.0).before_later_loads()), vec![2.0; V::LANES]);
        }
    }

    /// What is loaded and stored, and that nothing beyond it is.
    struct LoadsAndStores;

    impl Work for LoadsAndStores {
        type Output = ();

        #[inline(always)]
        fn run<V: Vector>(self, simd: Simd<V>) {
            let a: Vec<f32> = (0..V::LANES).map(|i| i as f32 - 3.0).collect();
            let bytes: Vec<u8> = (0..V::LANES).map(|i| (255 - 16 * i) as u8).collect();
            let mut copy = vec![0; V::LANES];
            // SAFETY: `a`, `bytes` and `copy` have the vector's length, `out` too.
            unsafe {
                V::load_bytes(simd, bytes.as_ptr()).store_bytes(copy.as_mut_ptr());
                assert_eq!(copy, bytes);
                assert_eq!(all(V::load_bytes(simd, bytes.as_ptr()))[1], 239.0);
                let x = simd.load(a.as_ptr());
                for n in 0..=V::LANES {
                    let mut first = a[..n].to_vec();
                    first.resize(V::LANES, 0.0);
                    assert_eq!(all(simd.load_first(a.as_ptr(), n)), first);
                    let mut out = vec![7.0; V::LANES];
                    x.store_first(out.as_mut_ptr(), n);
                    assert_eq!(out, [&a[..n], &vec![7.0; V::LANES - n]].concat());
                }
            }
        }
    }

    /// Products of pairs, of small whole numbers likewise.
    struct Pairs;

    impl Work for Pairs {
        type Output = ();

        #[inline(always)]
        fn run<V: Vector>(self, simd: Simd<V>) {
            let pair = |low: f32, high: f32| f32::from_bits(low.to_bits() >> 16 | high.to_bits());
            let a = std::array::from_fn(|i| pair(i as f32, -3.0));
            let b = std::array::from_fn(|i| pair(7.0, 1.0 - i as f32));
            // SAFETY: dispatched for pairs.
            let found = unsafe { simd.from_lanes(&a).dot_bf16(simd.from_lanes(&b), simd.splat(0.5)) };
            let expected: Vec<f32> = (0..V::LANES).map(|i| 0.5 + 10.0 * i as f32 - 3.0).collect();
            assert_eq!(all(found), expected);
        }
    }

    #[test]
    fn pairs_are_multiplied_and_added() {
        if Isa::Avx512Bf16.available() {
            Isa::Avx512Bf16.dispatch_bf16_dot(Pairs);
        }
    }

    #[test]
    fn operations_are_those_of_scalars() {
        for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
            isa.dispatch(Arithmetic);
            isa.dispatch(LoadsAndStores);
        }
    }
}
