//! Maps from `f32` to bf16 and back, by all threads.

use crate::cpu::ctx::Ctx;
use crate::cpu::maps::MapSrc;
use crate::cpu::memory::{Dst, Src};
use crate::cpu::simd::{Access, First, Full, Vector, Work, nearest_bf16};
use crate::cpu::threads::chunk;

/// Copies a map, rounded to bf16.
pub(super) fn rounded_copy(ctx: &Ctx<'_>, map: MapSrc<'_>, to: Dst<'_, f32>) {
    match map {
        MapSrc::F32(map) => round(ctx, map, to),
        MapSrc::Bf16(map) => convert(ctx, Widen { from: map, to }),
    }
}

/// A conversion of a map, one vector at a time.
pub(super) trait Conversion: Sync {
    /// Elements.
    fn len(&self) -> usize;
    /// Converts the elements from `at` on.
    ///
    /// # Safety
    /// As [`Access`]; the elements are inside of both maps, and this thread's.
    unsafe fn vector<V: Vector>(&self, access: impl Access, at: usize);
}

pub(super) struct Widen<'a> {
    pub from: Src<'a, u16>,
    pub to: Dst<'a, f32>,
}

impl Conversion for Widen<'_> {
    fn len(&self) -> usize {
        assert_eq!(self.from.len(), self.to.len(), "a map and its wide copy");
        self.to.len()
    }

    #[inline(always)]
    unsafe fn vector<V: Vector>(&self, access: impl Access, at: usize) {
        // SAFETY: the caller's promise.
        unsafe { access.store(access.load_bf16::<V>(self.from.ptr().add(at)), self.to.ptr().add(at)) }
    }
}

/// Rounds to bf16.
pub(super) struct Narrow<'a> {
    /// In `f32`.
    pub from: Src<'a, f32>,
    /// As long.
    pub to: Dst<'a, u16>,
}

impl Conversion for Narrow<'_> {
    fn len(&self) -> usize {
        assert_eq!(self.from.len(), self.to.len(), "a map and its narrow copy");
        self.to.len()
    }

    #[inline(always)]
    unsafe fn vector<V: Vector>(&self, access: impl Access, at: usize) {
        // SAFETY: the caller's promise.
        unsafe { access.store_bf16(access.load::<V>(self.from.ptr().add(at)), self.to.ptr().add(at)) }
    }
}

/// Converts a whole map, each thread its share.
pub(super) fn convert(ctx: &Ctx<'_>, conversion: impl Conversion) {
    let (len, threads) = (conversion.len(), ctx.threads.count());
    ctx.threads.run(&|thread| {
        let range = chunk(len, 16, thread, threads);
        ctx.isa.dispatch(Convert { conversion: &conversion, range });
    });
}

/// One thread's share of a conversion.
struct Convert<'a, C> {
    conversion: &'a C,
    range: std::ops::Range<usize>,
}

impl<C: Conversion> Work for Convert<'_, C> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let std::ops::Range { start, end } = self.range;
        let whole = end - (end - start) % V::LANES;
        // SAFETY: threads convert disjoint ranges.
        unsafe {
            for at in (start..whole).step_by(V::LANES) {
                self.conversion.vector::<V>(Full, at);
            }
            if whole < end {
                self.conversion.vector::<V>(First(end - whole), whole);
            }
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
    fn run<V: Vector>(self) {
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
