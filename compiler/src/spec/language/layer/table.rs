//! The table of layers: what each is called, and which arguments it takes.

/// Largest window and dilation.
pub const MAX_WINDOW: usize = 1 << 8;
/// Largest share that a random layer drops.
pub const MAX_RATE: f64 = 0.999;
/// Most channels or features.
pub const MAX_CHANNELS: usize = 1 << 20;

/// Kinds of layers, before their arguments are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Conv,
    Scale,
    BatchNorm,
    GroupNorm,
    Relu,
    LeakyRelu,
    Sigmoid,
    Tanh,
    Silu,
    Gelu,
    Dropout,
    DropPath,
    DropBlock,
    MaxPool,
    AvgPool,
    BlurPool,
    GlobalAvgPool,
    GlobalMaxPool,
    ChannelConv,
    Eca,
    Linear,
}

/// An argument that a layer takes.
#[derive(Debug)]
pub struct Parameter {
    pub name: &'static str,
    pub required: bool,
    pub flag: bool,
}

const fn required(name: &'static str) -> Parameter {
    Parameter { name, required: true, flag: false }
}

const fn number(name: &'static str) -> Parameter {
    Parameter { name, required: false, flag: false }
}

const fn flag(name: &'static str) -> Parameter {
    Parameter { name, required: false, flag: true }
}

/// Name, whether a window `KxK` follows it, form and parameters of every layer.
pub const LAYERS: &[(&str, bool, Form, &[Parameter])] = &[
    (
        "conv",
        true,
        Form::Conv,
        &[
            required("out"),
            number("stride"),
            number("padding"),
            number("dilation"),
            number("groups"),
            flag("bias"),
            number("bias_init"),
        ],
    ),
    ("scale", false, Form::Scale, &[required("by")]),
    ("bn", false, Form::BatchNorm, &[number("eps"), number("momentum")]),
    ("group_norm", false, Form::GroupNorm, &[number("groups"), number("eps")]),
    ("relu", false, Form::Relu, &[]),
    ("leaky_relu", false, Form::LeakyRelu, &[number("slope")]),
    ("sigmoid", false, Form::Sigmoid, &[]),
    ("tanh", false, Form::Tanh, &[]),
    ("silu", false, Form::Silu, &[]),
    ("gelu", false, Form::Gelu, &[]),
    ("dropout", false, Form::Dropout, &[required("p")]),
    ("drop_path", false, Form::DropPath, &[required("p")]),
    ("drop_block", false, Form::DropBlock, &[required("p"), required("size")]),
    ("maxpool", true, Form::MaxPool, &[number("stride"), number("padding"), flag("ceil")]),
    (
        "avgpool",
        true,
        Form::AvgPool,
        &[number("stride"), number("padding"), flag("ceil"), flag("count_padding")],
    ),
    ("blurpool", false, Form::BlurPool, &[number("stride")]),
    ("global_avgpool", false, Form::GlobalAvgPool, &[]),
    ("global_maxpool", false, Form::GlobalMaxPool, &[]),
    ("channel_conv", false, Form::ChannelConv, &[number("kernel")]),
    ("eca", false, Form::Eca, &[number("kernel")]),
    ("linear", false, Form::Linear, &[required("out"), flag("bias")]),
];

/// Names for people, in suggestions.
pub const EXAMPLES: &[&str] = &[
    "conv1x1",
    "conv3x3",
    "conv5x5",
    "conv7x7",
    "bn",
    "group_norm",
    "relu",
    "leaky_relu",
    "sigmoid",
    "tanh",
    "silu",
    "gelu",
    "dropout",
    "drop_path",
    "drop_block",
    "maxpool2x2",
    "maxpool3x3",
    "avgpool2x2",
    "blurpool",
    "global_avgpool",
    "global_maxpool",
    "channel_conv",
    "eca",
    "linear",
    "scale",
];

/// Layers that are complete by their name alone; windowed ones are not among them.
pub fn names_alone() -> Vec<&'static str> {
    let alone = |params: &[Parameter]| params.iter().all(|p| !p.required);
    LAYERS
        .iter()
        .filter(|(_, windowed, _, params)| !windowed && alone(params))
        .map(|&(name, ..)| name)
        .collect()
}
