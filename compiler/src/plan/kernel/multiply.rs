//! Products of two maps, or of a map and its gate, and their gradients.

use serde::{Deserialize, Serialize};

use super::batch_norm::activated;
use super::info::KernelInfo;
use super::operand::{Operand, Operands, product};
use super::text::{after, flag, matrix};
use crate::ir::attrs::Epilogue;

/// `y = act(a * b + residual)`, with `a [images, pixels, channels]` and `b` of the same size or, where `gate`,
/// `[images, channels]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mul {
    /// Batch.
    pub images: usize,
    /// Rows times columns.
    pub pixels: usize,
    /// Channels.
    pub channels: usize,
    /// Whether `b` has one element per image and channel.
    pub gate: bool,
    /// Applied before the store.
    pub epilogue: Epilogue,
}

impl KernelInfo for Mul {
    fn name(&self) -> &'static str {
        "mul"
    }

    fn operands(&self) -> Option<Operands> {
        let [a, b] = factors([self.images, self.pixels, self.channels], self.gate)?;
        let (y, residual) = (Operand { name: "y", ..a }, Operand { name: "residual", ..a });
        let operands = Operands::new([a, b], [y]).input(self.epilogue.residual.then_some(residual));
        let second = if self.epilogue.residual { "residual" } else { "b" };
        let pairs = [("y", "a"), ("y", second)];
        // A gate is smaller than the result.
        let usable = if self.gate && !self.epilogue.residual { 1 } else { 2 };
        Some(operands.in_place(&pairs[..usable]))
    }

    fn geometry(&self) -> String {
        text([self.images, self.pixels, self.channels], self.gate, &self.epilogue)
    }
}

/// `da = g * b` and `db = g * a` with `g = dy * act'`, the latter summed over the image where it is the gate's, and
/// `dresidual = g`; all in one pass. `y` is there when the epilogue has an activation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MulBackward {
    /// Batch.
    pub images: usize,
    /// Rows times columns.
    pub pixels: usize,
    /// Channels.
    pub channels: usize,
    /// Whether `b` has one element per image and channel.
    pub gate: bool,
    /// Of the forward operator.
    pub epilogue: Epilogue,
}

impl KernelInfo for MulBackward {
    fn name(&self) -> &'static str {
        "mul_backward"
    }

    fn operands(&self) -> Option<Operands> {
        let [a, b] = factors([self.images, self.pixels, self.channels], self.gate)?;
        let [dy, da, dresidual] = ["dy", "da", "dresidual"].map(|name| Operand { name, ..a });
        let residual = self.epilogue.residual;
        let operands = Operands::new([dy, a, b], [da, Operand { name: "db", ..b }])
            .input(self.epilogue.act.map(|act| activated("y", act, a)))
            .output(residual.then_some(dresidual));
        // As for normalisations: `da` over the saved `a`.
        Some(operands.in_place(match (self.gate, residual) {
            (true, true) => &[("da", "a"), ("dresidual", "dy"), ("da", "dy"), ("dresidual", "a")],
            (true, false) => &[("da", "a"), ("da", "dy")],
            (false, true) => &[("da", "a"), ("db", "b"), ("dresidual", "dy")],
            (false, false) => &[("da", "a"), ("db", "b"), ("da", "dy"), ("db", "dy")],
        }))
    }

    fn geometry(&self) -> String {
        text([self.images, self.pixels, self.channels], self.gate, &self.epilogue)
    }
}

/// The factors. Gates are few numbers, and their gradients long sums: they stay `f32`. A gate is smaller than its map, so
/// that no result that is a map can lie on it.
fn factors([images, pixels, channels]: [usize; 3], gate: bool) -> Option<[Operand; 2]> {
    if product([images, pixels, channels])? == 0 || (gate && pixels == 1) {
        return None;
    }
    let map = Operand::map("a", [images, channels, pixels, 1]);
    let gated = Operand::map("b", [images, channels, 1, 1]).narrow(None);
    Some([map, if gate { gated } else { Operand { name: "b", ..map } }])
}

fn text([images, pixels, channels]: [usize; 3], gate: bool, epilogue: &Epilogue) -> String {
    format!("{}{}{}", matrix(images * pixels, channels), flag(gate, "gate"), after(epilogue))
}
