//! The gradient of a group normalisation, in two passes over memory: the sums, then the maps.

use resnetc_compiler::ir::op::Activation;
use resnetc_compiler::plan::GroupGeometry;

use super::apply::{BnMask, Gradients, MaskBy};
use super::group::{
    GroupNorm, GroupSums, PieceSums, Pieces, behind, expect_sizes, groups_of, per_channel, per_channel_len,
    spread,
};
use super::stats::{Backward, SumWork};
use crate::cpu::ctx::Ctx;
use crate::cpu::maps::{MapOp, Partials, Rows, expect_len, map_row_range};
use crate::cpu::memory::{Dst, Src};
use crate::cpu::pointwise::activation::backward;
use crate::cpu::simd::{Access, Element, Vector, load, store};

/// Results of [`group_backward_reduce`].
#[derive(Clone, Copy)]
pub struct GroupSumsOut<'a> {
    /// Gradient of gamma, `[channels]`.
    pub dscale: Dst<'a, f32>,
    /// Gradient of beta, `[channels]`.
    pub dshift: Dst<'a, f32>,
    /// Means of `scale * dy' * xhat`, `[images, groups]`.
    pub slope: Dst<'a, f32>,
    /// Means of `scale * dy'`, `[images, groups]`.
    pub offset: Dst<'a, f32>,
}

/// Floats of scratch memory for [`group_backward_reduce`].
pub fn group_backward_reduce_scratch_len(g: &GroupGeometry, threads: usize) -> usize {
    Partials::<2, 2>::scratch_len(g.channels, threads)
        + Partials::<2, 0>::scratch_len(g.channels, threads)
        + per_channel_len(g.channels, threads, 1)
        + Pieces::new(*g, threads).sums_len()
}

