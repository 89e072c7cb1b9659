//! From f32 to what AMX multiplies: bf16, as one term or as three.
//!
//! One term is the number rounded to bf16 (to nearest, ties to even): the precision of mixed training. Three terms hold
//! the number itself: `x = hi + mid + lo`, each the leading 8 bits of what the terms before it leave, so that f32's 24 bits
//! are there and the subtractions are exact. Of the nine products of two such numbers the three smallest together are
//! below 2^-21 of the product and are left out; the others make a product as exact as a rounded one of f32 (Henry, Tang
//! and Heinecke, "Leveraging the bfloat16 Artificial Intelligence Datatype For Higher-Precision Computations", 2019).
//! What is not finite becomes NaN.

// Loops over constant ranges stay index loops, as in the register tiles: LLVM unrolls those early.
#![allow(clippy::needless_range_loop)]

use std::arch::x86_64::*;

use crate::conv::problem::Problem;

/// How convolutions multiply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// Factors are rounded to bf16.
    Bf16x1,
    /// Factors are f32, split exactly into three bf16.
    Bf16x3,
}

impl Split {
    /// For factors of the layer's precision.
    pub fn of(problem: &Problem) -> Self {
        if problem.is_bf16() { Split::Bf16x1 } else { Split::Bf16x3 }
    }

    /// What the algorithm is called.
    pub fn algorithm(self) -> &'static str {
        match self {
            Split::Bf16x1 => "amx-bf16",
            Split::Bf16x3 => "amx-f32",
        }
    }

    /// How many there are.
    pub fn count(self) -> usize {
        match self {
            Split::Bf16x1 => 1,
            Split::Bf16x3 => 3,
        }
    }

    /// Products of terms that make a product.
    pub fn products(self) -> usize {
        match self {
            Split::Bf16x1 => 1,
            Split::Bf16x3 => 6,
        }
    }
}

/// Most terms.
pub const MAX_TERMS: usize = 3;

/// The nearest bf16 of 16 floats.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
pub fn rounded(x: __m512) -> __m256i {
    // SAFETY: both types are 32 bytes of plain numbers.
    unsafe { std::mem::transmute(_mm512_cvtneps_pbh(x)) }
}

/// The nearest bf16 of two vectors, one behind the other.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
pub fn rounded_pair([first, second]: [__m512; 2]) -> __m512i {
    // SAFETY: both types are 64 bytes of plain numbers.
    unsafe { std::mem::transmute(_mm512_cvtne2ps_pbh(second, first)) }
}

/// The parts of 16 floats whose upper halves are bf16, as f32.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn parts<const TERMS: usize>(x: __m512) -> [__m512i; MAX_TERMS] {
    if TERMS == 1 {
        let wide = _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(rounded(x)));
        return [wide, _mm512_setzero_si512(), _mm512_setzero_si512()];
    }
    let leading = _mm512_set1_epi32(0xffff_0000_u32 as i32);
    let hi = _mm512_and_si512(_mm512_castps_si512(x), leading);
    let rest = _mm512_sub_ps(x, _mm512_castsi512_ps(hi));
    let mid = _mm512_and_si512(_mm512_castps_si512(rest), leading);
    let lo = _mm512_sub_ps(rest, _mm512_castsi512_ps(mid));
    [hi, mid, _mm512_castps_si512(lo)]
}

/// The bf16 of two vectors, `a`'s before `b`'s.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn narrow<const TERMS: usize>(a: __m512, b: __m512) -> [__m512i; MAX_TERMS] {
    if TERMS == 1 {
        return [rounded_pair([a, b]), _mm512_setzero_si512(), _mm512_setzero_si512()];
    }
    // The odd halves of the dwords of both.
    let odd = _mm512_set_epi16(
        63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33, 31, 29, 27, 25, 23, 21, 19, 17, 15,
        13, 11, 9, 7, 5, 3, 1,
    );
    let (a, b) = (parts::<TERMS>(a), parts::<TERMS>(b));
    [0, 1, 2].map(|i| _mm512_permutex2var_epi16(a[i], odd, b[i]))
}

/// Interleaves the bf16 of two vectors: `a[0] b[0] a[1] b[1] ...`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn interleave<const TERMS: usize>(a: __m512, b: __m512) -> [__m512i; MAX_TERMS] {
    let (a, b) = (parts::<TERMS>(a), parts::<TERMS>(b));
    [0, 1, 2].map(|i| _mm512_mask_blend_epi16(0xaaaa_aaaa, _mm512_srli_epi32::<16>(a[i]), b[i]))
}

/// The first `count` lanes, at most 16.
#[inline]
pub fn mask(count: usize) -> __mmask16 {
    if count >= 16 { !0 } else { (1 << count) - 1 }
}

