//! What becomes of sums: bias, residual and activation are added, and the result is stored.

use std::arch::x86_64::{_MM_HINT_ET0, _MM_HINT_T0, _mm_prefetch};

use bytemuck::Pod;
use resnetc_compiler::ir::op::Activation;

use super::element::Element;
use super::tiles::SIDE;
use super::weights::GROUP;
use crate::conv::epilogue::Epilogue;
use crate::memory::{Dst, Src};
use crate::pointwise::activation;
use crate::simd::{Avx512, Simd, Vector};

/// Bytes of a cache line.
const LINE: usize = 64;

/// Results of a convolution on the way to memory.
pub(super) struct TileEpilogue<'a, O> {
    /// Bias, activation, and the gap between pixels.
    pub epilogue: &'a Epilogue<'a>,
    /// In the type of the result.
    pub residual: Option<Src<'a, O>>,
    pub output: Dst<'a, O>,
    /// Channels written.
    pub writes: usize,
}

/// Sums of some output pixels, in rows of channels.
#[derive(Clone, Copy)]
pub(super) struct Found<'a> {
    /// The first sum.
    pub sums: *const f32,
    /// For each row its pixel, relative to `first_pixel`; negative where it is none.
    pub pixels: &'a [i32],
    pub first_pixel: usize,
    /// First channel.
    pub channel: usize,
    /// Sums of a row: one tile's or two.
    pub width: usize,
}

impl<O: Element + Pod> TileEpilogue<'_, O> {
    /// Asks for the lines of the output, and of the residual, that [`TileEpilogue::store`] will need, while AMX multiplies.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn fetch(&self, found: &Found<'_>) {
        let output = self.output.ptr();
        let residual = self.residual.map(Src::ptr).filter(|&residual| residual != output.cast_const());
        for &pixel in found.pixels {
            let Ok(pixel) = usize::try_from(pixel) else { continue };
            let pixel = found.first_pixel + pixel;
            let at = pixel * self.writes + found.channel;
            for at in (at..at + found.width).step_by(LINE / size_of::<O>()) {
                _mm_prefetch::<_MM_HINT_ET0>(output.wrapping_add(at + pixel * self.epilogue.gap).cast());
                if let Some(residual) = residual {
                    _mm_prefetch::<_MM_HINT_T0>(residual.wrapping_add(at).cast());
                }
            }
        }
    }

    /// Finishes and stores.
    ///
    /// # Safety
    /// AMX is there; pixels and channels are the output's, the sums readable.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16,avx2,fma")]
    pub unsafe fn store(&self, found: &Found<'_>) {
        let whole = found.width == GROUP && self.writes - found.channel >= GROUP;
        // SAFETY: the caller's promise.
        unsafe {
            match (self.epilogue.act, self.residual) {
                (None, None) if whole => self.pairs::<false, false>(found),
                (None, Some(_)) if whole => self.pairs::<false, true>(found),
                (Some(Activation::Relu), None) if whole => self.pairs::<true, false>(found),
                (Some(Activation::Relu), Some(_)) if whole => self.pairs::<true, true>(found),
                _ => self.vectors(found),
            }
        }
    }

    /// Rows of two whole vectors, without a branch: where products are short this is most of a convolution's time.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16,avx2,fma")]
    unsafe fn pairs<const RELU: bool, const RESIDUAL: bool>(&self, found: &Found<'_>) {
        // SAFETY: the caller's promise.
        unsafe {
            let zero = Simd::<Avx512>::new().zero();
            let bias = self.epilogue.bias.map_or([zero; 2], |bias| {
                let from = bias.ptr().add(found.channel);
                [Avx512::load(Simd::new(), from), Avx512::load(Simd::new(), from.add(SIDE))]
            });
            for (row, &pixel) in found.pixels.iter().enumerate() {
                let Ok(pixel) = usize::try_from(pixel) else { continue };
                let pixel = found.first_pixel + pixel;
                let at = pixel * self.writes + found.channel;
                let from = found.sums.add(row * GROUP);
                let mut sums = [
                    Avx512::load(Simd::new(), from).add(bias[0]),
                    Avx512::load(Simd::new(), from.add(SIDE)).add(bias[1]),
                ];
                if RESIDUAL {
                    let residual = O::load_pair(self.residual.map_or(std::ptr::null(), Src::ptr).add(at));
                    sums = [sums[0].add(residual[0]), sums[1].add(residual[1])];
                }
                if RELU {
                    sums = sums.map(|sum| zero.max(sum));
                }
                O::store_pair(sums, self.output.ptr().add(at + pixel * self.epilogue.gap));
            }
        }
    }

    /// Rows of vectors whose last may be partial, with any activation.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16,avx2,fma")]
    unsafe fn vectors(&self, found: &Found<'_>) {
        for (row, &pixel) in found.pixels.iter().enumerate() {
            let Ok(pixel) = usize::try_from(pixel) else { continue };
            for v in (0..found.width).step_by(SIDE) {
                let channel = found.channel + v;
                let pixel = found.first_pixel + pixel;
                let at = pixel * self.writes + channel;
                let gaps = pixel * self.epilogue.gap;
                // SAFETY: the caller's promise.
                unsafe {
                    let sum = Avx512::load(Simd::new(), found.sums.add(row * found.width + v));
                    match self.writes - channel {
                        left if left >= SIDE => self.vector::<true>(sum, at, gaps, channel, SIDE),
                        left => self.vector::<false>(sum, at, gaps, channel, left),
                    }
                }
            }
        }
    }

    /// The vector at element `at` of a result without gaps, which `gaps` elements of them come before.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16,avx2,fma")]
    unsafe fn vector<const WHOLE: bool>(
        &self,
        sum: Avx512,
        at: usize,
        gaps: usize,
        channel: usize,
        count: usize,
    ) {
        let Epilogue { bias, act, .. } = *self.epilogue;
        // SAFETY: the caller's promise.
        unsafe {
            let mut sum = sum;
            if let Some(bias) = bias {
                sum = sum.add(<f32 as Element>::load::<WHOLE>(bias.ptr().add(channel), count));
            }
            if let Some(residual) = self.residual {
                sum = sum.add(<O as Element>::load::<WHOLE>(residual.ptr().add(at), count));
            }
            let found = activation::forward(act, sum);
            <O as Element>::store::<WHOLE>(found, self.output.ptr().add(at + gaps), count);
        }
    }
}
