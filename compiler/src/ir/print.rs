//! The one text form of a graph: deterministic, free of ids, a line per node in an order of execution.
//!
//! ```text
//! stem.conv1 = conv 7x7 s2 p3 (input, stem.conv1.weight) : f32 1x64x112x112 nhwc
//! ```
//!
//! A node's first result is written as the node's name, further ones as `name:1`. What passes did to the node follows
//! as `; sentence`.

use std::fmt;

use super::graph::{Graph, Mode, NodeId, Stage, Value};
use super::op::{
    Activation, BnTensors, ConvAttrs, DropPart, Epilogue, Init, Op, PoolAttrs, Recipe, Role, ShortcutRule,
};
use super::types::{Layout, TensorType};

/// The whole graph, ending in a line break.
impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "graph {} ({}, {})", self.name, self.mode, self.stage)?;
        for id in self.ids() {
            self.fmt_node(f, id)?;
        }
        for (name, value) in &self.outputs {
            writeln!(f, "output {name} = {}", self.value_name(*value))?;
        }
        Ok(())
    }
}

impl Graph {
    /// How a value is written: its node's name, with `:port` for further results.
    pub fn value_name(&self, value: Value) -> String {
        let name = &self.node(value.node).name;
        if value.port == 0 { name.clone() } else { format!("{name}:{}", value.port) }
    }

    fn fmt_node(&self, f: &mut fmt::Formatter<'_>, id: NodeId) -> fmt::Result {
        let node = self.node(id);
        write!(f, "{} = {}", node.name, node.op)?;
        let operands = self.operands(id);
        if !operands.is_empty() {
            let names: Vec<String> = operands.iter().map(|&v| self.value_name(v)).collect();
            write!(f, " ({})", names.join(", "))?;
        }
        for (i, ty) in node.types.iter().enumerate() {
            write!(f, "{}{ty}", if i == 0 { " : " } else { ", " })?;
        }
        for sentence in &node.history {
            write!(f, " ; {sentence}")?;
        }
        writeln!(f)
    }
}

/// `f32 1x64x56x56 nhwc`; the plain layout is not written.
impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.dtype, self.shape)?;
        match self.layout {
            Layout::Plain => Ok(()),
            Layout::Nhwc => f.write_str(" nhwc"),
            Layout::Hwio => f.write_str(" hwio"),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Infer => "infer",
            Mode::Train => "train",
        })
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Built => "built",
            Stage::Typed => "typed",
            Stage::Expanded => "expanded",
            Stage::Fused => "fused",
            Stage::Differentiated => "differentiated",
            Stage::LaidOut => "laid_out",
        })
    }
}

/// Operator and attributes: `conv 3x3 s1 p1 +bias +relu`. Defaults are not written.
impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Input { .. } => f.write_str("input"),
            Op::Labels { .. } => f.write_str("labels"),
            Op::Param { role, init, recipe, .. } => write!(f, "param {role} {init}{recipe}"),
            Op::Conv { attrs, bias, epilogue } => write!(f, "conv {attrs}{}{epilogue}", flag(*bias, "bias")),
            Op::BatchNorm { eps, momentum, epilogue } => {
                write!(f, "batch_norm eps={eps} momentum={momentum}{epilogue}")
            }
            Op::GroupNorm { groups, eps, epilogue } => write!(f, "group_norm g{groups} eps={eps}{epilogue}"),
            Op::Affine { epilogue } => write!(f, "affine{epilogue}"),
            Op::Activate { act } => write!(f, "{act}"),
            Op::Add { act } => write!(f, "add{}", Epilogue { residual: false, act: *act }),
            Op::Mul { epilogue } => write!(f, "mul{epilogue}"),
            Op::ScaleShift { scale, shift } => write!(f, "scale_shift {scale} {shift:+}"),
            Op::Drop { part, rate, .. } => write!(f, "drop {part} {rate}"),
            Op::MaxPool { attrs } => write!(f, "max_pool {attrs}"),
            Op::AvgPool { attrs } => write!(f, "avg_pool {attrs}"),
            Op::GlobalAvgPool => f.write_str("global_avg_pool"),
            Op::GlobalMaxPool => f.write_str("global_max_pool"),
            Op::BlurPool { stride } => write!(f, "blur_pool s{}", pair(*stride)),
            Op::ChannelConv => f.write_str("channel_conv"),
            Op::Concat { .. } => f.write_str("concat"),
            Op::Linear { bias } => write!(f, "linear{}", flag(*bias, "bias")),
            Op::Shortcut { rule, .. } => write!(f, "shortcut {rule}"),
            Op::PadShortcut { stride, channels } => write!(f, "pad_shortcut s{} c{channels}", pair(*stride)),
            Op::Softmax => f.write_str("softmax"),
            Op::CrossEntropy { smoothing } => write!(f, "cross_entropy smoothing={smoothing}"),
            Op::ConvBackwardData { attrs, residual, .. } => {
                write!(f, "conv_backward_data {attrs}{}", flag(*residual, "add"))
            }
            Op::ConvBackwardFilter { attrs, .. } => write!(f, "conv_backward_filter {attrs}"),
            Op::ChannelSum => f.write_str("channel_sum"),
            Op::BatchNormBackward { epilogue } => write!(f, "batch_norm_backward{epilogue}"),
            Op::GroupNormBackward { groups, epilogue } => {
                write!(f, "group_norm_backward g{groups}{epilogue}")
            }
            Op::ActivateBackward { act } => write!(f, "{act}_backward"),
            Op::MulBackward { epilogue } => write!(f, "mul_backward{epilogue}"),
            Op::MaxPoolBackward { attrs, .. } => write!(f, "max_pool_backward {attrs}"),
            Op::AvgPoolBackward { attrs, .. } => write!(f, "avg_pool_backward {attrs}"),
            Op::GlobalAvgPoolBackward { .. } => f.write_str("global_avg_pool_backward"),
            Op::GlobalMaxPoolBackward { .. } => f.write_str("global_max_pool_backward"),
            Op::BlurPoolBackward { stride, .. } => write!(f, "blur_pool_backward s{}", pair(*stride)),
            Op::ChannelConvBackwardData => f.write_str("channel_conv_backward_data"),
            Op::ChannelConvBackwardFilter { .. } => f.write_str("channel_conv_backward_filter"),
            Op::ChannelSlice { start, channels } => {
                write!(f, "channel_slice {start}..{}", start + channels)
            }
            Op::LinearBackwardData { .. } => f.write_str("linear_backward_data"),
            Op::LinearBackwardFilter => f.write_str("linear_backward_filter"),
            Op::PadShortcutBackward { stride, .. } => write!(f, "pad_shortcut_backward s{}", pair(*stride)),
            Op::CrossEntropyBackward { smoothing } => {
                write!(f, "cross_entropy_backward smoothing={smoothing}")
            }
            Op::SgdUpdate { sgd } => {
                write!(f, "sgd_update momentum={} weight_decay={}", sgd.momentum, sgd.weight_decay)?;
                if sgd.dampening != 0.0 {
                    write!(f, " dampening={}", sgd.dampening)?;
                }
                f.write_str(if sgd.nesterov { " nesterov" } else { "" })
            }
        }
    }
}

