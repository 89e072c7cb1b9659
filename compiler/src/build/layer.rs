//! Layers to nodes and their parameters.

use super::builder::{Builder, Map, Result};
use crate::diagnostic::Diagnostic;
use crate::ir::graph::{NodeId, Value};
use crate::ir::op::{
    Activate, Activation, AvgPool, BlurPool, ChannelConv, Conv, ConvAttrs, Drop, DropPart, Epilogue, Flatten,
    GlobalAvgPool, GlobalMaxPool, Init, Linear, MaxPool, Mul, Norm, Op, PadChannels, Param, Recipe, Role,
};
use crate::ir::types::Shape;
use crate::source::Span;
use crate::spec::language::layer::Layer;
use crate::spec::sections::init::resolve as initial;

impl Builder<'_> {
    pub(super) fn layer(&mut self, layer: Layer, span: Span, x: Map) -> Result<Map> {
        let same = |node: NodeId| Map { value: node.into(), channels: x.channels };
        Ok(match layer {
            Layer::Conv { out, attrs, bias, bias_init } => {
                let bias = bias.then_some(bias_init);
                self.conv(out, attrs, bias, span, x)?
            }
            Layer::Scale(by) => self.scale_shift(x, by, 0.0, span)?,
            Layer::Norm(norm) => same(self.norm(norm, span, x)?),
            Layer::Activate(act) => {
                same(self.node(act.info().name, Op::Activate(Activate { act }), span, &[x.value])?)
            }
            Layer::Drop { rate: 0.0, .. } => x,
            Layer::Drop { part, rate } => {
                let name = self.name(drop_kind(part));
                let op = Op::Drop(Drop { part, rate, stream: stream(&name) });
                same(self.insert(name, op, span, &[x.value])?)
            }
            Layer::MaxPool(attrs) => {
                same(self.node("maxpool", Op::MaxPool(MaxPool { attrs }), span, &[x.value])?)
            }
            Layer::AvgPool(attrs) => {
                same(self.node("avgpool", Op::AvgPool(AvgPool { attrs }), span, &[x.value])?)
            }
            Layer::BlurPool { stride } => {
                same(self.node("blur", Op::BlurPool(BlurPool { stride }), span, &[x.value])?)
            }
            Layer::GlobalAvgPool => {
                same(self.node("pool", Op::GlobalAvgPool(GlobalAvgPool), span, &[x.value])?)
            }
            Layer::GlobalMaxPool => {
                same(self.node("maxpool", Op::GlobalMaxPool(GlobalMaxPool), span, &[x.value])?)
            }
            Layer::ChannelConv { kernel } => self.channel_conv(kernel, span, x)?,
            Layer::Eca { kernel } => self.eca(kernel, span, x)?,
            Layer::Linear { out, bias } => self.linear(out, bias, span, x)?,
            Layer::Flatten => same(self.node("flatten", Op::Flatten(Flatten), span, &[x.value])?),
            Layer::PadChannels { out, before } => self.pad_channels(out, before, span, x)?,
        })
    }

    fn norm(&mut self, norm: Norm, span: Span, x: Map) -> Result<NodeId> {
        if let Norm::Group { groups, .. } = norm
            && !x.channels.is_multiple_of(groups)
        {
            let text = format!("{} channels in {groups} groups", x.channels);
            let mut fault = Diagnostic::error("the groups do not divide the channels", span, text);
            if norm == self.spec.norm
                && let Some(place) = self.spec.keys.get("norm").filter(|&place| place != span)
            {
                fault = fault.label(place, "`bn` stands for this");
            }
            let maker = self.graph.node(x.value.node);
            if !maker.span.is_none() && maker.span != span {
                fault = fault.label(maker.span, format!("`{}` gives {} channels", maker.name, x.channels));
            }
            return Err(Box::new(fault.help(divisors(x.channels, groups))));
        }
        let name = self.name(norm.name());
        let mut operands = vec![x.value];
        for &(part, role, first) in norm.tensors() {
            operands.push(self.param(&name, part, vec![x.channels], role, Init::Constant(first), span)?);
        }
        self.insert(name, norm.op(), span, &operands)
    }

    /// A convolution; of its bias, the inner `None` means that it is drawn.
    fn conv(
        &mut self,
        out: usize,
        attrs: ConvAttrs,
        bias: Option<Option<f32>>,
        span: Span,
        x: Map,
    ) -> Result<Map> {
        let (groups, cin) = (attrs.groups, x.channels);
        if !cin.is_multiple_of(groups) || !out.is_multiple_of(groups) {
            let which = if cin.is_multiple_of(groups) { "output" } else { "input" };
            let channels = if which == "input" { cin } else { out };
            let text = format!("{channels} {which} channels in {groups} groups");
            let fault = Diagnostic::error("the groups do not divide the channels", span, text);
            return Err(Box::new(fault.help("both channel counts must be multiples of `groups`")));
        }
        let name = self.name("conv");
        let [kh, kw] = attrs.kernel;
        let (fan_in, fan_out) = (cin / groups * kh * kw, out * kh * kw);
        let init = initial(self.spec.init.conv, fan_in, fan_out);
        let shape = vec![out, cin / groups, kh, kw];
        let mut operands = vec![x.value, self.param(&name, "weight", shape, Role::ConvWeight, init, span)?];
        if let Some(first) = bias {
            let drawn = initial(self.spec.init.linear, fan_in, fan_out);
            let init = first.map_or(drawn, Init::Constant);
            operands.push(self.param(&name, "bias", vec![out], Role::Bias, init, span)?);
        }
        let op = Op::Conv(Conv { attrs, bias: bias.is_some(), epilogue: Epilogue::default() });
        Ok(Map { value: self.insert(name, op, span, &operands)?.into(), channels: out })
    }

    /// Along the channels of a map of one pixel.
    fn channel_conv(&mut self, kernel: Option<usize>, span: Span, x: Map) -> Result<Map> {
        let kernel = kernel.unwrap_or_else(|| eca_kernel(x.channels));
        let name = self.name("channel_conv");
        let init = initial(self.spec.init.conv, kernel, kernel);
        let weight = self.param(&name, "weight", vec![1, 1, kernel], Role::ConvWeight, init, span)?;
        let node = self.insert(name, Op::ChannelConv(ChannelConv), span, &[x.value, weight])?;
        Ok(Map { value: node.into(), channels: x.channels })
    }

    /// `x * sigmoid(channel_conv(mean of the image))` (Wang et al. 2020).
    fn eca(&mut self, kernel: Option<usize>, span: Span, x: Map) -> Result<Map> {
        let gates =
            [Layer::GlobalAvgPool, Layer::ChannelConv { kernel }, Layer::Activate(Activation::Sigmoid)];
        let mut gate = x;
        for layer in gates {
            gate = self.layer(layer, span, gate)?;
        }
        let op = Op::Mul(Mul { epilogue: Epilogue::default() });
        Ok(Map { value: self.node("mul", op, span, &[x.value, gate.value])?.into(), channels: x.channels })
    }

    fn pad_channels(&mut self, out: usize, before: usize, span: Span, x: Map) -> Result<Map> {
        if before.saturating_add(x.channels) > out {
            let zeros =
                if before == 0 { String::new() } else { format!(" and {before} of zeros before them") };
            let text = format!("{} channels{zeros} are more than {out}", x.channels);
            let fault = Diagnostic::error("padding can only add channels", span, text);
            return Err(Box::new(fault.help("`conv1x1(f)` takes a map to fewer channels")));
        }
        if out == x.channels {
            return Ok(x);
        }
        let op = Op::PadChannels(PadChannels { channels: out, before });
        Ok(Map { value: self.node("pad", op, span, &[x.value])?.into(), channels: out })
    }

    fn linear(&mut self, out: usize, bias: bool, span: Span, x: Map) -> Result<Map> {
        let name = self.name("linear");
        let init = initial(self.spec.init.linear, x.channels, out);
        let weight = self.param(&name, "weight", vec![out, x.channels], Role::LinearWeight, init, span)?;
        let mut operands = vec![x.value, weight];
        if bias {
            operands.push(self.param(&name, "bias", vec![out], Role::Bias, init, span)?);
        }
        Ok(Map {
            value: self.insert(name, Op::Linear(Linear { bias }), span, &operands)?.into(),
            channels: out,
        })
    }

    fn param(
        &mut self,
        layer: &str,
        part: &str,
        shape: Vec<usize>,
        role: Role,
        init: Init,
        span: Span,
    ) -> Result<Value> {
        let (shape, limits) = (Shape(shape), &self.spec.limits);
        let total = shape.numel().and_then(|n| self.params.checked_add(n));
        let total = total.filter(|&n| n <= limits.parameters);
        let Some(total) = total else {
            let fault = Diagnostic::error(
                "the network has too many parameters",
                span,
                format!("a weight of {shape}"),
            );
            return Err(Box::new(fault.help(limits.way_out("parameters"))));
        };
        self.params = total;
        let op = Op::Param(Param { shape, role, init, recipe: Recipe::Own });
        Ok(self.insert(format!("{layer}.{part}"), op, span, &[])?.into())
    }
}

/// ECA's rule (Wang et al. 2020, equation 12): the odd number next to `(log2(channels) + 1) / 2`, rounded down first as in
/// the authors' code; at least 3, as timm has it.
fn eca_kernel(channels: usize) -> usize {
    let t = (((channels as f64).log2() + 1.0) / 2.0) as usize;
    (if t % 2 == 1 { t } else { t + 1 }).max(3)
}

/// The random stream of a node: its name, hashed (FNV-1a).
fn stream(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn drop_kind(part: DropPart) -> &'static str {
    match part {
        DropPart::Element => "dropout",
        DropPart::Image => "drop_path",
        DropPart::Block { .. } => "drop_block",
    }
}

/// What numbers of channels and groups fit together.
fn divisors(channels: usize, groups: usize) -> String {
    let all: Vec<usize> = (1..=channels.min(64)).filter(|n| channels.is_multiple_of(*n)).collect();
    let all: Vec<String> = all.iter().map(usize::to_string).collect();
    format!(
        "{groups} groups need a multiple of {groups} channels; {channels} channels can have groups: {}",
        all.join(", ")
    )
}
