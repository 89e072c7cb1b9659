//! Batch normalisation in training, its gradient, and the affine map that is left of it in inference. A map counts as a
//! matrix `[rows, channels]`, rows being the pixels of all images. Formulas: `ops/norm.rs`.

use serde::{Deserialize, Serialize};

use super::info::KernelInfo;
use super::operand::{Content, Operand, Operands, product};
use super::text::{after, matrix};
use crate::ir::attrs::Epilogue;

/// The batch's statistics; updates the running ones in place.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BnStats {
    /// Pixels of all images.
    pub rows: usize,
    /// Channels.
    pub channels: usize,
    /// Added to the variance.
    pub eps: f32,
    /// Weight of the batch in the running statistics.
    pub momentum: f32,
}

impl KernelInfo for BnStats {
    fn name(&self) -> &'static str {
        "bn_stats"
    }

    fn operands(&self) -> Option<Operands> {
        let [c, x] = channels_and_map(self.rows, self.channels, "x")?;
        let running = [("running_mean", Content::RunningMean), ("running_var", Content::RunningVar)];
        let [mean, var] = running.map(|(name, content)| Operand { name, content, ..c }.updated());
        Some(Operands::new([x.slice(), mean, var], statistics(c)))
    }

    fn geometry(&self) -> String {
        format!("{} eps {} momentum {}", matrix(self.rows, self.channels), self.eps, self.momentum)
    }
}

/// `rstd = 1 / sqrt(running_var + eps)`: what a frozen normalisation divides by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RunningRstd {
    /// Channels.
    pub channels: usize,
    /// Added to the variance.
    pub eps: f32,
}

impl KernelInfo for RunningRstd {
    fn name(&self) -> &'static str {
        "running_rstd"
    }

    fn operands(&self) -> Option<Operands> {
        let var = Operand::new("running_var", Content::RunningVar, [self.channels]);
        Some(Operands::new([var], [Operand::new("rstd", Content::Rstd, [self.channels])]))
    }

    fn geometry(&self) -> String {
        format!("{} eps {}", self.channels, self.eps)
    }
}

/// `y = act(scale * (x - mean) * rstd + shift + residual)`
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BnApply {
    /// Pixels of all images.
    pub rows: usize,
    /// Channels.
    pub channels: usize,
    /// Applied before the store.
    pub epilogue: Epilogue,
}

impl KernelInfo for BnApply {
    fn name(&self) -> &'static str {
        "bn_apply"
    }

    fn operands(&self) -> Option<Operands> {
        let [c, x] = channels_and_map(self.rows, self.channels, "x")?;
        let ([mean, rstd], [scale, shift]) = (statistics(c), affine(c));
        let (y, residual) = (Operand { name: "y", ..x }, Operand { name: "residual", ..x });
        let operands = Operands::new([x.slice(), mean, rstd, scale, shift], [y]);
        let operands = operands.input(self.epilogue.residual.then_some(residual));
        Some(operands.in_place(&[("y", "residual"), ("y", "x")]))
    }

    fn geometry(&self) -> String {
        format!("{}{}", matrix(self.rows, self.channels), after(&self.epilogue))
    }
}

/// First pass of the gradient: the sums over the batch. Where the epilogue has an activation, `dy` is masked by what that
/// was applied to, computed anew from `x`, `scale` and `shift` ([`Epilogue::recomputes_sign`]), or by its result `y`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BnBackwardReduce {
    /// Pixels of all images.
    pub rows: usize,
    /// Channels.
    pub channels: usize,
    /// Of the forward operator.
    pub epilogue: Epilogue,
}

impl KernelInfo for BnBackwardReduce {
    fn name(&self) -> &'static str {
        "bn_backward_reduce"
    }

    fn operands(&self) -> Option<Operands> {
        let [c, dy] = channels_and_map(self.rows, self.channels, "dy")?;
        let ([mean, rstd], [scale, _]) = (statistics(c), affine(c));
        let operands = Operands::new([dy, Operand { name: "x", ..dy }.slice(), mean, rstd], sums(c));
        let operands = operands.input(self.epilogue.recomputes_sign().then_some(scale));
        Some(operands.input(mask(&self.epilogue, c, dy)))
    }

    fn geometry(&self) -> String {
        format!("{}{}", matrix(self.rows, self.channels), after(&self.epilogue))
    }
}

