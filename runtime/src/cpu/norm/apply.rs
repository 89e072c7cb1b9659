//! Batch normalisation and per-channel maps, applied: one pass over memory each. Statistics are in [`super::stats`].

use resnetc_compiler::ir::op::{Activation, Epilogue};

use crate::cpu::ctx::Ctx;
use crate::cpu::maps::{MapOp, Rows, expect_len, map_rows, spanned};
use crate::cpu::memory::{Dst, Src};
use crate::cpu::pointwise::activation::{backward, forward};
use crate::cpu::simd::{Access, Element, Vector, load, store};

/// Per-channel operands of a normalisation, each `[channels]`.
#[derive(Clone, Copy)]
pub struct Norm<'a> {
    /// Mean of the batch.
    pub mean: Src<'a, f32>,
    /// Reciprocal standard deviation.
    pub rstd: Src<'a, f32>,
    /// gamma
    pub scale: Src<'a, f32>,
}

/// What [`bn_backward_reduce`](super::stats::bn_backward_reduce) has summed, each `[channels]`.
#[derive(Clone, Copy)]
pub struct Sums<'a> {
    /// Gradient of gamma.
    pub dscale: Src<'a, f32>,
    /// Gradient of beta.
    pub dshift: Src<'a, f32>,
}

/// How a gradient undoes the activation behind the normalisation.
#[derive(Clone, Copy)]
pub struct BnMask<'a, E> {
    /// The activation.
    pub act: Activation,
    /// What it is undone by.
    pub by: MaskBy<'a, E>,
}

/// By what an activation is undone.
#[derive(Clone, Copy)]
pub enum MaskBy<'a, E> {
    /// Its result, `[rows, channels]`.
    Result(Src<'a, E>),
    /// What it was applied to, computed anew as [`bn_apply`] does, to the bit, from gamma and beta, each `[channels]`: for
    /// activations whose derivative depends on the sign of that alone.
    Input([Src<'a, f32>; 2]),
}

impl<E: Element> BnMask<'_, E> {
    /// Checks the lengths of its operands.
    pub(super) fn expect(self, rows: usize, channels: usize) {
        match self.by {
            MaskBy::Result(y) => expect_len(y.len(), rows * channels, "the result"),
            MaskBy::Input(affine) => affine.iter().for_each(|v| expect_len(v.len(), channels, "per channel")),
        }
    }

    /// What [`BnMask::unmask`] needs of the channels from `c` on: `rstd * scale, shift`.
    ///
    /// # Safety
    /// Dispatched as [`Vector`] demands; the channels are those of the operands.
    #[inline(always)]
    pub(super) unsafe fn channel<V: Vector>(
        mask: Option<Self>,
        access: impl Access,
        rstd: Src<'_, f32>,
        c: usize,
    ) -> [V; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            match mask.map(|mask| mask.by) {
                Some(MaskBy::Input([scale, shift])) => {
                    [load::<V>(access, rstd, c).mul(load(access, scale, c)), load(access, shift, c)]
                }
                Some(MaskBy::Result(_)) | None => [V::zero(); 2],
            }
        }
    }

    /// The gradient before the activation, of `dy` behind it and `centred`, the input less the mean; `at` is the element.
    ///
    /// # Safety
    /// Dispatched as [`Vector`] demands; the element is one of the result.
    #[inline(always)]
    pub(super) unsafe fn unmask<V: Vector>(
        mask: Option<Self>,
        access: impl Access,
        [factor, shift]: [V; 2],
        centred: V,
        dy: V,
        at: usize,
    ) -> V {
        // SAFETY: the caller's promise.
        unsafe {
            let Some(BnMask { act, by }) = mask else { return dy };
            let v = match by {
                MaskBy::Result(y) => load(access, y, at),
                MaskBy::Input(_) => centred.mul_add(factor, shift),
            };
            backward(act, dy, v)
        }
    }
}

/// Results of [`bn_backward_apply`], each `[rows, channels]`.
#[derive(Clone, Copy)]
pub struct Gradients<'a, E> {
    /// Of the input.
    pub dx: Dst<'a, E>,
    /// Of the residual, where there is one.
    pub dresidual: Option<Dst<'a, E>>,
}

