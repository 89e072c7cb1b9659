//! The vectors of x86: 512 and 256 bits.

use std::arch::asm;
use std::arch::x86_64::*;

use super::{Simd, Vector, Work};

/// Sixteen lanes of AVX-512.
#[derive(Clone, Copy)]
pub struct Avx512(__m512);

impl Avx512 {
    /// The register, for intrinsics that are no vector's.
    #[inline(always)]
    pub(crate) fn register(self) -> __m512 {
        self.0
    }
}

/// The lowest `n <= 16` bits.
#[inline(always)]
fn mask16(n: usize) -> __mmask16 {
    ((1u32 << n) - 1) as __mmask16
}

impl Vector for Avx512 {
    const LANES: usize = 16;
    const REGISTERS: usize = 32;

    #[inline(always)]
    fn apart<W: Work>(simd: Simd<Self>, work: W) -> W::Output {
        // SAFETY: the token proves that there are the instructions.
        unsafe { with_avx512(work, simd) }
    }

    #[inline(always)]
    unsafe fn apart_with_pairs<W: Work>(simd: Simd<Self>, work: W) -> W::Output {
        // SAFETY: the caller's promise, and the token.
        unsafe { with_avx512bf16(work, simd) }
    }

    arithmetic! {
        fn splat(_: Simd<Self>, x: f32) -> Self {
            Avx512(_mm512_set1_ps(x))
        }

        fn add(self, o: Self) -> Self {
            Avx512(_mm512_add_ps(self.0, o.0))
        }

        fn sub(self, o: Self) -> Self {
            Avx512(_mm512_sub_ps(self.0, o.0))
        }

        fn mul(self, o: Self) -> Self {
            Avx512(_mm512_mul_ps(self.0, o.0))
        }

        fn div(self, o: Self) -> Self {
            Avx512(_mm512_div_ps(self.0, o.0))
        }

        fn sqrt(self) -> Self {
            Avx512(_mm512_sqrt_ps(self.0))
        }

        fn mul_add(self, a: Self, b: Self) -> Self {
            Avx512(_mm512_fmadd_ps(self.0, a.0, b.0))
        }

        fn before_later_loads(self) -> Self {
            Avx512(before_later_loads_512(self.0))
        }

        fn max(self, o: Self) -> Self {
            Avx512(_mm512_max_ps(self.0, o.0))
        }

        fn if_positive(self, a: Self, b: Self) -> Self {
            let positive = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(self.0, _mm512_setzero_ps());
            Avx512(_mm512_mask_blend_ps(positive, b.0, a.0))
        }

        fn if_above_or_nan(self, o: Self, a: Self, b: Self) -> Self {
            let above = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(self.0, o.0);
            let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(self.0, self.0);
            Avx512(_mm512_mask_blend_ps(above | nan, b.0, a.0))
        }

        fn if_equal(self, o: Self, a: Self, b: Self) -> Self {
            let equal = _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(self.0, o.0);
            Avx512(_mm512_mask_blend_ps(equal, b.0, a.0))
        }
    }

    #[inline(always)]
    unsafe fn dot_bf16(self, a: Self, o: Self) -> Self {
        // SAFETY: 64 bytes of plain numbers either way; the instruction is there by the caller's promise.
        unsafe {
            let [x, a]: [__m512bh; 2] = [self.0, a.0].map(|v| std::mem::transmute(v));
            Avx512(_mm512_dpbf16_ps(o.0, x, a))
        }
    }

    memory! {
        unsafe fn load(_: Simd<Self>, p: *const f32) -> Self {
            Avx512(_mm512_loadu_ps(p))
        }

        unsafe fn load_first(_: Simd<Self>, p: *const f32, n: usize) -> Self {
            Avx512(_mm512_maskz_loadu_ps(mask16(n), p))
        }

        unsafe fn store(self, p: *mut f32) {
            _mm512_storeu_ps(p, self.0)
        }

        unsafe fn store_first(self, p: *mut f32, n: usize) {
            _mm512_mask_storeu_ps(p, mask16(n), self.0)
        }

        unsafe fn load_bytes(_: Simd<Self>, p: *const u8) -> Self {
            Avx512(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(p.cast()))))
        }

        unsafe fn store_bytes(self, p: *mut u8) {
            _mm_storeu_si128(p.cast(), _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(self.0)))
        }

        unsafe fn load_bf16(_: Simd<Self>, p: *const u16) -> Self {
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(p.cast()));
            Avx512(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide)))
        }

        /// In integers, as [`nearest_bf16`](super::nearest_bf16): the conversion is an extension that not all have.
        unsafe fn store_bf16(self, p: *mut u16) {
            let bits = _mm512_castps_si512(self.0);
            let half = _mm512_srli_epi32::<16>(bits);
            let odd = _mm512_and_si512(half, _mm512_set1_epi32(1));
            let sum = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
            let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(self.0, self.0);
            let quiet = _mm512_or_si512(half, _mm512_set1_epi32(0x40));
            let found = _mm512_mask_mov_epi32(_mm512_srli_epi32::<16>(sum), nan, quiet);
            _mm256_storeu_si256(p.cast(), _mm512_cvtepi32_epi16(found))
        }
    }
}

/// Eight lanes of AVX2 with FMA.
#[derive(Clone, Copy)]
pub struct Avx2(__m256);

arithmetic! {
    /// All bits set in the first `n <= 8` elements.
    fn mask8(_: Simd<Avx2>, n: usize) -> __m256i {
        let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        _mm256_cmpgt_epi32(_mm256_set1_epi32(n as i32), lanes)
    }
}

