//! Kernels that compute each element from the elements at its place.

use serde::{Deserialize, Serialize};

use super::batch_norm::activated;
use super::geometry::DropGeometry;
use super::info::KernelInfo;
use super::operand::{Content, Operand, Operands, product};
use super::text::{after, matrix};
use crate::ir::activation::Activation;
use crate::ir::attrs::{DropPart, Epilogue};

/// `y = act(x)`
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Activate {
    /// Elements.
    pub len: usize,
    /// Which one.
    pub act: Activation,
}

impl KernelInfo for Activate {
    fn name(&self) -> &'static str {
        "activate"
    }

    fn operands(&self) -> Option<Operands> {
        Some(Operands::new([flat("x", self.len)], [flat("y", self.len)]).in_place(&[("y", "x")]))
    }

    fn geometry(&self) -> String {
        format!("{} {}", self.len, self.act)
    }
}

/// `dx = dy * act'`, from the activation's result or its input, as [`Activation::grad_from`] says.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ActivateBackward {
    /// Elements.
    pub len: usize,
    /// Which one.
    pub act: Activation,
}

impl KernelInfo for ActivateBackward {
    fn name(&self) -> &'static str {
        "activate_backward"
    }

    fn operands(&self) -> Option<Operands> {
        let dy = flat("dy", self.len);
        let operands = Operands::new([dy, activated("saved", self.act, dy)], [flat("dx", self.len)]);
        Some(operands.in_place(&[("dx", "dy"), ("dx", "saved")]))
    }

    fn geometry(&self) -> String {
        format!("{} {}", self.len, self.act)
    }
}

/// `y = act(a + b)`
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Add {
    /// Elements.
    pub len: usize,
    /// Applied to the sum.
    pub act: Option<Activation>,
}

impl KernelInfo for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn operands(&self) -> Option<Operands> {
        let terms = [flat("a", self.len).slice(), flat("b", self.len).slice()];
        Some(Operands::new(terms, [flat("y", self.len)]).in_place(&[("y", "a"), ("y", "b")]))
    }

    fn geometry(&self) -> String {
        format!("{}{}", self.len, after(&Epilogue { residual: false, act: self.act }))
    }
}

/// `y = scale * x + shift`
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ScaleShift {
    /// Elements.
    pub len: usize,
    /// Factor.
    pub scale: f32,
    /// Summand.
    pub shift: f32,
}

impl KernelInfo for ScaleShift {
    fn name(&self) -> &'static str {
        "scale_shift"
    }

    fn operands(&self) -> Option<Operands> {
        Some(Operands::new([flat("x", self.len)], [flat("y", self.len)]).in_place(&[("y", "x")]))
    }

    fn geometry(&self) -> String {
        format!("{} {} {:+}", self.len, self.scale, self.shift)
    }
}

/// Sets random parts to zero and scales the rest. The random numbers follow from the seed, the number of the step and the
/// stream.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Drop {
    /// Sizes.
    pub geometry: DropGeometry,
    /// What is dropped as a whole.
    pub part: DropPart,
    /// Share that is dropped.
    pub rate: f32,
    /// Tells the network's random operators apart.
    pub stream: u64,
}

impl KernelInfo for Drop {
    fn name(&self) -> &'static str {
        "drop"
    }

    fn operands(&self) -> Option<Operands> {
        let DropGeometry { n, h, w, c } = self.geometry;
        let block = !matches!(self.part, DropPart::Block { size: 0 });
        if product([n, h, w, c])? == 0 || !block || !(0.0..1.0).contains(&self.rate) {
            return None;
        }
        let map = |name| Operand::map(name, [n, c, h, w]);
        let seed = Operand::new("seed", Content::Seed, []);
        let step = Operand::new("step", Content::StepNumber, []);
        Some(Operands::new([map("x"), seed, step], [map("y")]).in_place(&[("y", "x")]))
    }

    fn geometry(&self) -> String {
        let DropGeometry { n, h, w, c } = self.geometry;
        format!("{} {} {}", matrix(n * h * w, c), self.part, self.rate)
    }
}

/// A map as the elements it consists of.
fn flat(name: &'static str, len: usize) -> Operand {
    Operand::map(name, [len])
}
