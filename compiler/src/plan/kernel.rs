//! What the planner and the printers know of kernels: names, geometry in words, legal in-place pairs.

use crate::ir::op::{Activation, ConvAttrs, Epilogue};
use crate::ir::types::DType;

use super::{BlurGeometry, BufferId, ConvGeometry, GroupGeometry, Kernel, PadGeometry, PoolGeometry, Step};

impl Kernel {
    /// Sizes of a convolution or linear layer, forward or backward: what `precision` is about. Convolutions along the
    /// channels, of a few numbers an image, stay `f32`.
    pub(super) fn matrix_product(&mut self) -> Option<&mut ConvGeometry> {
        match self {
            Kernel::Conv { geometry, .. }
            | Kernel::ConvBackwardData { geometry, .. }
            | Kernel::ConvBackwardFilter { geometry } => Some(geometry).filter(|g| g.cin > 1 || g.cout > 1),
            _ => None,
        }
    }

    /// Short name, as in reports: `conv`, `bn_backward_apply`.
    pub fn name(&self) -> &'static str {
        match self {
            Kernel::Conv { .. } => "conv",
            Kernel::ConvBackwardData { .. } => "conv_backward_data",
            Kernel::ConvBackwardFilter { .. } => "conv_backward_filter",
            Kernel::ChannelSum { .. } => "channel_sum",
            Kernel::BnStats { .. } => "bn_stats",
            Kernel::BnApply { .. } => "bn_apply",
            Kernel::BnBackwardReduce { .. } => "bn_backward_reduce",
            Kernel::BnBackwardApply { .. } => "bn_backward_apply",
            Kernel::GroupStats { .. } => "group_stats",
            Kernel::GroupApply { .. } => "group_apply",
            Kernel::GroupBackwardReduce { .. } => "group_backward_reduce",
            Kernel::GroupBackwardApply { .. } => "group_backward_apply",
            Kernel::Affine { .. } => "affine",
            Kernel::Activate { .. } => "activate",
            Kernel::ActivateBackward { .. } => "activate_backward",
            Kernel::Add { .. } => "add",
            Kernel::Mul { .. } => "mul",
            Kernel::MulBackward { .. } => "mul_backward",
            Kernel::ScaleShift { .. } => "scale_shift",
            Kernel::Drop { .. } => "drop",
            Kernel::MaxPool { .. } => "max_pool",
            Kernel::MaxPoolBackward { .. } => "max_pool_backward",
            Kernel::AvgPool { .. } => "avg_pool",
            Kernel::AvgPoolBackward { .. } => "avg_pool_backward",
            Kernel::GlobalAvgPool { .. } => "global_avg_pool",
            Kernel::GlobalAvgPoolBackward { .. } => "global_avg_pool_backward",
            Kernel::GlobalMaxPool { .. } => "global_max_pool",
            Kernel::GlobalMaxPoolBackward { .. } => "global_max_pool_backward",
            Kernel::BlurPool(_) => "blur_pool",
            Kernel::BlurPoolBackward(_) => "blur_pool_backward",
            Kernel::Concat { .. } => "concat",
            Kernel::ChannelSlice { .. } => "channel_slice",
            Kernel::PadShortcut(_) => "pad_shortcut",
            Kernel::PadShortcutBackward(_) => "pad_shortcut_backward",
            Kernel::Softmax { .. } => "softmax",
            Kernel::CrossEntropy { .. } => "cross_entropy",
            Kernel::CrossEntropyBackward { .. } => "cross_entropy_backward",
            Kernel::SgdUpdate { .. } => "sgd_update",
        }
    }

    /// Floating-point operations of convolutions and their gradients, two per multiply-accumulate. All other kernels are
    /// bound by memory: they count none.
    pub fn flops(&self) -> u64 {
        match self {
            Kernel::Conv { geometry, .. }
            | Kernel::ConvBackwardData { geometry, .. }
            | Kernel::ConvBackwardFilter { geometry } => 2 * geometry.macs(),
            Kernel::ChannelSum { .. }
            | Kernel::BnStats { .. }
            | Kernel::BnApply { .. }
            | Kernel::BnBackwardReduce { .. }
            | Kernel::BnBackwardApply { .. }
            | Kernel::GroupStats { .. }
            | Kernel::GroupApply { .. }
            | Kernel::GroupBackwardReduce { .. }
            | Kernel::GroupBackwardApply { .. }
            | Kernel::Affine { .. }
            | Kernel::Activate { .. }
            | Kernel::ActivateBackward { .. }
            | Kernel::Add { .. }
            | Kernel::Mul { .. }
            | Kernel::MulBackward { .. }
            | Kernel::ScaleShift { .. }
            | Kernel::Drop { .. }
            | Kernel::MaxPool { .. }
            | Kernel::MaxPoolBackward { .. }
            | Kernel::AvgPool { .. }
            | Kernel::AvgPoolBackward { .. }
            | Kernel::GlobalAvgPool { .. }
            | Kernel::GlobalAvgPoolBackward { .. }
            | Kernel::GlobalMaxPool { .. }
            | Kernel::GlobalMaxPoolBackward { .. }
            | Kernel::BlurPool(_)
            | Kernel::BlurPoolBackward(_)
            | Kernel::Concat { .. }
            | Kernel::ChannelSlice { .. }
            | Kernel::PadShortcut(_)
            | Kernel::PadShortcutBackward(_)
            | Kernel::Softmax { .. }
            | Kernel::CrossEntropy { .. }
            | Kernel::CrossEntropyBackward { .. }
            | Kernel::SgdUpdate { .. } => 0,
        }
    }

    /// `(output, input)` pairs, by position, where the output may lie exactly on the input; preferred ones first.
    pub fn in_place(&self) -> &'static [(usize, usize)] {
        match self {
            Kernel::Activate { .. } | Kernel::ScaleShift { .. } | Kernel::Drop { .. } => &[(0, 0)],
            Kernel::Mul { gate: false, epilogue: Epilogue { residual: false, .. }, .. } => &[(0, 0), (0, 1)],
            Kernel::Mul { epilogue: Epilogue { residual: false, .. }, .. } => &[(0, 0)],
            Kernel::Mul { .. } => &[(0, 0), (0, 2)],
            // As for normalisations: `da` over the saved `a`.
            Kernel::MulBackward { gate: true, epilogue: Epilogue { residual: true, .. }, .. } => {
                &[(0, 1), (2, 0), (0, 0), (2, 1)]
            }
            Kernel::MulBackward { gate: true, .. } => &[(0, 1), (0, 0)],
            Kernel::MulBackward { epilogue: Epilogue { residual: true, .. }, .. } => {
                &[(0, 1), (1, 2), (2, 0)]
            }
            Kernel::MulBackward { .. } => &[(0, 1), (1, 2), (0, 0), (1, 0)],
            Kernel::ActivateBackward { .. } | Kernel::Add { .. } => &[(0, 0), (0, 1)],
            // `dx` over the saved `x`, so that the residual's gradient finds `dy` free; without one `dy` is next.
            Kernel::BnBackwardApply { epilogue, .. } | Kernel::GroupBackwardApply { epilogue, .. }
                if epilogue.residual =>
            {
                &[(0, 1), (1, 0), (0, 0), (1, 1)]
            }
            Kernel::BnBackwardApply { .. } | Kernel::GroupBackwardApply { .. } => &[(0, 1), (0, 0)],
            // All sums of an element are complete before its residual is read, and the result stored over it.
            Kernel::Conv { bias: true, epilogue: Epilogue { residual: true, .. }, .. } => &[(0, 3)],
            Kernel::Conv { epilogue: Epilogue { residual: true, .. }, .. } => &[(0, 2)],
            Kernel::ConvBackwardData { residual: true, .. } => &[(0, 2)],
            Kernel::BnApply { epilogue: Epilogue { residual: true, .. }, .. }
            | Kernel::GroupApply { epilogue: Epilogue { residual: true, .. }, .. } => &[(0, 5), (0, 0)],
            Kernel::Affine { epilogue: Epilogue { residual: true, .. }, .. } => &[(0, 0), (0, 3)],
            Kernel::BnApply { .. } | Kernel::GroupApply { .. } | Kernel::Affine { .. } => &[(0, 0)],
            Kernel::Conv { .. }
            | Kernel::ConvBackwardData { .. }
            | Kernel::ConvBackwardFilter { .. }
            | Kernel::ChannelSum { .. }
            | Kernel::BnStats { .. }
            | Kernel::BnBackwardReduce { .. }
            | Kernel::GroupStats { .. }
            | Kernel::GroupBackwardReduce { .. }
            | Kernel::MaxPool { .. }
            | Kernel::MaxPoolBackward { .. }
            | Kernel::AvgPool { .. }
            | Kernel::AvgPoolBackward { .. }
            | Kernel::GlobalAvgPool { .. }
            | Kernel::GlobalAvgPoolBackward { .. }
            | Kernel::GlobalMaxPool { .. }
            | Kernel::GlobalMaxPoolBackward { .. }
            | Kernel::BlurPool(_)
            | Kernel::BlurPoolBackward(_)
            | Kernel::Concat { .. }
            | Kernel::ChannelSlice { .. }
            | Kernel::PadShortcut(_)
            | Kernel::PadShortcutBackward(_)
            | Kernel::Softmax { .. }
            | Kernel::CrossEntropy { .. }
            | Kernel::CrossEntropyBackward { .. }
            | Kernel::SgdUpdate { .. } => &[],
        }
    }

    /// Whether an input may be a slice of a wider map: the kernel steps over the gaps.
    pub fn reads_slices(&self, input: usize) -> bool {
        let forward = matches!(
            self,
            Kernel::Affine { .. }
                | Kernel::BnStats { .. }
                | Kernel::BnApply { .. }
                | Kernel::GroupStats { .. }
                | Kernel::GroupApply { .. }
        );
        let backward = matches!(
            self,
            Kernel::BnBackwardReduce { .. }
                | Kernel::BnBackwardApply { .. }
                | Kernel::GroupBackwardReduce { .. }
                | Kernel::GroupBackwardApply { .. }
        );
        // What is normalised: behind the gradient in a backward kernel.
        let sum = matches!(self, Kernel::Add { .. });
        sum || forward && input == 0 || backward && input == 1
    }

    /// Whether an output may be one.
    pub fn writes_slices(&self, output: usize) -> bool {
        let steps_over = matches!(
            self,
            Kernel::Conv { .. }
                | Kernel::Affine { .. }
                | Kernel::MaxPool { .. }
                | Kernel::AvgPool { .. }
                | Kernel::Concat { .. }
        );
        steps_over && output == 0
    }

    /// Sizes and attributes in words: `3x3/2 p1 64x56x56 -> 128x28x28 + relu`; the batch is the plan's.
    pub fn geometry(&self) -> String {
        match self {
            Kernel::Conv { geometry, bias, epilogue } => {
                let bias = if *bias { " bias" } else { "" };
                format!("{}{bias}{}", conv(geometry), after(epilogue))
            }
            Kernel::ConvBackwardData { geometry, residual } => {
                format!("{}{}", conv(geometry), if *residual { " + residual" } else { "" })
            }
            Kernel::ConvBackwardFilter { geometry } => conv(geometry),
            Kernel::ChannelSum { rows, channels } => matrix(*rows, *channels),
            Kernel::BnStats { rows, channels, eps, momentum } => {
                format!("{} eps {eps} momentum {momentum}", matrix(*rows, *channels))
            }
            Kernel::BnApply { rows, channels, epilogue }
            | Kernel::BnBackwardReduce { rows, channels, epilogue }
            | Kernel::BnBackwardApply { rows, channels, epilogue }
            | Kernel::Affine { rows, channels, epilogue } => {
                format!("{}{}", matrix(*rows, *channels), after(epilogue))
            }
            Kernel::GroupStats { geometry, eps } => format!("{} eps {eps}", groups(geometry)),
            Kernel::GroupApply { geometry, epilogue } | Kernel::GroupBackwardApply { geometry, epilogue } => {
                format!("{}{}", groups(geometry), after(epilogue))
            }
            Kernel::GroupBackwardReduce { geometry, act } => {
                format!("{}{}", groups(geometry), after(&Epilogue { residual: false, act: *act }))
            }
            Kernel::Activate { len, act } | Kernel::ActivateBackward { len, act } => {
                format!("{len} {}", activation(*act))
            }
            Kernel::Add { len, act } => format!("{len}{}", after(&Epilogue { residual: false, act: *act })),
            Kernel::Mul { images, pixels, channels, gate, epilogue }
            | Kernel::MulBackward { images, pixels, channels, gate, epilogue } => {
                let gate = if *gate { " gate" } else { "" };
                format!("{}{gate}{}", matrix(images * pixels, *channels), after(epilogue))
            }
            Kernel::Drop { geometry, part, rate, .. } => {
                format!("{} {part} {rate}", matrix(geometry.n * geometry.h * geometry.w, geometry.c))
            }
            Kernel::ScaleShift { len, scale, shift } => format!("{len} {scale} {shift:+}"),
            Kernel::MaxPool { geometry, positions } => {
                format!("{}{}", pool(geometry), if *positions { " positions" } else { "" })
            }
            Kernel::MaxPoolBackward { geometry }
            | Kernel::AvgPool { geometry }
            | Kernel::AvgPoolBackward { geometry } => pool(geometry),
            Kernel::GlobalAvgPool { pixels, channels, .. }
            | Kernel::GlobalAvgPoolBackward { pixels, channels, .. } => matrix(*pixels, *channels),
            Kernel::GlobalMaxPool { pixels, channels, positions, .. } => {
                format!("{}{}", matrix(*pixels, *channels), if *positions { " positions" } else { "" })
            }
            Kernel::GlobalMaxPoolBackward { pixels, channels, .. } => matrix(*pixels, *channels),
            Kernel::BlurPool(geometry) | Kernel::BlurPoolBackward(geometry) => blur(geometry),
            Kernel::Concat { rows, channels } => {
                let parts: Vec<String> = channels.iter().map(usize::to_string).collect();
                format!("[{rows}, {}]", parts.join(" + "))
            }
            Kernel::ChannelSlice { rows, channels, start, taken } => {
                format!("{} {start}..{}", matrix(*rows, *channels), start + taken)
            }
            Kernel::PadShortcut(geometry) | Kernel::PadShortcutBackward(geometry) => pad(geometry),
            Kernel::Softmax { rows, classes } => matrix(*rows, *classes),
            Kernel::CrossEntropy { rows, classes, smoothing }
            | Kernel::CrossEntropyBackward { rows, classes, smoothing } => {
                format!("{} smoothing {smoothing}", matrix(*rows, *classes))
            }
            Kernel::SgdUpdate { len, sgd } => {
                let nesterov = if sgd.nesterov { " nesterov" } else { "" };
                let constants = (sgd.momentum, sgd.dampening, sgd.weight_decay);
                format!(
                    "{len} momentum {} dampening {} weight_decay {}{nesterov}",
                    constants.0, constants.1, constants.2
                )
            }
        }
    }
}

