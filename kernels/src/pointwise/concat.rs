//! Channels of several maps side by side, and some of them taken out: copies of rows, so without vectors of their own.

use std::ops::Range;

use crate::ctx::Ctx;
use crate::maps::{expect_len, spanned};
use crate::memory::{Dst, Src};
use crate::threads::chunk;

/// Most parts that [`concat()`] copies in one pass over the result.
pub const PARTS: usize = 16;

/// `x0 [rows, c0], x1 [rows, c1], ... -> y [rows, width]`: the parts side by side, from channel `start` on. Channels of `y`
/// beside them stay as they are, as does what lies in the gaps between its rows.
///
/// # Panics
/// When the lengths are no multiples of `rows`, or the parts exceed the row.
pub fn concat(
    ctx: &Ctx<'_>,
    [rows, width, gap]: [usize; 3],
    start: usize,
    parts: &[Src<'_, f32>],
    y: Dst<'_, f32>,
) {
    if rows == 0 {
        return;
    }
    expect_len(y.len(), spanned(rows, width, gap), "y");
    let all = parts.iter().map(|part| part.len()).sum::<usize>();
    parts.iter().for_each(|part| expect_len(part.len(), part.len() / rows * rows, "a part"));
    assert!(start + all / rows <= width, "the parts are wider than the result");
    ctx.parallel(all, &|thread| {
        for row in chunk(rows, 1, thread, ctx.threads.count()) {
            let first = row * (width + gap);
            // SAFETY: the row is this thread's.
            let mut rest = unsafe { y.slice(first + start..first + width) };
            for part in parts {
                let channels = part.len() / rows;
                let (to, behind) = rest.split_at_mut(channels);
                // SAFETY: nothing writes the part: it lies apart from `y`.
                to.copy_from_slice(unsafe { &part.slice()[row * channels..(row + 1) * channels] });
                rest = behind;
            }
        }
    });
}

/// `x [rows, channels] -> y [rows, taken.len()]`
///
/// # Panics
/// When the channels taken are not among those of `x`, or the lengths are not these.
pub fn slice(
    ctx: &Ctx<'_>,
    [rows, channels]: [usize; 2],
    taken: Range<usize>,
    x: Src<'_, f32>,
    y: Dst<'_, f32>,
) {
    let width = taken.len();
    expect_len(x.len(), rows * channels, "x");
    expect_len(y.len(), rows * width, "y");
    ctx.parallel(y.len(), &|thread| {
        for row in chunk(rows, 1, thread, ctx.threads.count()) {
            // SAFETY: the row is this thread's, and nothing writes `x`: it lies apart from `y`.
            let (x, y) = unsafe { (x.slice(), y.slice(row * width..(row + 1) * width)) };
            y.copy_from_slice(&x[row * channels..][taken.clone()]);
        }
    });
}
