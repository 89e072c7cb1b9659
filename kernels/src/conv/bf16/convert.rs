//! Maps from `f32` to bf16 and back, by all threads.

use crate::ctx::Ctx;
use crate::maps::MapSrc;
use crate::memory::{Dst, Src};
use crate::simd::{Element, Simd, Vector, Work, nearest_bf16};
use crate::threads::chunk;

/// Copies a map, rounded to bf16.
pub(in crate::conv) fn rounded_copy(ctx: &Ctx<'_>, map: MapSrc<'_>, to: Dst<'_, f32>) {
    match map {
        MapSrc::F32(map) => round(ctx, map, to),
        MapSrc::Bf16(map) => convert(ctx, map, to),
    }
}

/// Converts a whole map, each thread its share; to nearest, ties to even, where the result's elements are narrower.
pub(in crate::conv) fn convert<F: Element, T: Element>(ctx: &Ctx<'_>, from: Src<'_, F>, to: Dst<'_, T>) {
    assert_eq!(from.len(), to.len(), "a map and its copy");
    let threads = ctx.threads.count();
    ctx.threads.run(&|thread| {
        let range = chunk(from.len(), 16, thread, threads);
        ctx.isa.dispatch(Convert { from: from.part(range.clone()), to: to.part(range) });
    });
}

/// One thread's share of a conversion: views of the same length.
struct Convert<'a, F, T> {
    from: Src<'a, F>,
    to: Dst<'a, T>,
}

impl<F: Element, T: Element> Work for Convert<'_, F, T> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: Simd<V>) {
        let (from, to, len) = (self.from.ptr(), self.to.ptr(), self.from.len());
        let whole = len - len % V::LANES;
        // SAFETY: inside of both; threads have disjoint ranges.
        unsafe {
            for at in (0..whole).step_by(V::LANES) {
                T::store(F::load(simd, from.add(at)), to.add(at));
            }
            T::store_first(F::load_first(simd, from.add(whole), len - whole), to.add(whole), len - whole);
        }
    }
}

/// Rounds to bf16, to nearest, ties to even; `to` may be `from`'s memory.
pub(super) fn round(ctx: &Ctx<'_>, from: Src<'_, f32>, to: Dst<'_, f32>) {
    assert_eq!(from.len(), to.len(), "a map and its rounded copy");
    let threads = ctx.threads.count();
    ctx.threads.run(&|thread| {
        let range = chunk(from.len(), 16, thread, threads);
        ctx.isa.dispatch(Round { from, to, range });
    });
}

/// One thread's share of rounding.
struct Round<'a> {
    from: Src<'a, f32>,
    to: Dst<'a, f32>,
    range: std::ops::Range<usize>,
}

impl Work for Round<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, _: Simd<V>) {
        for at in self.range {
            // SAFETY: both are as long as each other; threads write disjoint ranges, each element after it was read.
            unsafe { self.to.ptr().add(at).write(nearest_bf16(*self.from.ptr().add(at))) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_the_nearest_of_bf16() {
        for i in 0..2_000_000_u32 {
            let x = f32::from_bits(i.wrapping_mul(2_147_483_629));
            let (found, expected) = (nearest_bf16(x), half::bf16::from_f32(x).to_f32());
            assert!(found == expected || x.is_nan() && found.is_nan(), "{x:e}: {found:e}, {expected:e}");
        }
    }
}
