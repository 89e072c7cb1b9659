//! What `shortcut` stands for in a unit.

use super::{Builder, Item, Map, Result, Scope};
use crate::diagnostic::Diagnostic;
use crate::ir::graph::NodeId;
use crate::ir::op::{Init, Op, ShortcutRule};
use crate::source::Span;

/// PyTorch's constants of batch normalisation, for the one behind a projection.
const BN_EPS: f32 = 1e-5;
const BN_MOMENTUM: f32 = 0.1;

impl Builder<'_> {
    pub(super) fn shortcut(&mut self, scope: &Scope, like: Map, span: Span, like_span: Span) -> Result<Map> {
        let Some(&Item::Map(x)) = scope.get("x") else { unreachable!("every unit has an x") };
        let rule = self.spec.shortcut.value;
        let fits = match rule {
            ShortcutRule::Identity => x.channels == like.channels,
            ShortcutRule::Pad => x.channels <= like.channels,
            ShortcutRule::Projection | ShortcutRule::AlwaysProject => true,
        };
        if !fits {
            let fault = Diagnostic::error("these cannot be added", span, format!("{} channels", x.channels))
                .label(like_span, format!("{} channels", like.channels))
                .label(self.spec.shortcut.span, "this rule cannot make them agree");
            return Err(Box::new(
                fault.help("`shortcut: projection` puts a 1x1 convolution where shapes differ"),
            ));
        }
        if self.spec.init.zero_last_bn {
            self.zero_scale(like.value.node);
        }
        let op = Op::Shortcut { rule, bn_eps: BN_EPS, bn_momentum: BN_MOMENTUM, init: self.spec.init.conv };
        let node = self.node("shortcut", op, span, &[x.value, like.value]);
        Ok(Map { value: node.into(), channels: like.channels })
    }

    /// Makes a normalisation start with scale 0, also one that a gate or a number multiplies; nothing where the node is
    /// none.
    fn zero_scale(&mut self, node: NodeId) {
        if let Op::Mul { .. } | Op::ScaleShift { .. } = self.graph.node(node).op {
            self.graph.operands(node).into_iter().for_each(|factor| self.zero_scale(factor.node));
        }
        if !matches!(self.graph.node(node).op, Op::BatchNorm { .. }) {
            return;
        }
        let scale = self.graph.operands(node)[1].node;
        if let Op::Param { init, .. } = &mut self.graph.node_mut(scale).op {
            *init = Init::Constant(0.0);
        }
    }
}
