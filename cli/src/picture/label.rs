//! What a box says and how it is coloured: by the kind of the operator.

use resnetc_compiler::ir::graph::Node;
use resnetc_compiler::ir::op::{Activation, ConvAttrs, Epilogue, Op, PoolAttrs};

/// Colour group of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Images, labels.
    Input,
    /// Convolution.
    Conv,
    /// What a shortcut became: projection, padding.
    Shortcut,
    /// Normalisation, affine.
    Norm,
    /// Elementwise.
    Elementwise,
    /// Pooling.
    Pool,
    /// Linear layer, softmax.
    Head,
    /// Loss.
    Loss,
    /// Anything of the backward pass.
    Backward,
}

impl Kind {
    /// In the order of the legend.
    pub const ALL: [Kind; 9] = [
        Kind::Input,
        Kind::Conv,
        Kind::Shortcut,
        Kind::Norm,
        Kind::Elementwise,
        Kind::Pool,
        Kind::Head,
        Kind::Loss,
        Kind::Backward,
    ];

    /// `(fill, border)` on a light or a dark page.
    pub fn colors(self, dark: bool) -> (&'static str, &'static str) {
        let (light, other, border) = match self {
            Kind::Input => ("#f1f3f5", "#30363d", "#868e96"),
            Kind::Conv => ("#dbe9ff", "#1c3a66", "#4a7dc9"),
            Kind::Shortcut => ("#ffe3c2", "#5c3a12", "#d9822b"),
            Kind::Norm => ("#d7f2ec", "#14463b", "#2a9d84"),
            Kind::Elementwise => ("#f3ecff", "#3b2a5c", "#8a63c9"),
            Kind::Pool => ("#dff3d3", "#2b4a1b", "#5f9e3a"),
            Kind::Head => ("#ffe0ee", "#5a2340", "#c2568a"),
            Kind::Loss => ("#ffdad6", "#5c231d", "#c9473a"),
            Kind::Backward => ("#f5ecd7", "#4a3b1a", "#a5854a"),
        };
        (if dark { other } else { light }, border)
    }

    /// Name of the class in CSS.
    pub fn class(self) -> &'static str {
        match self {
            Kind::Input => "input",
            Kind::Conv => "conv",
            Kind::Shortcut => "shortcut",
            Kind::Norm => "norm",
            Kind::Elementwise => "elementwise",
            Kind::Pool => "pool",
            Kind::Head => "classify",
            Kind::Loss => "loss",
            Kind::Backward => "backward",
        }
    }

    /// What the legend says.
    pub fn label(self) -> &'static str {
        match self {
            Kind::Input => "input",
            Kind::Conv => "convolution",
            Kind::Shortcut => "projection",
            Kind::Norm => "bias, normalisation",
            Kind::Elementwise => "sum, product, activation",
            Kind::Pool => "pooling",
            Kind::Head => "classifier",
            Kind::Loss => "loss",
            Kind::Backward => "gradient",
        }
    }

    /// Of what was fused into an operator: `bias`, `add`, `relu`.
    pub fn of_part(part: &str) -> Kind {
        if part == "bias" { Kind::Norm } else { Kind::Elementwise }
    }
}

/// Colour group of a node. A convolution that stands in a shortcut is marked by the segment `shortcut` of its name.
pub fn kind(node: &Node) -> Kind {
    let in_shortcut = node.name.split('.').any(|segment| segment.starts_with("shortcut"));
    match &node.op {
        Op::Input { .. } | Op::Labels { .. } | Op::Param { .. } => Kind::Input,
        Op::Shortcut { .. } | Op::PadShortcut { .. } => Kind::Shortcut,
        Op::Conv { .. } | Op::BatchNorm { .. } | Op::GroupNorm { .. } | Op::Affine { .. } if in_shortcut => {
            Kind::Shortcut
        }
        Op::Conv { .. } => Kind::Conv,
        Op::BatchNorm { .. } | Op::GroupNorm { .. } | Op::Affine { .. } => Kind::Norm,
        Op::Activate { .. }
        | Op::Add { .. }
        | Op::Mul { .. }
        | Op::ScaleShift { .. }
        | Op::Drop { .. }
        | Op::Concat { .. } => Kind::Elementwise,
        Op::MaxPool { .. }
        | Op::AvgPool { .. }
        | Op::GlobalAvgPool
        | Op::GlobalMaxPool
        | Op::BlurPool { .. } => Kind::Pool,
        Op::ChannelConv => Kind::Conv,
        Op::Linear { .. } | Op::Softmax => Kind::Head,
        Op::CrossEntropy { .. } => Kind::Loss,
        Op::ConvBackwardData { .. }
        | Op::ConvBackwardFilter { .. }
        | Op::ChannelSum
        | Op::BatchNormBackward { .. }
        | Op::GroupNormBackward { .. }
        | Op::ActivateBackward { .. }
        | Op::MulBackward { .. }
        | Op::MaxPoolBackward { .. }
        | Op::AvgPoolBackward { .. }
        | Op::GlobalAvgPoolBackward { .. }
        | Op::GlobalMaxPoolBackward { .. }
        | Op::BlurPoolBackward { .. }
        | Op::ChannelConvBackwardData
        | Op::ChannelConvBackwardFilter { .. }
        | Op::ChannelSlice { .. }
        | Op::LinearBackwardData { .. }
        | Op::LinearBackwardFilter
        | Op::PadShortcutBackward { .. }
        | Op::CrossEntropyBackward { .. }
        | Op::SgdUpdate { .. } => Kind::Backward,
    }
}