/// The same with 512 bits.
#[inline]
#[target_feature(enable = "avx512f")]
fn before_later_loads_512(mut x: __m512) -> __m512 {
    // SAFETY: as below.
    unsafe { asm!("/* {0} */", inout(zmm_reg) x, options(nostack, preserves_flags)) };
    x
}

/// See [`Vector::before_later_loads`]. A function of its own, as the registers of an `asm!` have to be those of its function's target.
#[inline]
#[target_feature(enable = "avx")]
fn before_later_loads(mut x: __m256) -> __m256 {
    // SAFETY: a comment, not an instruction. Without `nomem`: it may read or write whatever it likes, for all the compiler
    // knows.
    unsafe { asm!("/* {0} */", inout(ymm_reg) x, options(nostack, preserves_flags)) };
    x
}

impl Vector for Avx2 {
    const LANES: usize = 8;
    const REGISTERS: usize = 16;

    #[inline(always)]
    fn apart<W: Work>(simd: Simd<Self>, work: W) -> W::Output {
        // SAFETY: the token proves that there are the instructions.
        unsafe { with_avx2(work, simd) }
    }

    arithmetic! {
        fn splat(_: Simd<Self>, x: f32) -> Self {
            Avx2(_mm256_set1_ps(x))
        }

        fn add(self, o: Self) -> Self {
            Avx2(_mm256_add_ps(self.0, o.0))
        }

        fn sub(self, o: Self) -> Self {
            Avx2(_mm256_sub_ps(self.0, o.0))
        }

        fn mul(self, o: Self) -> Self {
            Avx2(_mm256_mul_ps(self.0, o.0))
        }

        fn div(self, o: Self) -> Self {
            Avx2(_mm256_div_ps(self.0, o.0))
        }

        fn sqrt(self) -> Self {
            Avx2(_mm256_sqrt_ps(self.0))
        }

        fn mul_add(self, a: Self, b: Self) -> Self {
            Avx2(_mm256_fmadd_ps(self.0, a.0, b.0))
        }

        fn before_later_loads(self) -> Self {
            Avx2(before_later_loads(self.0))
        }

        fn max(self, o: Self) -> Self {
            Avx2(_mm256_max_ps(self.0, o.0))
        }

        fn if_positive(self, a: Self, b: Self) -> Self {
            let positive = _mm256_cmp_ps::<_CMP_GT_OQ>(self.0, _mm256_setzero_ps());
            Avx2(_mm256_blendv_ps(b.0, a.0, positive))
        }

        fn if_above_or_nan(self, o: Self, a: Self, b: Self) -> Self {
            let above = _mm256_cmp_ps::<_CMP_GT_OQ>(self.0, o.0);
            let nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(self.0, self.0);
            Avx2(_mm256_blendv_ps(b.0, a.0, _mm256_or_ps(above, nan)))
        }

        fn if_equal(self, o: Self, a: Self, b: Self) -> Self {
            let equal = _mm256_cmp_ps::<_CMP_EQ_OQ>(self.0, o.0);
            Avx2(_mm256_blendv_ps(b.0, a.0, equal))
        }
    }

    memory! {
        unsafe fn load(_: Simd<Self>, p: *const f32) -> Self {
            Avx2(_mm256_loadu_ps(p))
        }

        unsafe fn load_first(simd: Simd<Self>, p: *const f32, n: usize) -> Self {
            Avx2(_mm256_maskload_ps(p, mask8(simd, n)))
        }

        unsafe fn store(self, p: *mut f32) {
            _mm256_storeu_ps(p, self.0)
        }

        unsafe fn store_first(self, p: *mut f32, n: usize) {
            _mm256_maskstore_ps(p, mask8(self.simd(), n), self.0)
        }

        unsafe fn load_bytes(_: Simd<Self>, p: *const u8) -> Self {
            Avx2(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(p.cast()))))
        }

        unsafe fn store_bytes(self, p: *mut u8) {
            let whole = _mm256_cvttps_epi32(self.0);
            let (low, high) = (_mm256_castsi256_si128(whole), _mm256_extracti128_si256::<1>(whole));
            let words = _mm_packus_epi32(low, high);
            _mm_storel_epi64(p.cast(), _mm_packus_epi16(words, words))
        }

        unsafe fn load_bf16(_: Simd<Self>, p: *const u16) -> Self {
            let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(p.cast()));
            Avx2(_mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide)))
        }

        unsafe fn store_bf16(self, p: *mut u16) {
            let bits = _mm256_castps_si256(self.0);
            let half = _mm256_srli_epi32::<16>(bits);
            let odd = _mm256_and_si256(half, _mm256_set1_epi32(1));
            let sum = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
            let nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(self.0, self.0));
            let quiet = _mm256_or_si256(half, _mm256_set1_epi32(0x40));
            let found = _mm256_blendv_epi8(_mm256_srli_epi32::<16>(sum), quiet, nan);
            let (low, high) = (_mm256_castsi256_si128(found), _mm256_extracti128_si256::<1>(found));
            _mm_storeu_si128(p.cast(), _mm_packus_epi32(low, high))
        }
    }
}

#[target_feature(enable = "avx512f,avx2,fma")]
fn with_avx512<W: Work>(work: W, simd: Simd<Avx512>) -> W::Output {
    work.run(simd)
}

#[target_feature(enable = "avx512f,avx512bf16,avx2,fma")]
fn with_avx512bf16<W: Work>(work: W, simd: Simd<Avx512>) -> W::Output {
    work.run(simd)
}

#[target_feature(enable = "avx2,fma")]
fn with_avx2<W: Work>(work: W, simd: Simd<Avx2>) -> W::Output {
    work.run(simd)
}
