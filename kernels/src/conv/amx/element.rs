//! What maps consist of, as AMX's convolutions read and write them: `f32`, or bf16 as `u16`.

// Loops over constant ranges stay index loops, as in the register tiles: LLVM unrolls those early.
#![allow(clippy::needless_range_loop)]

use std::arch::x86_64::*;

use super::split::{
    MAX_TERMS, convert, mask, pair, pair_bf16, rounded, rounded_pair, transpose_bf16, transpose_rows,
};
use super::tiles::SIDE;
use crate::simd::{self, Avx512, Simd, Vector};

/// An element of a map.
///
/// # Safety
/// Of its functions: [`available`](crate::simd::amx::available); pointers are valid for the elements read or written.
pub trait Element: simd::Element {
    /// Whether elements are what AMX multiplies, so that a map need not always be copied.
    const NARROW: bool;

    /// A vector of the first `count` elements from `p` on, zeros above; all 16 of them where `WHOLE`.
    #[inline]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn load<const WHOLE: bool>(p: *const Self, count: usize) -> Avx512 {
        // SAFETY: the caller's promise.
        unsafe {
            match WHOLE {
                true => simd::Element::load(Simd::new(), p),
                false => simd::Element::load_first(Simd::new(), p, count),
            }
        }
    }

    /// Stores the first `count` elements to `p` on; all 16 where `WHOLE`.
    unsafe fn store<const WHOLE: bool>(v: Avx512, p: *mut Self, count: usize);

    /// Two vectors side by side.
    #[inline]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn load_pair(p: *const Self) -> [Avx512; 2] {
        // SAFETY: the caller's promise.
        unsafe { [simd::Element::load(Simd::new(), p), simd::Element::load(Simd::new(), p.add(SIDE))] }
    }

    /// Stores two vectors side by side.
    unsafe fn store_pair(v: [Avx512; 2], p: *mut Self);

    /// Converts `len` elements to terms that are `term` elements apart.
    unsafe fn convert<const TERMS: usize>(from: *const Self, len: usize, to: *mut u16, term: usize);

    /// The terms of two rows of at most 16 elements, interleaved: see [`pair`].
    unsafe fn pair<const TERMS: usize>(rows: [*const Self; 2], lanes: __mmask16) -> [__m512i; MAX_TERMS];

    /// Transposes 32 rows of at most 16 elements: see [`transpose_rows`].
    unsafe fn transpose<const TERMS: usize>(
        rows: &[*const Self; 32],
        width: usize,
        to: *mut u16,
        row: usize,
        term: usize,
    );
}

impl Element for f32 {
    const NARROW: bool = false;

    #[inline]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn store<const WHOLE: bool>(v: Avx512, p: *mut f32, count: usize) {
        // SAFETY: the caller's promise.
        unsafe { if WHOLE { v.store(p) } else { v.store_first(p, count) } }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn store_pair(v: [Avx512; 2], p: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe {
            v[0].store(p);
            v[1].store(p.add(SIDE));
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn convert<const TERMS: usize>(from: *const f32, len: usize, to: *mut u16, term: usize) {
        // SAFETY: the caller's promise.
        unsafe { convert::<TERMS>(from, len, to, term) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn pair<const TERMS: usize>(rows: [*const f32; 2], lanes: __mmask16) -> [__m512i; MAX_TERMS] {
        // SAFETY: the caller's promise.
        unsafe { pair::<TERMS>(rows, lanes) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn transpose<const TERMS: usize>(
        rows: &[*const f32; 32],
        width: usize,
        to: *mut u16,
        row: usize,
        term: usize,
    ) {
        // SAFETY: the caller's promise.
        unsafe { transpose_rows::<TERMS>(rows, width, to, row, term) }
    }
}

/// bf16, in one term.
impl Element for u16 {
    const NARROW: bool = true;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16,avx2,fma")]
    unsafe fn store<const WHOLE: bool>(v: Avx512, p: *mut u16, count: usize) {
        let found = rounded(v.register());
        // SAFETY: the caller's promise; `count` is below the vector's length.
        unsafe {
            if WHOLE {
                _mm256_storeu_si256(p.cast(), found);
            } else {
                let mut all = [0_u16; SIDE];
                _mm256_storeu_si256(all.as_mut_ptr().cast(), found);
                std::ptr::copy_nonoverlapping(all.as_ptr(), p, count);
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16,avx2,fma")]
    unsafe fn store_pair(v: [Avx512; 2], p: *mut u16) {
        let found = rounded_pair(v.map(Avx512::register));
        // SAFETY: the caller's promise.
        unsafe { _mm512_storeu_si512(p.cast(), found) };
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn convert<const TERMS: usize>(from: *const u16, len: usize, to: *mut u16, _plane: usize) {
        const { assert!(TERMS == 1, "a map in bf16 has one term") };
        // SAFETY: the caller's promise.
        unsafe { std::ptr::copy_nonoverlapping(from, to, len) };
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn pair<const TERMS: usize>(rows: [*const u16; 2], lanes: __mmask16) -> [__m512i; MAX_TERMS] {
        const { assert!(TERMS == 1, "a map in bf16 has one term") };
        let zero = _mm512_setzero_si512();
        // SAFETY: the caller's promise.
        [unsafe { pair_bf16(rows, lanes) }, zero, zero]
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn transpose<const TERMS: usize>(
        rows: &[*const u16; 32],
        width: usize,
        to: *mut u16,
        row: usize,
        _plane: usize,
    ) {
        const { assert!(TERMS == 1, "a map in bf16 has one term") };
        // SAFETY: the caller's promise.
        unsafe { transpose_bf16(rows, width, to, row) }
    }
}

/// Makes tiles of `B` from 32 rows of 16 elements: pairs of rows are interleaved. Split are `term` elements apart; of each
/// row the first `width` elements are read, and null rows are zeros.
///
/// # Safety
/// [`available`](crate::simd::amx::available); the rows are readable, the tiles (512 elements each) writable.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub unsafe fn pair_rows<const TERMS: usize, E: Element>(
    rows: &[*const E; 32],
    width: usize,
    to: *mut u16,
    term: usize,
) {
    let lanes = mask(width);
    for pair in 0..16 {
        // SAFETY: the caller's promise.
        unsafe {
            let found = E::pair::<TERMS>([rows[2 * pair], rows[2 * pair + 1]], lanes);
            for i in 0..TERMS {
                _mm512_storeu_si512(to.add(i * term + 32 * pair).cast(), found[i]);
            }
        }
    }
}
