//! The table of layers: what each is called, which arguments it takes, and what it does.

use std::sync::LazyLock;

use crate::ir::op::Activation;
use crate::spec::default::Default;

/// Largest window and dilation.
pub const MAX_WINDOW: usize = 1 << 8;
/// Largest share that a random layer drops.
pub const MAX_RATE: f64 = 0.999;
/// Most channels or features.
pub const MAX_CHANNELS: usize = 1 << 20;

/// Kinds of layers, before their arguments are read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Form {
    Conv,
    Scale,
    BatchNorm,
    GroupNorm,
    /// An argument `slope` replaces the one in it.
    Activation(Activation),
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
    PadChannels,
    Flatten,
}

/// A layer.
#[derive(Debug)]
pub struct Entry {
    /// What it is called; a window `KxK` follows where it has one.
    pub name: &'static str,
    /// Windows that suggestions name; none where the layer has no window.
    pub windows: &'static [&'static str],
    /// Which it is.
    pub form: Form,
    /// Its arguments, in the order in which those without names are given.
    pub parameters: &'static [Parameter],
    /// What it does, one line.
    pub about: &'static str,
}

/// An argument that a layer takes.
#[derive(Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// Whether a call without it is wrong.
    pub required: bool,
    /// What holds in calls without it.
    pub default: Default,
    /// What it means, one line.
    pub about: &'static str,
}

/// What an argument may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// A whole number in a range.
    Whole(usize, usize),
    /// An odd number in a range.
    Odd(usize, usize),
    /// A number in a range.
    Real(f64, f64),
    /// `true` or `false`; its name alone means `true`.
    Flag,
}

impl Parameter {
    const fn new(name: &'static str, kind: Kind, default: Default, about: &'static str) -> Self {
        Parameter { name, kind, required: false, default, about }
    }

    const fn required(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Parameter { required: true, ..Parameter::new(name, kind, Default::Nothing, about) }
    }

    const fn value(name: &'static str, kind: Kind, default: &'static str, about: &'static str) -> Self {
        Parameter::new(name, kind, Default::Value(default), about)
    }

    const fn told(name: &'static str, kind: Kind, default: &'static str, about: &'static str) -> Self {
        Parameter::new(name, kind, Default::Told(default), about)
    }

    /// Whether its name alone gives it.
    pub fn is_flag(&self) -> bool {
        self.kind == Kind::Flag
    }
}

/// Window, stride, dilation.
const SIZE: Kind = Kind::Whole(1, MAX_WINDOW);
/// Channels, features, groups.
const CHANNELS: Kind = Kind::Whole(1, MAX_CHANNELS);
const EPS: Parameter =
    Parameter::value("eps", Kind::Real(1e-12, 1.0), "1e-5", "added to the variance, under the root");
const RATE: Parameter = Parameter::required("p", Kind::Real(0.0, MAX_RATE), "the share that is dropped");
const POOL_STRIDE: Parameter =
    Parameter::told("stride", SIZE, "the window", "step between windows, in both directions");
const CEIL: Parameter = Parameter::value(
    "ceil",
    Kind::Flag,
    "false",
    "whether the size of the result is rounded up instead of down",
);
const KERNEL: Parameter = Parameter::told(
    "kernel",
    Kind::Odd(1, MAX_WINDOW),
    "by the rule of Wang et al. 2020: the odd number next to `(log2(channels) + 1) / 2`, 3 at least",
    "channels that the filter spans",
);

/// What the activation with a number takes.
const SLOPE: Parameter =
    Parameter::value("slope", Kind::Real(1e-6, 1.0), "0.01", "factor of negative values");

/// The layer of an activation, which is described where the activation is.
fn activation(act: Activation) -> Entry {
    let parameters: &[Parameter] = if act.parameter().is_some() { &[SLOPE] } else { &[] };
    let info = act.info();
    Entry { name: info.name, windows: &[], form: Form::Activation(act), parameters, about: info.about }
}

/// All layers.
pub static LAYERS: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let activations = Activation::ALL.iter().map(|&act| activation(act));
    WEIGHTED.into_iter().chain(activations).chain(OTHERS).collect()
});

/// Convolutions and normalisations.
const WEIGHTED: [Entry; 3] = [
    Entry {
        name: "conv",
        windows: &["1x1", "3x3", "5x5", "7x7"],
        form: Form::Conv,
        parameters: &[
            Parameter::required("out", CHANNELS, "channels of the result"),
            Parameter::value(
                "stride",
                SIZE,
                "1",
                "step between the pixels of the result, in both directions",
            ),
            Parameter::told(
                "padding",
                Kind::Whole(0, MAX_WINDOW * MAX_WINDOW),
                "`dilation * (K - 1) / 2`: with stride 1 an odd window keeps the size",
                "rows and columns of zeros on each side",
            ),
            Parameter::value("dilation", SIZE, "1", "step between the pixels under the window"),
            Parameter::value(
                "groups",
                CHANNELS,
                "1",
                "parts that input and output channels are cut into; each output part reads one input part",
            ),
            Parameter::value("bias", Kind::Flag, "false", "whether a bias is added"),
            Parameter::told(
                "bias_init",
                Kind::Real(-1e3, 1e3),
                "drawn from `init.linear`",
                "initial value of the bias, which `bias` has to give",
            ),
        ],
        about: "Convolution.",
    },
    Entry {
        name: "bn",
        windows: &[],
        form: Form::BatchNorm,
        parameters: &[
            EPS,
            Parameter::value(
                "momentum",
                Kind::Real(0.0, 1.0),
                "0.1",
                "weight of the batch in the running statistics, as in PyTorch",
            ),
        ],
        about: "Batch normalisation. `bn` without arguments stands for what the key `norm` says.",
    },
    Entry {
        name: "group_norm",
        windows: &[],
        form: Form::GroupNorm,
        parameters: &[
            Parameter::value("groups", CHANNELS, "32", "number of groups; divides the channels"),
            EPS,
        ],
        about: "Group normalisation: statistics of each image and each group of channels (Wu and He 2018).",
    },
];