fn flag(set: bool, name: &str) -> String {
    if set { format!(" +{name}") } else { String::new() }
}

/// `2`, or `2x1` where the two differ.
fn pair([a, b]: [usize; 2]) -> String {
    if a == b { a.to_string() } else { format!("{a}x{b}") }
}

/// `3x3 s1 p1 d2 g32`; no padding, dilation 1 and one group are not written.
impl fmt::Display for ConvAttrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{} s{}", self.kernel[0], self.kernel[1], pair(self.stride))?;
        if self.padding != [0, 0] {
            write!(f, " p{}", pair(self.padding))?;
        }
        if self.dilation != [1, 1] {
            write!(f, " d{}", pair(self.dilation))?;
        }
        if self.groups != 1 {
            write!(f, " g{}", self.groups)?;
        }
        Ok(())
    }
}

/// `3x3 s2 p1 ceil`
impl fmt::Display for PoolAttrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{} s{}", self.kernel[0], self.kernel[1], pair(self.stride))?;
        if self.padding != [0, 0] {
            write!(f, " p{}", pair(self.padding))?;
        }
        write!(f, "{}", if self.ceil { " ceil" } else { "" })?;
        write!(f, "{}", if self.count_padding { " count_padding" } else { "" })
    }
}

/// ` +add +relu`
impl fmt::Display for Epilogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.residual { " +add" } else { "" })?;
        self.act.map_or(Ok(()), |act| write!(f, " +{act}"))
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Activation::Relu => f.write_str("relu"),
            Activation::LeakyRelu { slope } => write!(f, "leaky_relu({slope})"),
            Activation::Sigmoid => f.write_str("sigmoid"),
            Activation::Tanh => f.write_str("tanh"),
            Activation::Silu => f.write_str("silu"),
            Activation::Gelu => f.write_str("gelu"),
        }
    }
}

impl fmt::Display for DropPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DropPart::Element => f.write_str("elements"),
            DropPart::Image => f.write_str("images"),
            DropPart::Block { size } => write!(f, "blocks {size}x{size}"),
        }
    }
}

impl fmt::Display for Init {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Init::Constant(value) => write!(f, "constant({value})"),
            Init::Normal { std } => write!(f, "normal({std})"),
            Init::TruncatedNormal { std } => write!(f, "truncated_normal({std})"),
            Init::Uniform { bound } => write!(f, "uniform({bound})"),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::ConvWeight => "conv_weight",
            Role::LinearWeight => "linear_weight",
            Role::Bias => "bias",
            Role::NormScale => "norm_scale",
            Role::NormShift => "norm_shift",
            Role::RunningMean => "running_mean",
            Role::RunningVar => "running_var",
        })
    }
}

/// Empty for a tensor of its own, ` folded_weight[...]` otherwise.
impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Recipe::Own => Ok(()),
            Recipe::FoldedWeight { weight, bn } => write!(f, " folded_weight[{weight}, {bn}]"),
            Recipe::FoldedShift { bias: Some(bias), bn } => write!(f, " folded_shift[{bias}, {bn}]"),
            Recipe::FoldedShift { bias: None, bn } => write!(f, " folded_shift[{bn}]"),
            Recipe::FoldedScale { bn } => write!(f, " folded_scale[{bn}]"),
        }
    }
}

/// The four tensors and epsilon.
impl fmt::Display for BnTensors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {}, {}, eps={}", self.scale, self.shift, self.mean, self.var, self.eps)
    }
}

impl fmt::Display for ShortcutRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ShortcutRule::Identity => "identity",
            ShortcutRule::Pad => "pad",
            ShortcutRule::Projection => "projection",
            ShortcutRule::AlwaysProject => "always_project",
        })
    }
}
