//! Channels of several maps side by side (Huang et al. 2017, DenseNet), and taking some of them out again.

use super::gradient::{Gradients, Vjp};
use super::lowering::{Lowering, matrix};
use super::operator::{Class, Infer, InferError, Legal, Operator, feature_map, in_training, like};
use crate::ir::graph::{Mode, Stage};
use crate::ir::op::{ChannelSlice, Concat};
use crate::ir::types::TensorType;
use crate::plan::kernel;

/// `dx_i = dy` of the channels that `x_i` has in the result.
impl Operator for Concat {
    fn text(&self) -> String {
        "concat".into()
    }

    fn title(&self) -> String {
        "concat".into()
    }

    fn class(&self) -> Class {
        Class::Elementwise
    }

    fn arity(&self) -> usize {
        self.operands
    }

    /// `[n, c0, h, w], [n, c1, h, w], ...` to `[n, c0 + c1 + ..., h, w]`.
    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        if operands.is_empty() {
            return Err(InferError::new("there is nothing to concatenate"));
        }
        let [n, mut channels, h, w] = feature_map(operands, 0)?;
        for i in 1..operands.len() {
            let [ni, ci, hi, wi] = feature_map(operands, i)?;
            if [n, h, w] != [ni, hi, wi] {
                let message = format!("cannot concatenate {} and {}", operands[0].shape, operands[i].shape);
                let help =
                    format!("the images differ: {h}x{w} and {hi}x{wi}; is a stride missing on one branch?");
                return Err(InferError::new(message).at(i).help(help));
            }
            if operands[i].dtype != operands[0].dtype {
                let types = (operands[0].dtype, operands[i].dtype);
                return Err(InferError::new(format!("cannot concatenate {} and {}", types.0, types.1)).at(i));
            }
            channels = channels.checked_add(ci).ok_or_else(|| InferError::new("too many channels").at(i))?;
        }
        Ok(vec![like(operands[0], [n, channels, h, w])])
    }

    fn vjp(&self, v: &mut Vjp<'_>) -> Gradients {
        let dy = v.dy()?;
        let mut start = 0;
        let mut gradients = Vec::with_capacity(v.operands.len());
        for i in 0..v.operands.len() {
            let channels = v.shape(i).0[1];
            gradients.push(v.emit_if_wanted(i, ChannelSlice { start, channels }, &[dy]));
            start += channels;
        }
        Ok(gradients)
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        let channels = (0..self.operands).map(|i| matrix(l.shape(i)).1).collect();
        l.step(kernel::Concat { rows: matrix(l.result()).0, channels });
    }
}

impl Operator for ChannelSlice {
    fn text(&self) -> String {
        format!("channel_slice {}..{}", self.start, self.start + self.channels)
    }

    fn title(&self) -> String {
        format!("channels {}..{}", self.start, self.start + self.channels)
    }

    fn class(&self) -> Class {
        Class::Backward
    }

    fn arity(&self) -> usize {
        1
    }

    /// Channels `start..start + channels` of `[n, c, h, w]`.
    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        let ChannelSlice { start, channels } = *self;
        let [n, c, h, w] = feature_map(operands, 0)?;
        match start.checked_add(channels) {
            Some(end) if end <= c => Ok(vec![like(operands[0], [n, channels, h, w])]),
            _ => Err(InferError::new(format!("{channels} channels from {start} on are not in {c}")).at(0)),
        }
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        let (rows, channels) = matrix(l.shape(0));
        l.step(kernel::ChannelSlice { rows, channels, start: self.start, taken: self.channels });
    }

    fn legal(&self, mode: Mode) -> Legal {
        in_training(mode, Stage::Differentiated)
    }
}