/// What stands behind the activations.
const OTHERS: [Entry; 14] = [
    Entry {
        name: "dropout",
        windows: &[],
        form: Form::Dropout,
        parameters: &[RATE],
        about: "In training, sets random values to 0 and scales the others by `1 / (1 - p)`.",
    },
    Entry {
        name: "drop_path",
        windows: &[],
        form: Form::DropPath,
        parameters: &[RATE],
        about: "In training, sets all values of random images of the batch to 0: stochastic depth (Huang et al. 2016).",
    },
    Entry {
        name: "drop_block",
        windows: &[],
        form: Form::DropBlock,
        parameters: &[RATE, Parameter::required("size", SIZE, "rows and columns of a square")],
        about: "In training, sets random squares of a feature map to 0 (Ghiasi et al. 2018).",
    },
    Entry {
        name: "maxpool",
        windows: &["2x2", "3x3"],
        form: Form::MaxPool,
        parameters: &[
            POOL_STRIDE,
            Parameter::told(
                "padding",
                Kind::Whole(0, MAX_WINDOW),
                "`(K - 1) / 2` of an odd window, 0 of an even one",
                "rows and columns on each side that no maximum reads; half of the window at most",
            ),
            CEIL,
        ],
        about: "Maximum over windows.",
    },
    Entry {
        name: "avgpool",
        windows: &["2x2"],
        form: Form::AvgPool,
        parameters: &[
            POOL_STRIDE,
            Parameter::value(
                "padding",
                Kind::Whole(0, MAX_WINDOW),
                "0",
                "rows and columns of zeros on each side; half of the window at most",
            ),
            CEIL,
            Parameter::value("count_padding", Kind::Flag, "true", "whether means count the padding's zeros"),
        ],
        about: "Mean over windows.",
    },
    Entry {
        name: "blurpool",
        windows: &[],
        form: Form::BlurPool,
        parameters: &[Parameter::value("stride", SIZE, "2", "step between the pixels of the result")],
        about: "Blur with the filter `[1, 2, 1] / 4` in both directions, borders mirrored, then every `stride`-th pixel (Zhang 2019).",
    },
    Entry {
        name: "global_avgpool",
        windows: &[],
        form: Form::GlobalAvgPool,
        parameters: &[],
        about: "Mean over the image: one pixel remains.",
    },
    Entry {
        name: "global_maxpool",
        windows: &[],
        form: Form::GlobalMaxPool,
        parameters: &[],
        about: "Maximum over the image: one pixel remains.",
    },
    Entry {
        name: "channel_conv",
        windows: &[],
        form: Form::ChannelConv,
        parameters: &[KERNEL],
        about: "Convolution along the channels of a map of one pixel.",
    },
    Entry {
        name: "eca",
        windows: &[],
        form: Form::Eca,
        parameters: &[KERNEL],
        about: "Efficient channel attention: `x * gate` with `gate = x -> global_avgpool -> channel_conv(kernel) -> sigmoid` (Wang et al. 2020).",
    },
    Entry {
        name: "linear",
        windows: &[],
        form: Form::Linear,
        parameters: &[
            Parameter::required("out", CHANNELS, "features of the result"),
            Parameter::value("bias", Kind::Flag, "true", "whether a bias is added"),
        ],
        about: "Fully connected layer, on a map of one pixel.",
    },
    Entry {
        name: "flatten",
        windows: &[],
        form: Form::Flatten,
        parameters: &[],
        about: "A map of one pixel as a vector: what logits are.",
    },
    Entry {
        name: "pad_channels",
        windows: &[],
        form: Form::PadChannels,
        parameters: &[
            Parameter::required("out", CHANNELS, "channels of the result"),
            Parameter::value(
                "before",
                Kind::Whole(0, MAX_CHANNELS),
                "0",
                "how many of the zeros' channels stand before those of the map; the others stand behind",
            ),
        ],
        about: "Channels of zeros beside those of the map (Han et al. 2017).",
    },
    Entry {
        name: "scale",
        windows: &[],
        form: Form::Scale,
        parameters: &[Parameter::required("by", Kind::Real(-1e6, 1e6), "the constant")],
        about: "All values times a constant.",
    },
];

impl Entry {
    /// Whether a window follows its name.
    pub fn is_windowed(&self) -> bool {
        !self.windows.is_empty()
    }
}

/// Names for suggestions; windowed layers are there with some windows.
pub fn examples() -> Vec<String> {
    let of = |entry: &Entry| match entry.windows {
        [] => vec![entry.name.to_owned()],
        windows => windows.iter().map(|window| format!("{}{window}", entry.name)).collect(),
    };
    LAYERS.iter().flat_map(of).collect()
}

/// Layers that are complete by their name alone; windowed ones are not among them.
pub fn names_alone() -> Vec<&'static str> {
    let alone = |entry: &&Entry| !entry.is_windowed() && entry.parameters.iter().all(|p| !p.required);
    LAYERS.iter().filter(alone).map(|entry| entry.name).collect()
}
