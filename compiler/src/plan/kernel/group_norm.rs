//! Group normalisation and its gradient. Statistics are `[images, groups]`. Formulas: `ops/norm.rs`.

use serde::{Deserialize, Serialize};

use super::batch_norm::{GRADIENT_IN_PLACE, activated, affine, statistics, sums};
use super::geometry::GroupGeometry;
use super::info::KernelInfo;
use super::operand::{Content, Operand, Operands, product};
use super::text::{after, matrix};
use crate::ir::activation::Activation;
use crate::ir::attrs::Epilogue;

/// Statistics of every group of every image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GroupStats {
    /// Sizes.
    pub geometry: GroupGeometry,
    /// Added to the variance.
    pub eps: f32,
}

impl KernelInfo for GroupStats {
    fn name(&self) -> &'static str {
        "group_stats"
    }

    fn operands(&self) -> Option<Operands> {
        let [x, _, statistic] = parts(&self.geometry, "x")?;
        Some(Operands::new([x.slice()], statistics(statistic)))
    }

    fn geometry(&self) -> String {
        format!("{} eps {}", groups(&self.geometry), self.eps)
    }
}

/// `y = act(scale * (x - mean) * rstd + shift + residual)`
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GroupApply {
    /// Sizes.
    pub geometry: GroupGeometry,
    /// Applied before the store.
    pub epilogue: Epilogue,
}

impl KernelInfo for GroupApply {
    fn name(&self) -> &'static str {
        "group_apply"
    }

    fn operands(&self) -> Option<Operands> {
        let [x, c, statistic] = parts(&self.geometry, "x")?;
        let ([mean, rstd], [scale, shift]) = (statistics(statistic), affine(c));
        let (y, residual) = (Operand { name: "y", ..x }, Operand { name: "residual", ..x });
        let operands = Operands::new([x.slice(), mean, rstd, scale, shift], [y]);
        let operands = operands.input(self.epilogue.residual.then_some(residual));
        Some(operands.in_place(&[("y", "residual"), ("y", "x")]))
    }

    fn geometry(&self) -> String {
        format!("{}{}", groups(&self.geometry), after(&self.epilogue))
    }
}

/// First pass of the gradient. `slope` and `offset` are means over a group of `s * xhat` and of `s`, with
/// `s = scale * dy`. `y` is there when `act` is, and masks `dy`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GroupBackwardReduce {
    /// Sizes.
    pub geometry: GroupGeometry,
    /// Activation behind the normalisation.
    pub act: Option<Activation>,
}

impl KernelInfo for GroupBackwardReduce {
    fn name(&self) -> &'static str {
        "group_backward_reduce"
    }

    fn operands(&self) -> Option<Operands> {
        let [dy, c, statistic] = parts(&self.geometry, "dy")?;
        let ([mean, rstd], [scale, _], [dscale, dshift]) = (statistics(statistic), affine(c), sums(c));
        let [slope, offset] = means(statistic);
        let x = Operand { name: "x", ..dy }.slice();
        let operands = Operands::new([dy, x, mean, rstd, scale], [dscale, dshift, slope, offset]);
        Some(operands.input(self.act.map(|act| activated("y", act, dy))))
    }

    fn geometry(&self) -> String {
        format!("{}{}", groups(&self.geometry), after(&Epilogue { residual: false, act: self.act }))
    }
}

/// Second pass: the gradient of the input, and of the residual.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GroupBackwardApply {
    /// Sizes.
    pub geometry: GroupGeometry,
    /// Of the forward operator.
    pub epilogue: Epilogue,
}

impl KernelInfo for GroupBackwardApply {
    fn name(&self) -> &'static str {
        "group_backward_apply"
    }

    fn operands(&self) -> Option<Operands> {
        let [dy, c, statistic] = parts(&self.geometry, "dy")?;
        let ([mean, rstd], [scale, _], [slope, offset]) =
            (statistics(statistic), affine(c), means(statistic));
        let (x, dx) = (Operand { name: "x", ..dy }.slice(), Operand { name: "dx", ..dy });
        let dresidual = Operand { name: "dresidual", ..dy };
        let operands = Operands::new([dy, x, mean, rstd, scale, slope, offset], [dx]);
        let operands = operands.input(self.epilogue.act.map(|act| activated("y", act, dy)));
        Some(operands.output(self.epilogue.residual.then_some(dresidual)).in_place(GRADIENT_IN_PLACE))
    }

    fn geometry(&self) -> String {
        format!("{}{}", groups(&self.geometry), after(&self.epilogue))
    }
}

/// A map, a vector per channel and one per group, the latter two to be named.
fn parts(g: &GroupGeometry, name: &'static str) -> Option<[Operand; 3]> {
    let fits = g.groups > 0 && g.channels.is_multiple_of(g.groups);
    if !fits || product([g.images, g.pixels, g.channels]).is_none_or(|len| len == 0) {
        return None;
    }
    product([g.images, g.groups])?;
    Some([
        Operand::map(name, [g.images, g.channels, g.pixels, 1]),
        Operand::new("", Content::Sum, [g.channels]),
        Operand::new("", Content::Sum, [g.images, g.groups]),
    ])
}

/// `slope, offset`
fn means(like: Operand) -> [Operand; 2] {
    ["slope", "offset"].map(|name| Operand { name, content: Content::Sum, ..like })
}

/// `[3136, 64] g32`, of one image
fn groups(geometry: &GroupGeometry) -> String {
    format!("{} g{}", matrix(geometry.pixels, geometry.channels), geometry.groups)
}