/// Converts `len` floats to terms that are `term` elements apart.
///
/// # Safety
/// [`available`](crate::simd::amx::available); `from` is readable and each term writable for `len` elements.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub unsafe fn convert<const TERMS: usize>(from: *const f32, len: usize, to: *mut u16, term: usize) {
    let whole = len / 32 * 32;
    // SAFETY: the caller's promise.
    unsafe {
        for at in (0..whole).step_by(32) {
            let found = narrow::<TERMS>(_mm512_loadu_ps(from.add(at)), _mm512_loadu_ps(from.add(at + 16)));
            for i in 0..TERMS {
                _mm512_storeu_si512(to.add(i * term + at).cast(), found[i]);
            }
        }
        if whole < len {
            let rest = len - whole;
            let (first, second) = (mask(rest), mask(rest.saturating_sub(16)));
            let from = from.wrapping_add(whole);
            let a = _mm512_maskz_loadu_ps(first, from);
            let b = _mm512_maskz_loadu_ps(second, from.wrapping_add(16));
            let found = narrow::<TERMS>(a, b);
            let written = (1_u32 << rest) - 1;
            for i in 0..TERMS {
                _mm512_mask_storeu_epi16(to.add(i * term + whole).cast(), written, found[i]);
            }
        }
    }
}

/// The terms of two rows of at most 16 floats, interleaved: `a[0] b[0] a[1] b[1] ...`. Of each row the `lanes` are read;
/// null rows are zeros.
///
/// # Safety
/// [`available`](crate::simd::amx::available); the rows are readable.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub unsafe fn pair<const TERMS: usize>(rows: [*const f32; 2], lanes: __mmask16) -> [__m512i; MAX_TERMS] {
    // SAFETY: the caller's promise; a null row has no lanes to read.
    let [a, b] = rows.map(|row| unsafe { _mm512_maskz_loadu_ps(if row.is_null() { 0 } else { lanes }, row) });
    interleave::<TERMS>(a, b)
}

/// The same of rows of bf16, of one term.
///
/// # Safety
/// Likewise.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub unsafe fn pair_bf16(rows: [*const u16; 2], lanes: __mmask16) -> __m512i {
    let mut wide = [_mm512_setzero_si512(); 2];
    for (wide, row) in wide.iter_mut().zip(rows) {
        let lanes = if row.is_null() { 0 } else { lanes.into() };
        // SAFETY: the caller's promise; a null row has no lanes to read.
        let row = unsafe { _mm512_maskz_loadu_epi16(lanes, row.cast()) };
        *wide = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(row));
    }
    _mm512_or_si512(wide[0], _mm512_slli_epi32::<16>(wide[1]))
}

/// Makes tiles of `B` from 16 columns of 32 floats each, that is from rows of the transposed matrix.
///
/// # Safety
/// [`available`](crate::simd::amx::available); the tiles (512 elements each) are writable; the columns are `stride` floats apart and hold 32.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub unsafe fn pair_columns<const TERMS: usize>(
    columns: *const f32,
    stride: usize,
    to: *mut u16,
    term: usize,
) {
    let mut pairs = [[_mm512_setzero_si512(); 16]; MAX_TERMS];
    for column in 0..16 {
        // SAFETY: the caller's promise.
        let found = unsafe {
            let from = columns.add(column * stride);
            narrow::<TERMS>(_mm512_loadu_ps(from), _mm512_loadu_ps(from.add(16)))
        };
        for i in 0..TERMS {
            pairs[i][column] = found[i];
        }
    }
    for (i, pairs) in pairs.iter().enumerate().take(TERMS) {
        for (row, found) in transpose(*pairs).into_iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { _mm512_storeu_si512(to.add(i * term + 32 * row).cast(), found) };
        }
    }
}

/// Transposes 32 rows of 16 floats to 16 rows of 32 bf16 that are `row` elements apart; terms are `term` elements apart.
/// Of each row the first `width` floats are read; null rows are zeros.
///
/// # Safety
/// [`available`](crate::simd::amx::available); the rows are readable; 16 rows of 32 elements are writable in each term.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub unsafe fn transpose_rows<const TERMS: usize>(
    rows: &[*const f32; 32],
    width: usize,
    to: *mut u16,
    row: usize,
    term: usize,
) {
    let lanes = mask(width);
    let half = |first: usize| {
        let mut loaded = [_mm512_setzero_si512(); 16];
        for (loaded, &row) in loaded.iter_mut().zip(&rows[first..]) {
            // SAFETY: the caller's promise; a null row has no lanes to read.
            let floats = unsafe { _mm512_maskz_loadu_ps(if row.is_null() { 0 } else { lanes }, row) };
            *loaded = _mm512_castps_si512(floats);
        }
        transpose(loaded)
    };
    let (a, b) = (half(0), half(16));
    for channel in 0..16 {
        let found = narrow::<TERMS>(_mm512_castsi512_ps(a[channel]), _mm512_castsi512_ps(b[channel]));
        for i in 0..TERMS {
            // SAFETY: the caller's promise.
            unsafe { _mm512_storeu_si512(to.add(i * term + channel * row).cast(), found[i]) };
        }
    }
}

