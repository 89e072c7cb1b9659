//! Layers in the words of specs.

use resnetc_compiler::ir::activation::Activation;
use resnetc_compiler::ir::attrs::{ConvAttrs, PoolAttrs};

use crate::flat::Op;

/// The numbers of a layer as a spec writes them; an empty text is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Numbers {
    /// Channels of the result.
    pub(crate) out: String,
    /// Step of a window.
    pub(crate) stride: String,
    /// Step within a window.
    pub(crate) dilation: String,
    /// Groups of a convolution.
    pub(crate) groups: String,
}

impl Numbers {
    /// As the layer has them.
    pub(crate) fn of(op: &Op) -> Self {
        let unless_one = |n: usize| if n == 1 { String::new() } else { n.to_string() };
        let out = out(op).map_or(String::new(), |out| out.to_string());
        match op {
            Op::Conv { attrs, .. } => Numbers {
                out,
                stride: unless_one(attrs.stride[0]),
                dilation: unless_one(attrs.dilation[0]),
                groups: unless_one(attrs.groups),
            },
            Op::MaxPool(attrs) | Op::AvgPool(attrs) => {
                Numbers { out, stride: attrs.stride[0].to_string(), ..Numbers::default() }
            }
            _ => Numbers { out, ..Numbers::default() },
        }
    }

    /// Blanks: what is left says which kind of layer it is.
    pub(crate) fn blank() -> Self {
        let blank = || "_".to_owned();
        Numbers { out: blank(), stride: blank(), dilation: blank(), groups: blank() }
    }
}

/// Channels of the result, where the layer names them.
pub(crate) fn out(op: &Op) -> Option<usize> {
    match op {
        Op::Conv { out, .. } | Op::Linear { out, .. } | Op::PadChannels { out, .. } => Some(*out),
        _ => None,
    }
}

/// Whether it is a layer of one map: what `->` leads to.
pub(crate) fn is_layer(op: &Op) -> bool {
    !matches!(op, Op::Input | Op::Add | Op::Mul | Op::Concat)
}

/// The layer, with these numbers. `bn` alone is what has the epsilon `eps`.
pub(crate) fn layer(op: &Op, numbers: &Numbers, eps: f32) -> String {
    match op {
        Op::Conv { attrs, bias, .. } => conv(attrs, *bias, numbers),
        Op::Norm { eps: own } if *own == eps => "bn".to_owned(),
        Op::Norm { eps: own } => format!("bn(eps={own:e})"),
        Op::Activate(act) => activation(*act),
        Op::MaxPool(attrs) => pool("maxpool", attrs, numbers, half(attrs.kernel)),
        Op::AvgPool(attrs) => pool("avgpool", attrs, numbers, [0, 0]),
        Op::GlobalAvgPool => "global_avgpool".to_owned(),
        Op::GlobalMaxPool => "global_maxpool".to_owned(),
        Op::PadChannels { before: 0, .. } => format!("pad_channels({})", numbers.out),
        Op::PadChannels { before, .. } => format!("pad_channels({}, before={before})", numbers.out),
        Op::Linear { bias, .. } => {
            format!("linear({}{})", numbers.out, if *bias { "" } else { ", bias=false" })
        }
        Op::Input | Op::Add | Op::Mul | Op::Concat => unreachable!("no layer of one map"),
    }
}

fn activation(act: Activation) -> String {
    let name = act.info().name;
    match act.parameter() {
        Some(value) if !Activation::ALL.contains(&act) => format!("{name}({value})"),
        _ => name.to_owned(),
    }
}

fn conv(attrs: &ConvAttrs, bias: bool, numbers: &Numbers) -> String {
    let mut text = format!("{}({}", window("conv", attrs.kernel), numbers.out);
    text += &step(&numbers.stride);
    let usual = [0, 1].map(|i| attrs.dilation[i] * (attrs.kernel[i] - 1) / 2);
    if attrs.padding != usual {
        text += &format!(", padding={}", attrs.padding[0]);
    }
    text += &named("dilation", &numbers.dilation);
    text += &named("groups", &numbers.groups);
    text + if bias { ", bias)" } else { ")" }
}

fn pool(name: &str, attrs: &PoolAttrs, numbers: &Numbers, usual: [usize; 2]) -> String {
    let mut args = Vec::new();
    match numbers.stride.as_str() {
        "stride" => args.push("stride".to_owned()),
        stride if [stride, stride] == attrs.kernel.map(|k| k.to_string()) => {}
        stride => args.push(format!("stride={stride}")),
    }
    if attrs.padding != usual {
        args.push(format!("padding={}", attrs.padding[0]));
    }
    if attrs.ceil {
        args.push("ceil".to_owned());
    }
    if name == "avgpool" && !attrs.count_padding && (attrs.ceil || attrs.padding != [0, 0]) {
        args.push("count_padding=false".to_owned());
    }
    let name = window(name, attrs.kernel);
    if args.is_empty() { name } else { format!("{name}({})", args.join(", ")) }
}

fn window(name: &str, [rows, columns]: [usize; 2]) -> String {
    format!("{name}{rows}x{columns}")
}

/// The padding that a maximum has where none is named.
fn half(kernel: [usize; 2]) -> [usize; 2] {
    kernel.map(|k| if k % 2 == 1 { (k - 1) / 2 } else { 0 })
}

/// Second argument of a convolution.
fn step(stride: &str) -> String {
    if stride == "stride" { ", stride".to_owned() } else { named("stride", stride) }
}

fn named(name: &str, value: &str) -> String {
    if value.is_empty() { String::new() } else { format!(", {name}={value}") }
}

/// `n` as a multiple of a variable, `2 * f`, `f / 4`, `3 * f / 2`; nothing where that would be no simple one.
pub(crate) fn multiple(n: usize, of: usize, variable: &str) -> Option<String> {
    let common = greatest(n, of);
    let (above, below) = (n.checked_div(common)?, of.checked_div(common)?);
    let simple = above <= 64 && below <= 64;
    simple.then(|| match (above, below) {
        (1, 1) => variable.to_owned(),
        (_, 1) => format!("{above} * {variable}"),
        (1, _) => format!("{variable} / {below}"),
        _ => format!("{above} * {variable} / {below}"),
    })
}

fn greatest(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest(b, a % b) }
}