/// `y = act((x - mean) * rstd * scale + shift + residual)`; `y` may be `x` or the residual.
/// The residual is there when the epilogue says so.
#[allow(clippy::too_many_arguments)] // the operands of one step, as the plan lists them
pub fn bn_apply<E: Element>(
    ctx: &Ctx<'_>,
    rows: usize,
    epilogue: Epilogue,
    x: Rows<'_, E>,
    norm: Norm<'_>,
    shift: Src<'_, f32>,
    residual: Option<Src<'_, E>>,
    y: Dst<'_, E>,
) {
    let channels = shift.len();
    for v in [norm.mean, norm.rstd, norm.scale] {
        expect_len(v.len(), channels, "per channel");
    }
    x.expect(rows, channels, "x");
    expect_maps(rows * channels, residual, y);
    let op = BnApply { act: epilogue.act, x, norm, shift, residual, y };
    // SAFETY: the lengths have been checked.
    unsafe { map_rows(ctx, rows, channels, &op) }
}

/// `y = act(scale * x + shift + residual)`; `y` may be `x` or the residual. Between the rows of `y` there may be a
/// gap.
#[allow(clippy::too_many_arguments)] // the operands of one step, as the plan lists them
pub fn affine<E: Element>(
    ctx: &Ctx<'_>,
    rows: usize,
    epilogue: Epilogue,
    x: Rows<'_, E>,
    [scale, shift]: [Src<'_, f32>; 2],
    residual: Option<Src<'_, E>>,
    y: Dst<'_, E>,
    gap: usize,
) {
    let channels = shift.len();
    expect_len(scale.len(), channels, "scale");
    x.expect(rows, channels, "x");
    expect_len(y.len(), spanned(rows, channels, gap), "y");
    expect_len(residual.map_or(rows * channels, Src::len), rows * channels, "the residual");
    let op = Affine { act: epilogue.act, x, scale, shift, residual, y, gap };
    // SAFETY: the lengths have been checked.
    unsafe { map_rows(ctx, rows, channels, &op) }
}

/// `dx = scale * rstd * (dy' - dshift / rows - xhat * dscale / rows)` where `dy'` is `dy` before the activation and `xhat = (x - mean) * rstd`; `dresidual = dy'` (Ioffe and Szegedy 2015, section 3).
/// `mask` says how to come by `dy'`. The results may be `dy`, `x` or `y` in place.
#[allow(clippy::too_many_arguments)] // the operands of one step, as the plan lists them
pub fn bn_backward_apply<E: Element>(
    ctx: &Ctx<'_>,
    rows: usize,
    dy: Src<'_, E>,
    x: Rows<'_, E>,
    norm: Norm<'_>,
    sums: Sums<'_>,
    mask: Option<BnMask<'_, E>>,
    out: Gradients<'_, E>,
) {
    let channels = norm.mean.len();
    for v in [norm.rstd, norm.scale, sums.dscale, sums.dshift] {
        expect_len(v.len(), channels, "per channel");
    }
    x.expect(rows, channels, "x");
    expect_len(out.dx.len(), rows * channels, "dx");
    if let Some(mask) = mask {
        mask.expect(rows, channels);
    }
    expect_len(dy.len(), rows * channels, "dy");
    expect_len(out.dresidual.map_or(rows * channels, Dst::len), rows * channels, "dresidual");
    let op = BnBackwardApply { dy, x, norm, sums, mask, out, per_row: 1.0 / rows as f32 };
    // SAFETY: the lengths have been checked.
    unsafe { map_rows(ctx, rows, channels, &op) }
}

/// Checks the lengths of maps without gaps.
fn expect_maps<E: Element>(len: usize, residual: Option<Src<'_, E>>, y: Dst<'_, E>) {
    expect_len(y.len(), len, "the result");
    expect_len(residual.map_or(len, Src::len), len, "the optional map");
}

/// See [`bn_apply`].
pub(super) struct BnApply<'a, E> {
    /// Of the epilogue.
    pub act: Option<Activation>,
    /// The map.
    pub x: Rows<'a, E>,
    /// Per channel.
    pub norm: Norm<'a>,
    /// beta
    pub shift: Src<'a, f32>,
    /// Where the epilogue adds one.
    pub residual: Option<Src<'a, E>>,
    /// The result.
    pub y: Dst<'a, E>,
}

