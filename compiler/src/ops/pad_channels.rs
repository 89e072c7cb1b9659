//! Channels of zeros (He et al. 2015, option A; Han et al. 2017).

use super::gradient::{Gradients, Vjp};
use super::lowering::{Lowering, pad_geometry};
use super::operator::{Class, Infer, InferError, Operator, feature_map, like};
use crate::ir::graph::Mode;
use crate::ir::op::{ChannelSlice, PadChannels};
use crate::ir::types::TensorType;
use crate::plan::{PadGeometry, kernel};

/// `dx = dy` of the channels that `x` has in the result.
impl Operator for PadChannels {
    fn text(&self) -> String {
        let before = if self.before > 0 { format!(" before={}", self.before) } else { String::new() };
        format!("pad_channels {}{before}", self.channels)
    }

    fn title(&self) -> String {
        format!("pad to {} channels", self.channels)
    }

    fn class(&self) -> Class {
        Class::Shortcut
    }

    fn arity(&self) -> usize {
        1
    }

    fn infer(&self, _: Mode, operands: &[&TensorType]) -> Infer {
        let PadChannels { channels, before } = *self;
        let [n, c, h, w] = feature_map(operands, 0)?;
        match before.checked_add(c) {
            Some(end) if end <= channels => Ok(vec![like(operands[0], [n, channels, h, w])]),
            _ => {
                let message = format!("{c} channels behind {before} of zeros are more than {channels}");
                Err(InferError::new(message).at(0))
            }
        }
    }

    fn vjp(&self, v: &mut Vjp<'_>) -> Gradients {
        let (dy, channels) = (v.dy()?, v.shape(0).0[1]);
        Ok(vec![v.emit_if_wanted(0, ChannelSlice { start: self.before, channels }, &[dy])])
    }

    fn lower(&self, l: &mut Lowering<'_>) {
        let geometry = pad_geometry(l.shape(0), l.result(), [1; 2]);
        l.step(kernel::PadShortcut { geometry: PadGeometry { before: self.before, ..geometry } });
    }
}