/// `dscale = sum(dy' * xhat)`, `dshift = sum(dy')` over images and pixels, where `dy'` is `dy` before the activation, whose
/// result is `y`, and `xhat = (x - mean) * rstd`; and the means that [`group_backward_apply`] needs.
pub fn group_backward_reduce<E: Element>(
    ctx: &Ctx<'_>,
    g: &GroupGeometry,
    dy: Src<'_, E>,
    x: Rows<'_, E>,
    norm: GroupNorm<'_>,
    mask: Option<(Activation, Src<'_, E>)>,
    out: GroupSumsOut<'_>,
) {
    let groups = [norm.mean.len(), norm.rstd.len(), out.slope.len(), out.offset.len()];
    let maps = [dy.len(), mask.map_or(dy.len(), |(_, y)| y.len())];
    expect_sizes(g, x, &maps, &[norm.scale.len(), out.dscale.len(), out.dshift.len()], &groups);
    let (channels, pieces) = (g.channels, Pieces::new(*g, ctx.threads.count()));
    let partials = Partials::<2, 2>::new(ctx, channels);
    let rest = behind(ctx, Partials::<2, 2>::scratch_len(channels, pieces.threads));
    let totals = Partials::<2, 0>::new(&rest, channels);
    let rest = behind(&rest, Partials::<2, 0>::scratch_len(channels, pieces.threads));
    let means = rest.scratch;
    let rest = behind(&rest, per_channel_len(channels, pieces.threads, 1));
    let sums = PieceSums::new(rest.scratch, pieces);
    ctx.parallel(x.view.len(), &|thread| {
        // SAFETY: this thread's vectors.
        let (mean, [dscale, dshift]) =
            unsafe { (per_channel(means, channels, thread, [0, 1]), totals.totals(thread)) };
        dscale.fill(0.0);
        dshift.fill(0.0);
        for piece in pieces.of(thread) {
            let (image, rows) = pieces.place(piece);
            // SAFETY: the image exists; statistics are not written by this kernel.
            unsafe { spread(groups_of(g, norm.mean, image), pieces.width(), mean) };
            let mask = mask.map(|(act, y)| BnMask { act, by: MaskBy::Result(y) });
            let op = Backward { dy, x, mean: (&*mean).into(), rstd: norm.rstd, mask };
            ctx.isa.dispatch(SumWork { op: &op, rows, channels, partials, thread });
            // SAFETY: the work is done; piece and part are this thread's; the operands are not written by this kernel.
            unsafe {
                let (of_channels, of_groups) = (partials.totals(thread), sums.of(piece));
                add_piece(g, norm, image, of_channels, [dscale, dshift], of_groups);
            }
        }
    });
    // SAFETY: the threads are done, and the lengths have been checked.
    unsafe { finish(pieces, totals, sums, out) }
}

/// Adds a piece's sums of `dy' * (x - mean)` and `dy'` to its thread's totals, and merges them by group, times the scale.
///
/// # Safety
/// The image exists, and nothing writes the operands meanwhile.
unsafe fn add_piece(
    g: &GroupGeometry,
    norm: GroupNorm<'_>,
    image: usize,
    [products, plain]: [&mut [f64]; 2],
    [dscale, dshift]: [&mut [f64]; 2],
    of_groups: &mut [GroupSums],
) {
    let width = g.channels / g.groups;
    // SAFETY: the caller's promise.
    for (i, rstd) in unsafe { groups_of(g, norm.rstd, image) }.enumerate() {
        of_groups[i] = [0.0; 2];
        for c in i * width..(i + 1) * width {
            // SAFETY: inside: the lengths have been checked.
            let scale = f64::from(unsafe { *norm.scale.ptr().add(c) });
            let product = products[c] * f64::from(rstd);
            dscale[c] += product;
            dshift[c] += plain[c];
            of_groups[i][0] += scale * product;
            of_groups[i][1] += scale * plain[c];
        }
    }
}

/// Merges what threads and pieces have summed, in their order.
///
/// # Safety
/// Nothing else touches the sums; the results are as long as the geometry says.
unsafe fn finish(pieces: Pieces, totals: Partials<'_, 2, 0>, sums: PieceSums<'_>, out: GroupSumsOut<'_>) {
    let g = pieces.geometry;
    for c in 0..g.channels {
        let mut sum = [0.0; 2];
        for thread in 0..pieces.threads {
            // SAFETY: the caller's promise.
            let total = unsafe { totals.total(thread, c) };
            sum.iter_mut().zip(total).for_each(|(sum, total)| *sum += total);
        }
        // SAFETY: the caller's promise.
        unsafe {
            *out.dscale.ptr().add(c) = sum[0] as f32;
            *out.dshift.ptr().add(c) = sum[1] as f32;
        }
    }
    let count = (g.pixels * pieces.width()) as f64;
    for at in 0..g.images * g.groups {
        let mut sum = [0.0; 2];
        for piece in pieces.of_image(at / g.groups) {
            // SAFETY: the caller's promise.
            let part = unsafe { sums.of(piece)[at % g.groups] };
            sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        // SAFETY: the caller's promise.
        unsafe {
            *out.slope.ptr().add(at) = (sum[0] / count) as f32;
            *out.offset.ptr().add(at) = (sum[1] / count) as f32;
        }
    }
}

/// Floats of scratch memory for [`group_backward_apply`].
pub fn group_backward_apply_scratch_len(g: &GroupGeometry, threads: usize) -> usize {
    per_channel_len(g.channels, threads, 4)
}

/// `dx = rstd * (scale * dy' - offset - xhat * slope)`, `dresidual = dy'`: see [`group_backward_reduce`]. `mask` is the
/// activation and its result. The results may be `dy`, `x` or `y` in place.
#[allow(clippy::too_many_arguments)] // the operands of one step, as the plan lists them
pub fn group_backward_apply<E: Element>(
    ctx: &Ctx<'_>,
    g: &GroupGeometry,
    dy: Src<'_, E>,
    x: Rows<'_, E>,
    norm: GroupNorm<'_>,
    [slope, offset]: [Src<'_, f32>; 2],
    mask: Option<(Activation, Src<'_, E>)>,
    out: Gradients<'_, E>,
) {
    let maps = [dy.len(), mask.map_or(dy.len(), |(_, y)| y.len()), out.dx.len()];
    expect_sizes(g, x, &maps, &[norm.scale.len()], &[norm.mean, norm.rstd, slope, offset].map(Src::len));
    expect_len(out.dresidual.map_or(dy.len(), Dst::len), dy.len(), "dresidual");
    let pieces = Pieces::new(*g, ctx.threads.count());
    ctx.parallel(x.view.len(), &|thread| {
        // SAFETY: this thread's vectors.
        let own = [0, 1, 2, 3].map(|i| unsafe { per_channel(ctx.scratch, g.channels, thread, [i, 4]) });
        for piece in pieces.of(thread) {
            let (image, rows) = pieces.place(piece);
            // SAFETY: the image exists; what is read here is not written by this kernel, the maps aside.
            unsafe {
                let of = |view| groups_of(g, view, image);
                let rstd = || of(norm.rstd);
                spread(of(norm.mean), pieces.width(), own[0]);
                spread(rstd(), pieces.width(), own[1]);
                spread(rstd().zip(of(slope)).map(|(r, s)| r * r * s), pieces.width(), own[2]);
                spread(rstd().zip(of(offset)).map(|(r, o)| r * o), pieces.width(), own[3]);
            }
            let [mean, rstd, slope, offset] = own.each_ref().map(|v| Src::from(&**v));
            let op = BackwardApply { dy, x, mean, rstd, scale: norm.scale, slope, offset, mask, out };
            // SAFETY: the rows are this thread's, and inside the views, whose lengths have been checked.
            unsafe { map_row_range(ctx, rows, g.channels, &op) };
        }
    });
}

/// The second pass of one image; all but the maps is `[channels]`.
struct BackwardApply<'a, E> {
    dy: Src<'a, E>,
    x: Rows<'a, E>,
    mean: Src<'a, f32>,
    rstd: Src<'a, f32>,
    scale: Src<'a, f32>,
    /// `rstd^2 * slope`
    slope: Src<'a, f32>,
    /// `rstd * offset`
    offset: Src<'a, f32>,
    /// The activation and its result.
    mask: Option<(Activation, Src<'a, E>)>,
    out: Gradients<'a, E>,
}

impl<E: Element> MapOp for BackwardApply<'_, E> {
    /// `mean, rstd * scale, slope, offset`
    type Channel<V: Vector> = [V; 4];

    #[inline(always)]
    unsafe fn channel<V: Vector>(&self, access: impl Access, c: usize) -> [V; 4] {
        // SAFETY: the caller's promise.
        unsafe {
            let factor = load::<V>(access, self.rstd, c).mul(load(access, self.scale, c));
            let of = |view: Src<'_, f32>| load(access, view, c);
            [of(self.mean), factor, of(self.slope), of(self.offset)]
        }
    }

    #[inline(always)]
    unsafe fn apply<V: Vector>(
        &self,
        access: impl Access,
        [mean, factor, slope, offset]: [V; 4],
        row: usize,
        at: usize,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut dy: V = load(access, self.dy, at);
            if let Some((act, y)) = self.mask {
                dy = backward(act, dy, load(access, y, at));
            }
            let centred = self.x.load::<V>(access, row, at).sub(mean);
            let dx = dy.mul(factor).sub(centred.mul_add(slope, offset));
            store(access, self.out.dx, at, dx);
            if let Some(dresidual) = self.out.dresidual {
                store(access, dresidual, at, dy);
            }
        }
    }
}