/// The same of rows of bf16, of one term: pairs of rows are dwords, which are transposed.
///
/// # Safety
/// Likewise.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub unsafe fn transpose_bf16(rows: &[*const u16; 32], width: usize, to: *mut u16, row: usize) {
    let lanes = mask(width);
    let mut pairs = [_mm512_setzero_si512(); 16];
    for (i, pair) in pairs.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *pair = unsafe { pair_bf16([rows[2 * i], rows[2 * i + 1]], lanes) };
    }
    for (channel, found) in transpose(pairs).into_iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { _mm512_storeu_si512(to.add(channel * row).cast(), found) };
    }
}

/// Transposes 16 vectors of 16 dwords: four rounds that swap blocks of 1, 2, 4 and 8.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(rows: [__m512i; 16]) -> [__m512i; 16] {
    let mut r = rows;
    for i in (0..16).step_by(2) {
        let (a, b) = (r[i], r[i + 1]);
        (r[i], r[i + 1]) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    }
    let mut s = r;
    for i in (0..16).step_by(4) {
        for j in 0..2 {
            let (a, b) = (r[i + j], r[i + j + 2]);
            s[i + 2 * j] = _mm512_unpacklo_epi64(a, b);
            s[i + 2 * j + 1] = _mm512_unpackhi_epi64(a, b);
        }
    }
    for i in 0..4 {
        for j in [0, 8] {
            let (a, b) = (s[j + i], s[j + i + 4]);
            r[j + i] = _mm512_shuffle_i32x4::<0x88>(a, b);
            r[j + i + 4] = _mm512_shuffle_i32x4::<0xdd>(a, b);
        }
    }
    for i in 0..8 {
        let (a, b) = (r[i], r[i + 8]);
        s[i] = _mm512_shuffle_i32x4::<0x88>(a, b);
        s[i + 8] = _mm512_shuffle_i32x4::<0xdd>(a, b);
    }
    s
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conv::amx::element::pair_rows;
    use crate::simd::amx::available;

    fn wide(bits: u16) -> f32 {
        f32::from_bits(u32::from(bits) << 16)
    }

    fn numbers(len: usize) -> Vec<f32> {
        let number = |i: usize| ((i * 2_654_435_761) % 1_000_003) as f32 / 1_000_003.0 - 0.5;
        (0..len).map(|i| number(i) * 10f32.powi(i as i32 % 5)).collect()
    }

    #[test]
    fn three_planes_are_the_number_and_one_is_the_nearest() {
        if !available() {
            return;
        }
        for len in [1, 16, 31, 32, 77] {
            let x = numbers(len);
            let (mut one, mut three) = (vec![7; len], vec![7; 3 * len]);
            // SAFETY: AMX is there; the buffers are as long as said.
            unsafe {
                convert::<1>(x.as_ptr(), len, one.as_mut_ptr(), 0);
                convert::<3>(x.as_ptr(), len, three.as_mut_ptr(), len);
            }
            for i in 0..len {
                assert_eq!(wide(three[i]) + (wide(three[len + i]) + wide(three[2 * len + i])), x[i]);
                assert_eq!(one[i], half::bf16::from_f32(x[i]).to_bits(), "{}", x[i]);
            }
        }
    }

    #[test]
    fn tiles_are_put_together_from_rows_and_from_columns() {
        if !available() {
            return;
        }
        let x = numbers(32 * 16);
        let rows: [_; 32] =
            std::array::from_fn(|i| if i == 5 { std::ptr::null() } else { x[16 * i..].as_ptr() });
        let (mut by_rows, mut by_columns, mut turned) = ([7; 1536], [7; 1536], [7; 1536]);
        let transposed: Vec<f32> = (0..512).map(|i| x[i % 32 * 16 + i / 32]).collect();
        // SAFETY: AMX is there; the buffers are three terms of a tile.
        unsafe {
            pair_rows::<3, f32>(&rows, 13, by_rows.as_mut_ptr(), 512);
            pair_columns::<3>(transposed.as_ptr(), 32, by_columns.as_mut_ptr(), 512);
            transpose_rows::<3>(&rows, 13, turned.as_mut_ptr(), 32, 512);
        }
        let sum =
            |tile: &[u16; 1536], at: usize| wide(tile[at]) + (wide(tile[512 + at]) + wide(tile[1024 + at]));
        for row in 0..32 {
            for column in 0..16 {
                let expected = x[16 * row + column];
                let kept = if row == 5 || column >= 13 { 0.0 } else { expected };
                let at = row / 2 * 32 + 2 * column + row % 2;
                assert_eq!(sum(&by_rows, at), kept);
                assert_eq!(sum(&by_columns, at), expected);
                assert_eq!(sum(&turned, column * 32 + row), kept);
            }
        }
    }
}