impl Step {
    /// `(output, input)` buffers where the output may lie exactly on the input; preferred ones first. A buffer that is
    /// two operands at once is left alone: a kernel that may overwrite one of them may need the other one whole.
    pub(super) fn in_place(&self) -> impl Iterator<Item = (BufferId, BufferId)> {
        let pairs = self.kernel.in_place().iter();
        let pairs = pairs.filter_map(|&(o, i)| Some((*self.outputs.get(o)?, *self.inputs.get(i)?)));
        pairs.filter(|(_, input)| self.inputs.iter().filter(|other| *other == input).count() == 1)
    }
}

fn matrix(rows: usize, columns: usize) -> String {
    format!("[{rows}, {columns}]")
}

/// `[3136, 64] g32`, of one image
fn groups(geometry: &GroupGeometry) -> String {
    format!("{} g{}", matrix(geometry.pixels, geometry.channels), geometry.groups)
}

fn conv(geometry: &ConvGeometry) -> String {
    let ConvGeometry { h, w, cin, cout, out, attrs, precision, .. } = geometry;
    let ConvAttrs { kernel, stride, padding, dilation, groups } = attrs;
    let mut text = window(*kernel, *stride, *padding);
    if *dilation != [1, 1] {
        text += &format!(" d{}", pair(*dilation));
    }
    if *groups != 1 {
        text += &format!(" g{groups}");
    }
    if *precision != DType::F32 {
        text += &format!(" {precision}");
    }
    format!("{text} {cin}x{h}x{w} -> {cout}x{}x{}", out[0], out[1])
}