/// Second pass: the gradient of the input, and of the residual.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BnBackwardApply {
    /// Pixels of all images.
    pub rows: usize,
    /// Channels.
    pub channels: usize,
    /// Of the forward operator.
    pub epilogue: Epilogue,
}

impl KernelInfo for BnBackwardApply {
    fn name(&self) -> &'static str {
        "bn_backward_apply"
    }

    fn operands(&self) -> Option<Operands> {
        let [c, dy] = channels_and_map(self.rows, self.channels, "dy")?;
        let ([mean, rstd], [scale, _], [dscale, dshift]) = (statistics(c), affine(c), sums(c));
        let (x, dx) = (Operand { name: "x", ..dy }.slice(), Operand { name: "dx", ..dy });
        let operands = Operands::new([dy, x, mean, rstd, scale, dscale, dshift], [dx]);
        let dresidual = Operand { name: "dresidual", ..dy };
        let operands = operands.input(mask(&self.epilogue, c, dy));
        Some(operands.output(self.epilogue.residual.then_some(dresidual)).in_place(GRADIENT_IN_PLACE))
    }

    fn geometry(&self) -> String {
        format!("{}{}", matrix(self.rows, self.channels), after(&self.epilogue))
    }
}

/// `dx` over the saved `x`, so that the residual's gradient finds `dy` free; without one `dy` is next.
pub(super) const GRADIENT_IN_PLACE: &[(&str, &str)] =
    &[("dx", "x"), ("dresidual", "dy"), ("dx", "dy"), ("dresidual", "x")];

/// `y = act(scale * x + shift + residual)`
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Affine {
    /// Pixels of all images.
    pub rows: usize,
    /// Channels.
    pub channels: usize,
    /// Applied before the store.
    pub epilogue: Epilogue,
}

impl KernelInfo for Affine {
    fn name(&self) -> &'static str {
        "affine"
    }

    fn operands(&self) -> Option<Operands> {
        let [c, x] = channels_and_map(self.rows, self.channels, "x")?;
        let [scale, shift] = affine(c);
        let (y, residual) = (Operand { name: "y", ..x }, Operand { name: "residual", ..x });
        let operands = Operands::new([x.slice(), scale, shift], [y.slice()]);
        let operands = operands.input(self.epilogue.residual.then_some(residual));
        Some(operands.in_place(&[("y", "x"), ("y", "residual")]))
    }

    fn geometry(&self) -> String {
        format!("{}{}", matrix(self.rows, self.channels), after(&self.epilogue))
    }
}

/// A vector of one element per channel, to be named, and a map.
fn channels_and_map(rows: usize, channels: usize, name: &'static str) -> Option<[Operand; 2]> {
    product([rows, channels])?;
    let vector = Operand::new("", Content::Sum, [channels]);
    Some([vector, Operand::map(name, [rows, channels, 1, 1])])
}

/// `mean, rstd`, each like the given operand.
pub(super) fn statistics(like: Operand) -> [Operand; 2] {
    [("mean", Content::Mean), ("rstd", Content::Rstd)].map(|(name, content)| Operand {
        name,
        content,
        ..like
    })
}

/// `scale, shift`
pub(super) fn affine(like: Operand) -> [Operand; 2] {
    [("scale", Content::Scale), ("shift", Content::Shift)].map(|(name, content)| Operand {
        name,
        content,
        ..like
    })
}

/// `dscale, dshift`
pub(super) fn sums(like: Operand) -> [Operand; 2] {
    ["dscale", "dshift"].map(|name| Operand { name, content: Content::Sum, ..like })
}

/// What an activation is undone by: the shift, or the result.
fn mask(epilogue: &Epilogue, channels: Operand, map: Operand) -> Option<Operand> {
    let act = epilogue.act?;
    let [_, shift] = affine(channels);
    Some(if epilogue.recomputes_sign() { shift } else { activated("y", act, map) })
}

/// The result of an activation, or its input, that the gradient is computed from.
pub(super) fn activated(name: &'static str, act: crate::ir::activation::Activation, map: Operand) -> Operand {
    Operand { name, ..map }.content(Content::Activated(act))
}