/// `conv 3x3 /2 + bias + add + relu`
pub fn title(op: &Op) -> String {
    match op {
        Op::Input { .. } => "images".into(),
        Op::Labels { .. } => "labels".into(),
        Op::Param { .. } => "parameter".into(),
        Op::Conv { attrs, bias, epilogue } => {
            format!("conv {}{}{}", window(attrs), if *bias { " + bias" } else { "" }, tail(*epilogue))
        }
        Op::BatchNorm { epilogue, .. } => format!("batch norm{}", tail(*epilogue)),
        Op::GroupNorm { groups, epilogue, .. } => format!("group norm {groups}{}", tail(*epilogue)),
        Op::Affine { epilogue } => format!("scale + shift{}", tail(*epilogue)),
        Op::Activate { act } => activation(*act).into(),
        Op::Add { act } => format!("add{}", tail(Epilogue { residual: false, act: *act })),
        Op::Mul { epilogue } => format!("multiply{}", tail(*epilogue)),
        Op::ScaleShift { scale, shift } => format!("{scale} x {shift:+}"),
        Op::Drop { part, rate, .. } => format!("drop {part} {rate}"),
        Op::MaxPool { attrs } => format!("max pool {}", pool(attrs)),
        Op::AvgPool { attrs } => format!("average pool {}", pool(attrs)),
        Op::GlobalAvgPool => "global average pool".into(),
        Op::GlobalMaxPool => "global max pool".into(),
        Op::BlurPool { stride } => format!("blur{}", step(*stride)),
        Op::ChannelConv => "conv over channels".into(),
        Op::Concat { .. } => "concat".into(),
        Op::Linear { bias } => format!("linear{}", if *bias { " + bias" } else { "" }),
        Op::Shortcut { .. } => "shortcut".into(),
        Op::PadShortcut { stride, channels } => format!("pad to {channels} channels{}", step(*stride)),
        Op::Softmax => "softmax".into(),
        Op::CrossEntropy { .. } => "cross-entropy".into(),
        Op::ConvBackwardData { attrs, residual, .. } => {
            format!("conv {} ∂data{}", window(attrs), if *residual { " + add" } else { "" })
        }
        Op::ConvBackwardFilter { attrs, .. } => format!("conv {} ∂filter", window(attrs)),
        Op::ChannelSum => "sum over channels".into(),
        Op::BatchNormBackward { epilogue } => format!("batch norm{} ∂", tail(*epilogue)),
        Op::GroupNormBackward { groups, epilogue } => format!("group norm {groups}{} ∂", tail(*epilogue)),
        Op::ActivateBackward { act } => format!("{} ∂", activation(*act)),
        Op::MulBackward { epilogue } => format!("multiply{} ∂", tail(*epilogue)),
        Op::MaxPoolBackward { attrs, .. } => format!("max pool {} ∂", pool(attrs)),
        Op::AvgPoolBackward { attrs, .. } => format!("average pool {} ∂", pool(attrs)),
        Op::GlobalAvgPoolBackward { .. } => "global average pool ∂".into(),
        Op::GlobalMaxPoolBackward { .. } => "global max pool ∂".into(),
        Op::BlurPoolBackward { .. } => "blur ∂".into(),
        Op::ChannelConvBackwardData => "conv over channels ∂data".into(),
        Op::ChannelConvBackwardFilter { .. } => "conv over channels ∂filter".into(),
        Op::ChannelSlice { start, channels } => format!("channels {start}..{}", start + channels),
        Op::LinearBackwardData { .. } => "linear ∂data".into(),
        Op::LinearBackwardFilter => "linear ∂filter".into(),
        Op::PadShortcutBackward { .. } => "pad ∂".into(),
        Op::CrossEntropyBackward { .. } => "cross-entropy ∂".into(),
        Op::SgdUpdate { .. } => "sgd".into(),
    }
}

fn window(attrs: &ConvAttrs) -> String {
    let mut text = format!("{}x{}{}", attrs.kernel[0], attrs.kernel[1], step(attrs.stride));
    if attrs.dilation != [1, 1] {
        text += &format!(" dilated {}", attrs.dilation[0]);
    }
    if attrs.groups > 1 {
        text += &format!(" {} groups", attrs.groups);
    }
    text
}

fn pool(attrs: &PoolAttrs) -> String {
    format!("{}x{}{}", attrs.kernel[0], attrs.kernel[1], step(attrs.stride))
}

/// ` /2` where the stride is not 1.
fn step(stride: [usize; 2]) -> String {
    match stride {
        [1, 1] => String::new(),
        [a, b] if a == b => format!(" /{a}"),
        [a, b] => format!(" /{a}x{b}"),
    }
}

fn tail(epilogue: Epilogue) -> String {
    let add = if epilogue.residual { " + add" } else { "" };
    epilogue.act.map_or(add.to_owned(), |act| format!("{add} + {}", activation(act)))
}

fn activation(act: Activation) -> &'static str {
    match act {
        Activation::Relu => "relu",
        Activation::LeakyRelu { .. } => "leaky relu",
        Activation::Sigmoid => "sigmoid",
        Activation::Tanh => "tanh",
        Activation::Silu => "silu",
        Activation::Gelu => "gelu",
    }
}
