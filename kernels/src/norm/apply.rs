//! Batch normalisation and per-channel maps, applied: one pass over memory each. Statistics are in [`super::stats`].

use resnetc_compiler::ir::op::{Activation, Epilogue};

use crate::ctx::Ctx;
use crate::maps::{MapOp, Operands, Place, Rows, RowsMut, expect_len, map_rows, spanned};
use crate::memory::{Dst, Src};
use crate::pointwise::activation::{backward, forward};
use crate::simd::{Access, Element, Simd, Vector};

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

impl<'a, E: Element> BnMask<'a, E> {
    /// Checks the lengths of its operands.
    pub(super) fn expect(self, rows: usize, channels: usize) {
        match self.by {
            MaskBy::Result(y) => expect_len(y.len(), rows * channels, "the result"),
            MaskBy::Input(affine) => affine.iter().for_each(|v| expect_len(v.len(), channels, "per channel")),
        }
    }

    /// The operands that [`BnMask::unmask`] needs: gamma and beta, and the result.
    #[inline(always)]
    pub(super) fn operands(mask: Option<Self>) -> ([Option<Src<'a, f32>>; 2], Option<Rows<'a, E>>) {
        match mask.map(|mask| mask.by) {
            Some(MaskBy::Input(affine)) => (affine.map(Some), None),
            Some(MaskBy::Result(y)) => ([None; 2], Some(y.into())),
            None => ([None; 2], None),
        }
    }

    /// The gradient before the activation, of `dy` behind it, `centred`, the input less the mean, and the result `y`; `factor`
    /// is `rstd * scale`.
    #[inline(always)]
    pub(super) fn unmask<V: Vector>(
        mask: Option<Self>,
        [factor, shift]: [V; 2],
        [centred, dy, y]: [V; 3],
    ) -> V {
        let Some(BnMask { act, by }) = mask else { return dy };
        let v = match by {
            MaskBy::Result(_) => y,
            MaskBy::Input(_) => centred.mul_add(factor, shift),
        };
        backward(act, dy, v)
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
    map_rows(ctx, rows, channels, &op);
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
    map_rows(ctx, rows, channels, &op);
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
    map_rows(ctx, rows, channels, &op);
}

/// Checks the lengths of maps without gaps.
fn expect_maps<E: Element>(len: usize, residual: Option<Src<'_, E>>, y: Dst<'_, E>) {
    expect_len(y.len(), len, "the result");
    expect_len(residual.map_or(len, Src::len), len, "the optional map");
}

/// See [`bn_apply`].
#[derive(Clone, Copy)]
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

impl<E: Element> MapOp<4, 2, 1> for BnApply<'_, E> {
    type Element = E;
    /// `mean, rstd * scale, shift`
    type Channel<V: Vector> = [V; 3];

    #[inline(always)]
    fn operands(&self) -> Operands<'_, E, 4, 2, 1> {
        Operands {
            channels: [self.norm.mean, self.norm.rstd, self.norm.scale, self.shift].map(Some),
            inputs: [Some(self.x), self.residual.map(Rows::from)],
            outputs: [Some(self.y.into())],
        }
    }

    #[inline(always)]
    fn channel<V: Vector>(&self, _: Simd<V>, [mean, rstd, scale, shift]: [V; 4]) -> [V; 3] {
        [mean, rstd.mul(scale), shift]
    }

    #[inline(always)]
    fn apply<V: Vector>(
        &self,
        _: Place<V, impl Access>,
        [mean, factor, shift]: [V; 3],
        [x, residual]: [V; 2],
    ) -> [V; 1] {
        let mut v = x.sub(mean).mul_add(factor, shift);
        if self.residual.is_some() {
            v = v.add(residual);
        }
        [forward(self.act, v)]
    }
}

#[derive(Clone, Copy)]
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

impl<E: Element> MapOp<2, 2, 1> for Affine<'_, E> {
    type Element = E;
    /// `scale, shift`
    type Channel<V: Vector> = [V; 2];

    #[inline(always)]
    fn operands(&self) -> Operands<'_, E, 2, 2, 1> {
        Operands {
            channels: [self.scale, self.shift].map(Some),
            inputs: [Some(self.x), self.residual.map(Rows::from)],
            outputs: [Some(RowsMut { view: self.y, gap: self.gap })],
        }
    }

    #[inline(always)]
    fn channel<V: Vector>(&self, _: Simd<V>, operands: [V; 2]) -> [V; 2] {
        operands
    }

    #[inline(always)]
    fn apply<V: Vector>(
        &self,
        _: Place<V, impl Access>,
        [scale, shift]: [V; 2],
        [x, residual]: [V; 2],
    ) -> [V; 1] {
        let mut v = x.mul_add(scale, shift);
        if self.residual.is_some() {
            v = v.add(residual);
        }
        [forward(self.act, v)]
    }
}

#[derive(Clone, Copy)]
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

impl<E: Element> MapOp<7, 3, 2> for BnBackwardApply<'_, E> {
    type Element = E;
    /// `mean, scale * rstd, rstd * dscale / rows, dshift / rows`, and the mask's
    type Channel<V: Vector> = [V; 6];

    #[inline(always)]
    fn operands(&self) -> Operands<'_, E, 7, 3, 2> {
        let ([scale, shift], y) = BnMask::operands(self.mask);
        let [mean, rstd, gamma] = [self.norm.mean, self.norm.rstd, self.norm.scale].map(Some);
        let [dscale, dshift] = [self.sums.dscale, self.sums.dshift].map(Some);
        Operands {
            channels: [mean, rstd, gamma, dscale, dshift, scale, shift],
            inputs: [Some(self.x), Some(self.dy.into()), y],
            outputs: [Some(self.out.dx.into()), self.out.dresidual.map(RowsMut::from)],
        }
    }

    #[inline(always)]
    fn channel<V: Vector>(
        &self,
        simd: Simd<V>,
        [mean, rstd, gamma, dscale, dshift, scale, shift]: [V; 7],
    ) -> [V; 6] {
        let per_row = simd.splat(self.per_row);
        let (slope, offset) = (rstd.mul(dscale.mul(per_row)), dshift.mul(per_row));
        [mean, rstd.mul(gamma), slope, offset, rstd.mul(scale), shift]
    }

    #[inline(always)]
    fn apply<V: Vector>(
        &self,
        _: Place<V, impl Access>,
        [mean, factor, slope, offset, scaled, shift]: [V; 6],
        [x, dy, y]: [V; 3],
    ) -> [V; 2] {
        let centred = x.sub(mean);
        let dy = BnMask::unmask(self.mask, [scaled, shift], [centred, dy, y]);
        let dx = dy.sub(centred.mul_add(slope, offset)).mul(factor);
        [dx, dy]
    }
}
