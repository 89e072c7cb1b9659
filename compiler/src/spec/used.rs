//! Which of the settings that hold for the whole network its layers ask for.

use std::sync::Arc;

use super::language::functions;
use super::language::layer::{self, Form};
use super::language::tree::{Call, Expr, ExprKind, Unit};
use super::resolved::ResolvedSpec;
use super::sections::shortcut::Rule;
use crate::ir::op::ShortcutRule;

/// What is asked for somewhere. Where only shapes tell, as whether a projection is needed, it counts as asked for.
#[derive(Debug, Default)]
pub(super) struct Used {
    /// A unit has a `shortcut`.
    pub(super) shortcut: bool,
    /// `bn` without arguments, or a projection.
    pub(super) plain_norm: bool,
    /// A weight of a convolution is drawn.
    pub(super) conv: bool,
    /// A weight of a linear layer or a bias is drawn.
    pub(super) linear: bool,
}

impl Used {
    /// Looks through all layers and units of a network.
    pub(super) fn of(spec: &ResolvedSpec) -> Self {
        let mut used = Used::default();
        let head = spec.head.layers.iter().flatten();
        spec.stem.iter().chain(head).for_each(|call| used.layer(call));
        if spec.stages.len() > 1 {
            spec.transition.iter().for_each(|call| used.layer(call));
        }
        let mut seen: Vec<&Arc<Unit>> = Vec::new();
        for unit in spec.stages.iter().flat_map(|stage| &stage.units).map(|unit| &unit.unit) {
            if !seen.iter().any(|known| Arc::ptr_eq(known, unit)) {
                seen.push(unit);
                unit.bindings.iter().for_each(|binding| used.value(&binding.value));
            }
        }
        if used.shortcut {
            used.rule(&spec.shortcut.same);
            used.rule(&spec.shortcut.changed);
        }
        used
    }

    fn rule(&mut self, rule: &Rule) {
        match rule {
            Rule::Named(ShortcutRule::Identity | ShortcutRule::Pad) => {}
            Rule::Named(ShortcutRule::Projection | ShortcutRule::AlwaysProject) => {
                (self.plain_norm, self.conv) = (true, true);
            }
            Rule::Layers(calls) => calls.iter().for_each(|call| self.layer(call)),
        }
    }

    fn value(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Number(_) => {}
            ExprKind::Negate(inner) => self.value(inner),
            ExprKind::Sum(parts) | ExprKind::Product(parts) => {
                parts.iter().for_each(|(_, part)| self.value(part))
            }
            ExprKind::Call(call) => {
                self.shortcut |= call.name.text == functions::SHORTCUT.name;
                call.args.iter().flatten().for_each(|arg| self.value(&arg.value));
            }
            ExprKind::Pipeline(start, calls) => {
                self.value(start);
                calls.iter().for_each(|call| self.layer(call));
            }
        }
    }

    fn layer(&mut self, call: &Call) {
        let Ok(bound) = layer::bind(call) else { return };
        match bound.form() {
            Form::Conv => {
                self.conv = true;
                self.linear |= bound.has("bias") && !bound.has("bias_init");
            }
            Form::ChannelConv | Form::Eca => self.conv = true,
            Form::Linear => self.linear = true,
            Form::BatchNorm => self.plain_norm |= bound.is_plain_norm(),
            Form::Scale
            | Form::GroupNorm
            | Form::Activation(_)
            | Form::Dropout
            | Form::DropPath
            | Form::DropBlock
            | Form::MaxPool
            | Form::AvgPool
            | Form::BlurPool
            | Form::GlobalAvgPool
            | Form::GlobalMaxPool
            | Form::PadChannels
            | Form::Flatten => {}
        }
    }
}
