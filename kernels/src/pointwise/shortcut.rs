//! Option A's shortcut (He et al. 2015): strided pixels, zero channels on both sides. Copies, so without vectors of
//! their own: the standard library's are used.

use resnetc_compiler::plan::PadGeometry;

use crate::ctx::Ctx;
use crate::maps::expect_len;
use crate::memory::{Dst, Src};
use crate::simd::Element;
use crate::threads::chunk;

/// `x [n, h, w, cin] -> y [n, out, out, cout]`
pub fn pad<E: Element>(ctx: &Ctx<'_>, g: &PadGeometry, x: Src<'_, E>, y: Dst<'_, E>) {
    expect_lens(g, x.len(), y.len());
    let [oh, ow] = g.out;
    let line = ow * g.cout;
    ctx.parallel(y.len(), &|thread| {
        for row in chunk(g.n * oh, 1, thread, ctx.threads.count()) {
            let (image, oy) = (row / oh, row % oh);
            // SAFETY: the row is this thread's, and nothing writes `x`: it lies apart from `y`.
            let (x, y) = unsafe { (x.slice(), y.slice(row * line..(row + 1) * line)) };
            for (ox, pixel) in y.chunks_exact_mut(g.cout).enumerate() {
                let from = ((image * g.h + oy * g.stride[0]) * g.w + ox * g.stride[1]) * g.cin;
                pixel[..g.before].fill(E::zeroed());
                pixel[g.before..g.before + g.cin].copy_from_slice(&x[from..from + g.cin]);
                pixel[g.before + g.cin..].fill(E::zeroed());
            }
        }
    });
}

/// `dy [n, out, out, cout] -> dx [n, h, w, cin]`
pub fn pad_backward<E: Element>(ctx: &Ctx<'_>, g: &PadGeometry, dy: Src<'_, E>, dx: Dst<'_, E>) {
    expect_lens(g, dx.len(), dy.len());
    let line = g.w * g.cin;
    ctx.parallel(dx.len(), &|thread| {
        for row in chunk(g.n * g.h, 1, thread, ctx.threads.count()) {
            let (image, iy) = (row / g.h, row % g.h);
            // SAFETY: the row is this thread's, and nothing writes `dy`: it lies apart from `dx`.
            let (dy, dx) = unsafe { (dy.slice(), dx.slice(row * line..(row + 1) * line)) };
            for (ix, pixel) in dx.chunks_exact_mut(g.cin).enumerate() {
                if !iy.is_multiple_of(g.stride[0]) || !ix.is_multiple_of(g.stride[1]) {
                    pixel.fill(E::zeroed());
                    continue;
                }
                let (oy, ox) = (iy / g.stride[0], ix / g.stride[1]);
                let from = ((image * g.out[0] + oy) * g.out[1] + ox) * g.cout + g.before;
                pixel.copy_from_slice(&dy[from..from + g.cin]);
            }
        }
    });
}

fn expect_lens(g: &PadGeometry, input: usize, output: usize) {
    expect_len(input, g.n * g.h * g.w * g.cin, "the input's map");
    expect_len(output, g.n * g.out[0] * g.out[1] * g.cout, "the output's map");
}
