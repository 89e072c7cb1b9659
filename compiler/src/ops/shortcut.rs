//! Shortcuts: the rule before it is decided, and option A's padding.

use std::fmt;

use super::gradient::{Gradients, Vjp};
use super::lowering::{Lowering, pad_geometry};
use super::norm::check_groups;
use super::operator::{
    Class, Infer, InferError, Legal, Operator, feature_map, in_training, like, same_shape,
};
use super::words;
use crate::ir::attrs::{ShortcutRule, pair};
use crate::ir::graph::{Mode, Stage};
use crate::ir::op::{Norm, PadShortcut, PadShortcutBackward, Shortcut};
use crate::ir::types::{Shape, TensorType};
use crate::plan::kernel;

/// What a shortcut has to do to make its input fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShortcutChange {
    /// Channels of the input and of the result.
    pub channels: [usize; 2],
    /// Step between the pixels taken.
    pub stride: [usize; 2],
}

impl ShortcutChange {
    /// From the input's and the main branch's `[n, c, h, w]`: the smallest strides that take as many pixels as the
    /// main branch has; `None` where no stride does.
    pub fn between(x: [usize; 4], main: [usize; 4]) -> Option<Self> {
        let mut stride = [1; 2];
        for i in 0..2 {
            let (size, wanted) = (x[i + 2], main[i + 2]);
            stride[i] = size.div_ceil(wanted.max(1));
            if size.div_ceil(stride[i].max(1)) != wanted {
                return None;
            }
        }
        Some(ShortcutChange { channels: [x[1], main[1]], stride })
    }

    /// Whether the input fits as it is.
    pub fn is_none(&self) -> bool {
        self.channels[0] == self.channels[1] && self.stride == [1; 2]
    }
}

/// `256 -> 512 channels, stride 2`
impl fmt::Display for ShortcutChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([cin, cout], [sh, sw]) = (self.channels, self.stride);
        write!(f, "{cin} -> {cout} channels, stride {sh}")?;
        if sh == sw { Ok(()) } else { write!(f, "x{sw}") }
    }
}

impl Operator for Shortcut {
    fn text(&self) -> String {
        format!("shortcut {}", self.rule)
    }

    fn title(&self) -> String {
        "shortcut".into()
    }

    fn class(&self) -> Class {
        Class::Shortcut
    }

    fn arity(&self) -> usize {
        2
    }

    /// Of the shape of the second operand, the main branch; the rule has to be able to get there, and what normalises a
    /// projection to divide its channels.
    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        let (x, main) = (feature_map(operands, 0)?, feature_map(operands, 1)?);
        let (from, to) = (&operands[0].shape, &operands[1].shape);
        let change = (x[0] == main[0]).then(|| ShortcutChange::between(x, main)).flatten();
        let Some(change) = change else {
            let message = format!("no stride makes the shortcut's {from} fit the main branch's {to}");
            let help = "the main branch may only shrink the image, by a stride and with its size rounded up";
            return Err(InferError::new(message).at(1).help(help));
        };
        let projects = match self.rule {
            ShortcutRule::Projection => !change.is_none(),
            ShortcutRule::AlwaysProject => true,
            ShortcutRule::Identity | ShortcutRule::Pad => false,
        };
        if let (Norm::Group { groups, .. }, true) = (self.norm, projects) {
            check_groups(groups, main[1]).map_err(|error| error.at(1))?;
        }
        match refusal(self.rule, change) {
            None => Ok(vec![like(operands[0], to.clone())]),
            Some(help) => {
                let rule = if self.rule == ShortcutRule::Pad { "a padding" } else { "an identity" };
                let message = format!("{rule} shortcut cannot turn {from} into {to}");
                Err(InferError::new(message).at(1).help(help))
            }
        }
    }

    fn vjp(&self, _: &mut Vjp<'_>) -> Gradients {
        Err("a shortcut has to be expanded before it is differentiated".to_owned())
    }

    fn lower(&self, _: &mut Lowering<'_>) {
        unreachable!("shortcuts are expanded before anything is lowered")
    }

    fn legal(&self, _: Mode) -> Legal {
        Some((Stage::Built, Stage::Typed))
    }
}

/// Why a rule cannot do what it has to: the way out.
fn refusal(rule: ShortcutRule, change: ShortcutChange) -> Option<&'static str> {
    let [from, to] = change.channels;
    match rule {
        ShortcutRule::Projection | ShortcutRule::AlwaysProject => None,
        ShortcutRule::Identity if change.is_none() => None,
        ShortcutRule::Identity => Some("use `shortcut: projection`, or keep filters and stride"),
        ShortcutRule::Pad if to >= from => None,
        ShortcutRule::Pad => Some("padding can only add channels; use `shortcut: projection`"),
    }
}

/// `dx = dy` of the middle channels at the pixels taken, 0 elsewhere.
impl Operator for PadShortcut {
    fn text(&self) -> String {
        format!("pad_shortcut s{} c{}", pair(self.stride), self.channels)
    }

    fn title(&self) -> String {
        format!("pad to {} channels{}", self.channels, words::step(self.stride))
    }

    fn class(&self) -> Class {
        Class::Shortcut
    }

    fn arity(&self) -> usize {
        1
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        Ok(vec![like(operands[0], padded(self.stride, self.channels, operands[0])?)])
    }

    fn vjp(&self, v: &mut Vjp<'_>) -> Gradients {
        let (dy, input) = (v.dy()?, v.shape(0));
        Ok(vec![v.emit_if_wanted(0, PadShortcutBackward { stride: self.stride, input }, &[dy])])
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        l.step(kernel::PadShortcut { geometry: pad_geometry(l.shape(0), l.result(), self.stride) });
    }
}

impl Operator for PadShortcutBackward {
    fn text(&self) -> String {
        format!("pad_shortcut_backward s{}", pair(self.stride))
    }

    fn title(&self) -> String {
        "pad ∂".into()
    }

    fn class(&self) -> Class {
        Class::Backward
    }

    fn arity(&self) -> usize {
        1
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        let [_, channels, _, _] = feature_map(operands, 0)?;
        let dx = like(operands[0], self.input.clone());
        same_shape(operands, 0, &padded(self.stride, channels, &dx)?, "the gradient")?;
        Ok(vec![dx])
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        let geometry = pad_geometry(&self.input, l.shape(0), self.stride);
        l.step(kernel::PadShortcutBackward { geometry });
    }

    fn legal(&self, mode: Mode) -> Legal {
        in_training(mode, Stage::Differentiated)
    }
}

/// Sizes over the stride, rounded up, with that many channels.
fn padded(stride: [usize; 2], channels: usize, x: &TensorType) -> Result<Shape, InferError> {
    let [n, c, h, w] = feature_map(&[x], 0)?;
    if channels < c {
        return Err(InferError::new(format!("cannot pad {c} channels to {channels}")).at(0));
    }
    if stride.contains(&0) {
        return Err(InferError::new("a stride has to be at least 1"));
    }
    Ok([n, channels, h.div_ceil(stride[0]), w.div_ceil(stride[1])].into())
}
