//! What `shortcut` stands for in a unit.

use super::builder::{Builder, Item, Like, Map, Result, Scope, numbers};
use crate::diagnostic::Diagnostic;
use crate::ir::graph::NodeId;
use crate::ir::op::{Init, Op, Param, Shortcut, ShortcutRule};
use crate::ops::ShortcutChange;
use crate::source::Span;
use crate::spec::language::layer::Layer;
use crate::spec::language::tree::{Arg, Call, Expr};
use crate::spec::language::{functions, variables};
use crate::spec::sections::shortcut::Rule;

impl Builder<'_> {
    /// `shortcut`, built once for a term of a sum, or that of another value.
    pub(super) fn shortcut_call(&mut self, call: &Call, scope: &Scope) -> Result<Map> {
        let like = self.like.expect("a mention of the shortcut waits for its sum");
        let Some(&Item::Map(x)) = scope.get("x") else { unreachable!("every unit has an x") };
        if let Some(value) = self.read_value(call, x, like) {
            let value = self.map(value, scope)?;
            return self.shortcut(value, like, call.span);
        }
        if let (None, Some(made)) = (&call.args, like.made) {
            return Ok(made);
        }
        let made = self.shortcut(x, like, call.span)?;
        if let (None, Some(like)) = (&call.args, &mut self.like) {
            like.made = Some(made);
        }
        Ok(made)
    }

    /// What `shortcut(a)` reads: `a`; of `shortcut(same=a, changed=b)` the one of the case that the unit's input is in.
    /// Nothing where it reads the input itself.
    fn read_value<'c>(&self, call: &'c Call, x: Map, like: Like) -> Option<&'c Expr> {
        let args = call.args.as_deref()?;
        let case = if self.is_same(x, like) { functions::SAME } else { functions::CHANGED };
        let wanted = |arg: &&Arg| arg.name.as_ref().is_none_or(|name| name.text == case);
        args.iter().find(wanted).map(|arg| &arg.value)
    }

    /// A value through the rule that holds for it.
    fn shortcut(&mut self, x: Map, like: Like, span: Span) -> Result<Map> {
        if self.spec.init.zero_last_bn {
            self.zero_scale(like.map.value.node);
        }
        let change = self.change(x, like);
        let spec = self.spec;
        let rule = if self.is_same(x, like) { &spec.shortcut.same } else { &spec.shortcut.changed };
        match rule {
            Rule::Named(rule) => self.named(*rule, x, like, span),
            // No stride leads there: shape inference says so.
            Rule::Layers(_) if change == Some(None) => self.named(ShortcutRule::Projection, x, like, span),
            Rule::Layers(calls) => self.ruled(calls, x, like, change.flatten(), span),
        }
    }

    /// What would make a value fit the main branch; the inner `None` where nothing does, the outer one where sizes are not
    /// known.
    fn change(&self, x: Map, like: Like) -> Option<Option<ShortcutChange>> {
        let (x, main) = self.size(x).zip(self.size(like.map))?;
        Some(ShortcutChange::between(x, main))
    }

    /// Whether a value has the main branch's shape.
    fn is_same(&self, x: Map, like: Like) -> bool {
        let change = self.change(x, like).flatten();
        x.channels == like.map.channels && change.is_none_or(|change| change.is_none())
    }

    fn size(&self, map: Map) -> Option<[usize; 4]> {
        self.type_of(map.value)?.shape.nchw()
    }

    /// A rule that the graph knows: what it is, a pass decides.
    fn named(&mut self, rule: ShortcutRule, x: Map, like: Like, span: Span) -> Result<Map> {
        let channels = like.map.channels;
        let fits = match rule {
            ShortcutRule::Identity => x.channels == channels,
            ShortcutRule::Pad => x.channels <= channels,
            ShortcutRule::Projection | ShortcutRule::AlwaysProject => true,
        };
        if !fits {
            let fault = Diagnostic::error("these cannot be added", span, format!("{} channels", x.channels))
                .label(like.span, format!("{channels} channels"))
                .label(self.spec.shortcut.span, "this rule cannot make them agree");
            return Err(Box::new(
                fault.help("`shortcut: projection` puts a 1x1 convolution where shapes differ"),
            ));
        }
        let op = Op::Shortcut(Shortcut { rule, norm: self.spec.norm, init: self.spec.init.conv });
        let node = self.node("shortcut", op, span, &[x.value, like.map.value])?;
        Ok(Map { value: node.into(), channels })
    }

    /// The spec's own layers, named below `shortcut`: `stage2.unit0.shortcut.conv1`.
    fn ruled(
        &mut self,
        calls: &[Call],
        x: Map,
        like: Like,
        change: Option<ShortcutChange>,
        span: Span,
    ) -> Result<Map> {
        let [vertical, stride] = change.map_or([1; 2], |change| change.stride);
        if vertical != stride {
            let text = format!("strides {vertical} and {stride}");
            let fault = Diagnostic::error("a shortcut's layers have one stride", span, text);
            return Err(Box::new(fault.label(like.span, "differs in its two directions")));
        }
        let values = [x.channels, like.map.channels, stride].map(|value| value as f64);
        let mut scope = numbers(std::array::from_fn::<_, 3, _>(|i| (variables::SHORTCUT[i].name, values[i])));
        scope.extend(numbers(self.place.expect("shortcuts stand in units").values()));
        let name = self.name("shortcut");
        let region = std::mem::replace(&mut self.region, name);
        let counts = std::mem::take(&mut self.counts);
        let result = self.pipeline_with(calls, x, &scope, |layer| !is_idle_pooling(layer));
        (self.region, self.counts) = (region, counts);
        let result = result?;
        if result.channels != like.map.channels {
            let fault =
                Diagnostic::error("these cannot be added", span, format!("{} channels", result.channels))
                    .label(like.span, format!("{} channels", like.map.channels))
                    .label(self.spec.shortcut.span, "this rule does not make them agree");
            return Err(Box::new(fault.help("`out` is the number of channels that the main branch has")));
        }
        Ok(result)
    }

    /// Makes a normalisation start with scale 0, also one that a gate or a number multiplies; nothing where the node is
    /// none.
    fn zero_scale(&mut self, node: NodeId) {
        if let Op::Mul(_) | Op::ScaleShift(_) | Op::Drop(_) = self.graph.node(node).op {
            self.graph.operands(node).into_iter().for_each(|factor| self.zero_scale(factor.node));
        }
        if !matches!(self.graph.node(node).op, Op::BatchNorm(_) | Op::GroupNorm(_)) {
            return;
        }
        let scale = self.graph.operands(node)[1].node;
        if let Op::Param(Param { init, .. }) = &mut self.graph.node_mut(scale).op {
            *init = Init::Constant(0.0);
            self.zeroed = true;
        }
    }
}

/// Whether a pooling has nothing to do in a shortcut: no pixel is skipped, so none needs to be gathered.
fn is_idle_pooling(layer: &Layer) -> bool {
    match layer {
        Layer::MaxPool(attrs) | Layer::AvgPool(attrs) => attrs.stride == [1; 2],
        Layer::BlurPool { stride } => *stride == [1; 2],
        Layer::Conv { .. }
        | Layer::Norm(_)
        | Layer::Activate(_)
        | Layer::Drop { .. }
        | Layer::GlobalAvgPool
        | Layer::GlobalMaxPool
        | Layer::ChannelConv { .. }
        | Layer::Eca { .. }
        | Layer::Flatten
        | Layer::PadChannels { .. }
        | Layer::Linear { .. }
        | Layer::Scale(_) => false,
    }
}
