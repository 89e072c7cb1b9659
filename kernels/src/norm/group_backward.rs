//! The gradient of a group normalisation, in two passes over memory: the sums, then the maps.

use resnetc_compiler::ir::op::Activation;
use resnetc_compiler::plan::GroupGeometry;

use super::apply::{BnMask, Gradients, MaskBy};
use super::group::{
    GroupNorm, GroupSums, PieceSums, Pieces, behind, expect_sizes, groups_of, per_channel, per_channel_len,
    spread,
};
use super::stats::{Backward, SumWork};
use crate::ctx::Ctx;
use crate::maps::{MapOp, Operands, Partials, Place, Rows, RowsMut, expect_len, map_row_range};
use crate::memory::{Dst, Src};
use crate::pointwise::activation::backward;
use crate::simd::{Access, Element, Simd, Vector};

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
        let (mean, (mut own, [])) =
            unsafe { (per_channel(means, channels, thread, [0, 1]), totals.of(thread)) };
        own.iter_mut().for_each(|total| total.fill(0.0));
        for piece in pieces.of(thread) {
            let (image, rows) = pieces.place(piece);
            // SAFETY: statistics are not written by this kernel.
            spread(unsafe { groups_of(g, norm.mean, image) }.iter().copied(), pieces.width(), mean);
            let mask = mask.map(|(act, y)| BnMask { act, by: MaskBy::Result(y) });
            let op = Backward { dy, x, mean: (&*mean).into(), rstd: norm.rstd, mask };
            ctx.isa.dispatch(SumWork { op: &op, rows, partials, thread });
            // SAFETY: the work is done; piece and part are this thread's; the operands are not written by this kernel.
            let ((sums, _), of_groups, rstd, scale) = unsafe {
                (partials.of(thread), sums.of(piece), groups_of(g, norm.rstd, image), norm.scale.slice())
            };
            add_piece([rstd, scale], sums, &mut own, of_groups);
        }
    });
    // SAFETY: the threads are done.
    unsafe { finish(pieces, totals, sums, out) }
}

/// Adds a piece's sums of `dy' * (x - mean)` and `dy'` to its thread's totals, and merges them by group, times the scale.
fn add_piece(
    [rstd, scale]: [&[f32]; 2],
    [products, plain]: [&mut [f64]; 2],
    [dscale, dshift]: &mut [&mut [f64]; 2],
    of_groups: &mut [GroupSums],
) {
    let width = scale.len() / rstd.len();
    for (i, &rstd) in rstd.iter().enumerate() {
        of_groups[i] = [0.0; 2];
        for c in i * width..(i + 1) * width {
            let scale = f64::from(scale[c]);
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
/// Nothing else touches the sums and the results.
unsafe fn finish(pieces: Pieces, totals: Partials<'_, 2, 0>, sums: PieceSums<'_>, out: GroupSumsOut<'_>) {
    let g = pieces.geometry;
    // SAFETY: the caller's promise.
    let [dscale, dshift, slope, offset] =
        [out.dscale, out.dshift, out.slope, out.offset].map(|v| unsafe { v.slice(0..v.len()) });
    for c in 0..g.channels {
        let mut sum = [0.0; 2];
        for thread in 0..pieces.threads {
            // SAFETY: the caller's promise.
            let total = unsafe { totals.total(thread, c) };
            sum.iter_mut().zip(total).for_each(|(sum, total)| *sum += total);
        }
        (dscale[c], dshift[c]) = (sum[0] as f32, sum[1] as f32);
    }
    let count = (g.pixels * pieces.width()) as f64;
    for at in 0..g.images * g.groups {
        let mut sum = [0.0; 2];
        for piece in pieces.of_image(at / g.groups) {
            // SAFETY: the caller's promise.
            let part = unsafe { sums.of(piece)[at % g.groups] };
            sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        (slope[at], offset[at]) = ((sum[0] / count) as f32, (sum[1] / count) as f32);
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
            // SAFETY: statistics and means are not written by this kernel.
            let [mean, rstd, slope, offset] =
                [norm.mean, norm.rstd, slope, offset].map(|view| unsafe { groups_of(g, view, image) });
            let rstds = || rstd.iter().copied();
            spread(mean.iter().copied(), pieces.width(), own[0]);
            spread(rstds(), pieces.width(), own[1]);
            spread(rstds().zip(slope).map(|(r, s)| r * r * s), pieces.width(), own[2]);
            spread(rstds().zip(offset).map(|(r, o)| r * o), pieces.width(), own[3]);
            let [mean, rstd, slope, offset] = own.each_ref().map(|v| Src::from(&**v));
            let op = BackwardApply { dy, x, mean, rstd, scale: norm.scale, slope, offset, mask, out };
            // SAFETY: the rows are this thread's.
            unsafe { map_row_range(ctx, rows, g.channels, &op) };
        }
    });
}

/// The second pass of one image; all but the maps is `[channels]`.
#[derive(Clone, Copy)]
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

impl<E: Element> MapOp<5, 3, 2> for BackwardApply<'_, E> {
    type Element = E;
    /// `mean, rstd * scale, slope, offset`
    type Channel<V: Vector> = [V; 4];

    #[inline(always)]
    fn operands(&self) -> Operands<'_, E, 5, 3, 2> {
        Operands {
            channels: [self.mean, self.rstd, self.scale, self.slope, self.offset].map(Some),
            inputs: [Some(self.x), Some(self.dy.into()), self.mask.map(|(_, y)| y.into())],
            outputs: [Some(self.out.dx.into()), self.out.dresidual.map(RowsMut::from)],
        }
    }

    #[inline(always)]
    fn channel<V: Vector>(&self, _: Simd<V>, [mean, rstd, scale, slope, offset]: [V; 5]) -> [V; 4] {
        [mean, rstd.mul(scale), slope, offset]
    }

    #[inline(always)]
    fn apply<V: Vector>(
        &self,
        _: Place<V, impl Access>,
        [mean, factor, slope, offset]: [V; 4],
        [x, dy, y]: [V; 3],
    ) -> [V; 2] {
        let dy = match self.mask {
            Some((act, _)) => backward(act, dy, y),
            None => dy,
        };
        let centred = x.sub(mean);
        [dy.mul(factor).sub(centred.mul_add(slope, offset)), dy]
    }
}