fn pool(geometry: &PoolGeometry) -> String {
    let PoolGeometry { h, w, c, out, attrs, .. } = geometry;
    let ceil = if attrs.ceil { " ceil" } else { "" };
    let count = if attrs.count_padding && attrs.padding != [0, 0] { " count_padding" } else { "" };
    let window = window(attrs.kernel, attrs.stride, attrs.padding);
    format!("{window}{ceil}{count} {c}x{h}x{w} -> {c}x{}x{}", out[0], out[1])
}

fn pad(geometry: &PadGeometry) -> String {
    let PadGeometry { h, w, cin, cout, before, stride, out, .. } = geometry;
    format!("/{} {cin}x{h}x{w} -> {cout}x{}x{} before {before}", pair(*stride), out[0], out[1])
}

fn blur(geometry: &BlurGeometry) -> String {
    let BlurGeometry { h, w, c, stride, out, .. } = geometry;
    format!("{} {c}x{h}x{w} -> {c}x{}x{}", window([3, 3], *stride, [0, 0]), out[0], out[1])
}

/// `3x3/2 p1`; stride 1 and padding 0 are left out.
fn window(kernel: [usize; 2], stride: [usize; 2], padding: [usize; 2]) -> String {
    let mut text = format!("{}x{}", kernel[0], kernel[1]);
    if stride != [1, 1] {
        text += &format!("/{}", pair(stride));
    }
    if padding != [0, 0] {
        text += &format!(" p{}", pair(padding));
    }
    text
}

fn pair([vertical, horizontal]: [usize; 2]) -> String {
    if vertical == horizontal { vertical.to_string() } else { format!("{vertical},{horizontal}") }
}

fn after(epilogue: &Epilogue) -> String {
    let residual = if epilogue.residual { " + residual" } else { "" };
    let act = epilogue.act.map_or(String::new(), |act| format!(" + {}", activation(act)));
    format!("{residual}{act}")
}

fn activation(act: Activation) -> String {
    match act {
        Activation::Relu => "relu".into(),
        Activation::LeakyRelu { slope } => format!("leaky_relu({slope})"),
        Activation::Sigmoid => "sigmoid".into(),
        Activation::Tanh => "tanh".into(),
        Activation::Silu => "silu".into(),
        Activation::Gelu => "gelu".into(),
    }
}