impl<E: Element> MapOp for BnApply<'_, E> {
    /// `mean, rstd * scale, shift`
    type Channel<V: Vector> = [V; 3];

    #[inline(always)]
    unsafe fn channel<V: Vector>(&self, access: impl Access, c: usize) -> [V; 3] {
        // SAFETY: the caller's promise.
        unsafe {
            let factor = load::<V>(access, self.norm.rstd, c).mul(load(access, self.norm.scale, c));
            [load(access, self.norm.mean, c), factor, load(access, self.shift, c)]
        }
    }

    #[inline(always)]
    unsafe fn apply<V: Vector>(
        &self,
        access: impl Access,
        [mean, factor, shift]: [V; 3],
        row: usize,
        at: usize,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut v = self.x.load::<V>(access, row, at).sub(mean).mul_add(factor, shift);
            if let Some(residual) = self.residual {
                v = v.add(load(access, residual, at));
            }
            store(access, self.y, at, forward(self.act, v));
        }
    }
}

struct Affine<'a, E> {
    act: Option<Activation>,
    x: Rows<'a, E>,
    scale: Src<'a, f32>,
    shift: Src<'a, f32>,
    residual: Option<Src<'a, E>>,
    y: Dst<'a, E>,
    /// Of `y`.
    gap: usize,
}

impl<E: Element> MapOp for Affine<'_, E> {
    /// `scale, shift`
    type Channel<V: Vector> = [V; 2];

    #[inline(always)]
    unsafe fn channel<V: Vector>(&self, access: impl Access, c: usize) -> [V; 2] {
        // SAFETY: the caller's promise.
        unsafe { [load(access, self.scale, c), load(access, self.shift, c)] }
    }

    #[inline(always)]
    unsafe fn apply<V: Vector>(&self, access: impl Access, [scale, shift]: [V; 2], row: usize, at: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut v = self.x.load::<V>(access, row, at).mul_add(scale, shift);
            if let Some(residual) = self.residual {
                v = v.add(load(access, residual, at));
            }
            store(access, self.y, at + row * self.gap, forward(self.act, v));
        }
    }
}

struct BnBackwardApply<'a, E> {
    dy: Src<'a, E>,
    x: Rows<'a, E>,
    norm: Norm<'a>,
    sums: Sums<'a>,
    mask: Option<BnMask<'a, E>>,
    out: Gradients<'a, E>,
    /// `1 / rows`
    per_row: f32,
}

impl<E: Element> MapOp for BnBackwardApply<'_, E> {
    /// `mean, scale * rstd, rstd * dscale / rows, dshift / rows`, and the mask's
    type Channel<V: Vector> = [V; 6];

    #[inline(always)]
    unsafe fn channel<V: Vector>(&self, access: impl Access, c: usize) -> [V; 6] {
        // SAFETY: the caller's promise.
        unsafe {
            let per_row = V::splat(self.per_row);
            let rstd: V = load(access, self.norm.rstd, c);
            let slope = rstd.mul(load::<V>(access, self.sums.dscale, c).mul(per_row));
            let offset = load::<V>(access, self.sums.dshift, c).mul(per_row);
            let factor = rstd.mul(load(access, self.norm.scale, c));
            let [scaled, shift] = BnMask::channel(self.mask, access, self.norm.rstd, c);
            [load(access, self.norm.mean, c), factor, slope, offset, scaled, shift]
        }
    }

    #[inline(always)]
    unsafe fn apply<V: Vector>(
        &self,
        access: impl Access,
        [mean, factor, slope, offset, scaled, shift]: [V; 6],
        row: usize,
        at: usize,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let centred = self.x.load::<V>(access, row, at).sub(mean);
            let dy: V = load(access, self.dy, at);
            let dy = BnMask::unmask(self.mask, access, [scaled, shift], centred, dy, at);
            let dx = dy.sub(centred.mul_add(slope, offset)).mul(factor);
            store(access, self.out.dx, at, dx);
            if let Some(dresidual) = self.out.dresidual {
                store(access, dresidual, at, dy);
            }
        }
    }
}
