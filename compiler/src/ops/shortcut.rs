//! Shortcuts: the rule before it is decided, and option A's padding.

use std::fmt;

use super::norm::check_groups;
use super::vjp::Gradients;
use super::{Infer, InferError, Vjp, feature_map, like, same_shape};
use crate::ir::op::{Norm, Op, ShortcutRule};
use crate::ir::types::{Shape, TensorType};

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

/// Of the shape of the second operand, the main branch; the rule has to be able to get there, and what normalises a
/// projection to divide its channels.
pub(super) fn infer(rule: ShortcutRule, norm: Norm, operands: &[&TensorType]) -> Infer {
    let (x, main) = (feature_map(operands, 0)?, feature_map(operands, 1)?);
    let (from, to) = (&operands[0].shape, &operands[1].shape);
    let change = (x[0] == main[0]).then(|| ShortcutChange::between(x, main)).flatten();
    let Some(change) = change else {
        let message = format!("no stride makes the shortcut's {from} fit the main branch's {to}");
        let help = "the main branch may only shrink the image, by a stride and with its size rounded up";
        return Err(InferError::new(message).at(1).help(help));
    };
    let error = match rule {
        ShortcutRule::Projection | ShortcutRule::AlwaysProject => None,
        ShortcutRule::Identity if change.is_none() => None,
        ShortcutRule::Identity => Some("use `shortcut: projection`, or keep filters and stride"),
        ShortcutRule::Pad if main[1] >= x[1] => None,
        ShortcutRule::Pad => Some("padding can only add channels; use `shortcut: projection`"),
    };
    let projects = match rule {
        ShortcutRule::Projection => !change.is_none(),
        ShortcutRule::AlwaysProject => true,
        ShortcutRule::Identity | ShortcutRule::Pad => false,
    };
    if let (Norm::Group { groups, .. }, true) = (norm, projects) {
        check_groups(groups, main[1]).map_err(|error| error.at(1))?;
    }
    match error {
        None => Ok(vec![like(operands[0], to.clone())]),
        Some(help) => {
            let rule = if rule == ShortcutRule::Pad { "a padding" } else { "an identity" };
            let message = format!("{rule} shortcut cannot turn {from} into {to}");
            Err(InferError::new(message).at(1).help(help))
        }
    }
}

/// Sizes over the stride, rounded up.
pub(super) fn infer_pad(stride: [usize; 2], channels: usize, operands: &[&TensorType]) -> Infer {
    let [n, c, h, w] = feature_map(operands, 0)?;
    if channels < c {
        return Err(InferError::new(format!("cannot pad {c} channels to {channels}")).at(0));
    }
    if stride.contains(&0) {
        return Err(InferError::new("a stride has to be at least 1"));
    }
    Ok(vec![like(operands[0], [n, channels, h.div_ceil(stride[0]), w.div_ceil(stride[1])])])
}

/// `dx = dy` of the middle channels at the pixels taken, 0 elsewhere.
pub(super) fn vjp_pad(v: &mut Vjp<'_>, stride: [usize; 2]) -> Gradients {
    let (dy, input) = (v.dy()?, v.shape(0));
    Ok(vec![v.emit_if_wanted(0, || Op::PadShortcutBackward { stride, input }, &[dy])])
}

pub(super) fn infer_pad_backward(stride: [usize; 2], input: &Shape, operands: &[&TensorType]) -> Infer {
    let [_, channels, _, _] = feature_map(operands, 0)?;
    let dx = like(operands[0], input.clone());
    same_shape(operands, 0, &infer_pad(stride, channels, &[&dx])?[0].shape, "the gradient")?;
    Ok(vec![dx])
}
