//! What each kernel reads and writes: shapes, types, regions, and what its data looks like.

use resnetc_compiler::ir::op::{Activation, Epilogue};
use resnetc_compiler::ir::types::{DType, Layout, Shape};
use resnetc_compiler::plan::{self, ConvGeometry, GroupGeometry, Kernel, PoolGeometry, Region};

use crate::rng::Rng;

/// What an operand's generated elements are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Data {
    /// Normal around 0.25.
    Normal,
    /// `max(normal, 0)`: many equal elements.
    Rectified,
    /// Uniform in `0.5..1.5`.
    Positive,
    /// Uniform in `0..1`.
    Fraction,
    /// Eighths from 0 to 2, or from 0 to -2.
    Eighths {
        /// Whether they are 0 or less.
        negative: bool,
    },
    /// Below the bound.
    Index(usize),
    /// A tap of the window that lies in the image.
    Tap(PoolGeometry),
}

/// An input or output of a kernel.
#[derive(Debug, Clone)]
pub struct Operand {
    /// Logical shape.
    pub shape: Shape,
    /// Element type.
    pub dtype: DType,
    /// Order in memory.
    pub layout: Layout,
    /// Where it lies.
    pub region: Region,
    /// What is in it at first.
    pub data: Data,
    /// Sign of the elements that makes all terms of the kernel's sums positive; 0 leaves them (see `bounds`).
    pub sign: i8,
}

impl Operand {
    fn arena(shape: impl Into<Shape>) -> Self {
        Operand {
            shape: shape.into(),
            dtype: DType::F32,
            layout: Layout::Plain,
            region: Region::Arena,
            data: Data::Normal,
            sign: 1,
        }
    }

    fn map(n: usize, c: usize, h: usize, w: usize) -> Self {
        Operand { layout: Layout::Nhwc, ..Self::arena([n, c, h, w]) }
    }

    fn rows(rows: usize, channels: usize) -> Self {
        Self::map(rows, channels, 1, 1)
    }

    fn vector(len: usize) -> Self {
        Self::arena([len])
    }

    fn param(shape: impl Into<Shape>) -> Self {
        Self::arena(shape).in_region(Region::Params)
    }

    fn in_region(self, region: Region) -> Self {
        Operand { region, ..self }
    }

    fn with(self, data: Data) -> Self {
        let dtype = match data {
            Data::Index(_) => DType::U32,
            Data::Tap(_) => DType::U8,
            Data::Normal | Data::Rectified | Data::Positive | Data::Fraction | Data::Eighths { .. } => {
                DType::F32
            }
        };
        Operand { data, dtype, ..self }
    }

    fn negative(self) -> Self {
        Operand { sign: -1, ..self }
    }

    fn kept(self) -> Self {
        Operand { sign: 0, ..self }
    }

    /// Random elements in logical order; indices as whole numbers.
    pub fn generate(&self, r: &mut Rng) -> Vec<f32> {
        let numel = self.shape.numel().expect("generated shapes are small");
        (0..numel).map(|i| self.element(i, r)).collect()
    }

    fn element(&self, index: usize, r: &mut Rng) -> f32 {
        let number = match self.data {
            Data::Normal => r.normal() + 0.25,
            Data::Rectified => r.normal().max(0.0),
            Data::Positive => r.uniform() + 0.5,
            Data::Fraction => r.uniform(),
            Data::Eighths { negative } => {
                let eighths = r.range(0, 16) as f32 / 8.0;
                if negative { -eighths } else { eighths }
            }
            Data::Index(bound) => r.range(0, bound - 1) as f32,
            Data::Tap(g) => tap(&g, index, r) as f32,
        };
        if self.dtype == DType::Bf16 { half::bf16::from_f32(number).to_f32() } else { number }
    }
}

/// A random tap, inside the image, of the window at a logical index `[n, c, oh, ow]`.
fn tap(g: &PoolGeometry, index: usize, r: &mut Rng) -> usize {
    let at = [index / g.out[1] % g.out[0], index % g.out[1]];
    let size = [g.h, g.w];
    let mut inside = |axis: usize| {
        let (start, pad) = (at[axis] * g.attrs.stride[axis], g.attrs.padding[axis]);
        let first = pad.saturating_sub(start);
        let last = (size[axis] + pad - start - 1).min(g.attrs.kernel[axis] - 1);
        r.range(first, last)
    };
    let row = inside(0);
    row * g.attrs.kernel[1] + inside(1)
}

/// Inputs and outputs of one kernel.
#[derive(Debug, Clone)]
pub struct Signature {
    /// In the kernel's order.
    pub inputs: Vec<Operand>,
    /// In the kernel's order.
    pub outputs: Vec<Operand>,
}

impl Signature {
    /// `[f32, bf16] -> [f32]`
    pub fn types(&self) -> String {
        let list = |operands: &[Operand]| {
            operands.iter().map(|o| o.dtype.to_string()).collect::<Vec<_>>().join(", ")
        };
        format!("[{}] -> [{}]", list(&self.inputs), list(&self.outputs))
    }
}

/// What a kernel reads and writes, with each choice of the maps that may be stored as bf16; that of none comes first.
pub fn stored_signatures(kernel: &Kernel) -> Vec<Signature> {
    let groups = kernel.stored_alike();
    let choice = |chosen: usize| {
        let mut signature = signature(kernel);
        for (_, group) in groups.iter().enumerate().filter(|&(i, _)| chosen & 1 << i != 0) {
            for &operand in *group {
                let operand = match operand {
                    plan::Operand::Input(i) => signature.inputs.get_mut(i),
                    plan::Operand::Output(i) => signature.outputs.get_mut(i),
                };
                operand.expect("an operand of the kernel").dtype = DType::Bf16;
            }
        }
        signature
    };
    (0..1 << groups.len()).map(choice).collect()
}

fn signature_of(inputs: Vec<Operand>, outputs: Vec<Operand>) -> Signature {
    Signature { inputs, outputs }
}

fn conv_maps(g: &ConvGeometry) -> (Operand, Operand, Operand) {
    let weight = [g.cout, g.cin / g.attrs.groups, g.attrs.kernel[0], g.attrs.kernel[1]];
    let weight = Operand { layout: Layout::Hwio, ..Operand::param(weight) };
    (Operand::map(g.n, g.cin, g.h, g.w), weight, Operand::map(g.n, g.cout, g.out[0], g.out[1]))
}

fn pool_maps(g: &PoolGeometry) -> (Operand, Operand) {
    (Operand::map(g.n, g.c, g.h, g.w), Operand::map(g.n, g.c, g.out[0], g.out[1]))
}

/// The result of an activation, or its input, as its backward kernel reads it.
fn activated(act: Activation, like: Operand) -> Operand {
    let bounded = matches!(act, Activation::Sigmoid | Activation::Tanh);
    let data = if bounded { Data::Fraction } else { Data::Normal };
    like.with(data).kept()
}

/// What a kernel reads and writes.
pub fn signature(kernel: &Kernel) -> Signature {
    match *kernel {
        Kernel::Conv { geometry, bias, epilogue } => {
            let (x, weight, y) = conv_maps(&geometry);
            let mut inputs = vec![x, weight];
            inputs.extend(bias.then(|| Operand::param([geometry.cout])));
            inputs.extend(epilogue.residual.then(|| y.clone()));
            signature_of(inputs, vec![y])
        }
        Kernel::ConvBackwardData { geometry, residual } => {
            let (x, weight, y) = conv_maps(&geometry);
            let mut inputs = vec![y, weight];
            inputs.extend(residual.then(|| x.clone()));
            signature_of(inputs, vec![x])
        }
        Kernel::ConvBackwardFilter { geometry } => {
            let (x, weight, y) = conv_maps(&geometry);
            signature_of(vec![x, y], vec![weight.in_region(Region::Grads)])
        }
        Kernel::ChannelSum { rows, channels } => {
            let sum = Operand::vector(channels).in_region(Region::Grads);
            signature_of(vec![Operand::rows(rows, channels)], vec![sum])
        }
        Kernel::BnStats { .. }
        | Kernel::BnApply { .. }
        | Kernel::BnBackwardReduce { .. }
        | Kernel::BnBackwardApply { .. }
        | Kernel::Affine { .. } => norm_signature(kernel),
        Kernel::GroupStats { geometry, .. }
        | Kernel::GroupApply { geometry, .. }
        | Kernel::GroupBackwardReduce { geometry, .. }
        | Kernel::GroupBackwardApply { geometry, .. } => group_signature(kernel, &geometry),
        Kernel::MaxPool { .. }
        | Kernel::MaxPoolBackward { .. }
        | Kernel::AvgPool { .. }
        | Kernel::AvgPoolBackward { .. }
        | Kernel::GlobalAvgPool { .. }
        | Kernel::GlobalAvgPoolBackward { .. }
        | Kernel::GlobalMaxPool { .. }
        | Kernel::GlobalMaxPoolBackward { .. }
        | Kernel::BlurPool(_)
        | Kernel::BlurPoolBackward(_) => pool_signature(kernel),
        Kernel::Activate { .. }
        | Kernel::ActivateBackward { .. }
        | Kernel::Add { .. }
        | Kernel::Mul { .. }
        | Kernel::MulBackward { .. }
        | Kernel::ScaleShift { .. }
        | Kernel::Concat { .. }
        | Kernel::ChannelSlice { .. }
        | Kernel::Drop { .. }
        | Kernel::PadShortcut(_)
        | Kernel::PadShortcutBackward(_)
        | Kernel::Softmax { .. }
        | Kernel::CrossEntropy { .. }
        | Kernel::CrossEntropyBackward { .. }
        | Kernel::SgdUpdate { .. } => other_signature(kernel),
    }
}

fn norm_signature(kernel: &Kernel) -> Signature {
    match *kernel {
        Kernel::BnStats { rows, channels, .. } => {
            let state = || Operand::vector(channels).in_region(Region::State);
            let inputs = vec![Operand::rows(rows, channels), state(), state().with(Data::Positive)];
            signature_of(inputs, vec![Operand::vector(channels), Operand::vector(channels)])
        }
        Kernel::BnApply { rows, channels, epilogue } => {
            let map = Operand::rows(rows, channels);
            let [mean, rstd] = statistics(channels);
            let mut inputs =
                vec![map.clone(), mean, rstd, Operand::param([channels]), Operand::param([channels])];
            inputs.extend(epilogue.residual.then(|| map.clone()));
            signature_of(inputs, vec![map])
        }
        Kernel::BnBackwardReduce { rows, channels, epilogue } => {
            let map = Operand::rows(rows, channels);
            let mut inputs = bn_backward_inputs(&map, channels, epilogue);
            inputs.extend(epilogue.recomputes_sign().then(|| bn_backward_scale(epilogue, channels)));
            inputs.extend(masks(epilogue, channels, map));
            let sum = || Operand::vector(channels).in_region(Region::Grads);
            signature_of(inputs, vec![sum(), sum()])
        }
        Kernel::BnBackwardApply { rows, channels, epilogue } => {
            let map = Operand::rows(rows, channels);
            let sum = || Operand::vector(channels).in_region(Region::Grads).negative();
            let mut inputs = bn_backward_inputs(&map, channels, epilogue);
            inputs.extend([bn_backward_scale(epilogue, channels), sum(), sum()]);
            inputs.extend(masks(epilogue, channels, map.clone()));
            let outputs = vec![map; 1 + usize::from(epilogue.residual)];
            signature_of(inputs, outputs)
        }
        Kernel::Affine { rows, channels, epilogue } => {
            let map = Operand::rows(rows, channels);
            let mut inputs = vec![map.clone(), Operand::param([channels]), Operand::param([channels])];
            inputs.extend(epilogue.residual.then(|| map.clone()));
            signature_of(inputs, vec![map])
        }
        ref other => unreachable!("{other:?} is no normalisation"),
    }
}

/// `dy, x, mean, rstd`. Where signs are computed of them, and of the scale and the shift, all have few digits, so that no
/// rounding error makes another sign of a number close to zero; and each has the sign that it has for `bounds`.
fn bn_backward_inputs(map: &Operand, channels: usize, epilogue: Epilogue) -> Vec<Operand> {
    let [mut mean, mut rstd] = statistics(channels);
    let mut x = map.clone();
    if epilogue.recomputes_sign() {
        (x, rstd) = (x.with(Data::Eighths { negative: false }), rstd.with(Data::Eighths { negative: false }));
        mean = mean.with(Data::Eighths { negative: true });
    }
    vec![map.clone(), x, mean, rstd]
}

/// The scale of a batch normalisation's gradient.
fn bn_backward_scale(epilogue: Epilogue, channels: usize) -> Operand {
    let scale = Operand::param([channels]);
    if epilogue.recomputes_sign() { scale.with(Data::Eighths { negative: false }) } else { scale }
}

/// The last operand of a batch normalisation's gradient: the shift, or the result.
fn masks(epilogue: Epilogue, channels: usize, map: Operand) -> Option<Operand> {
    if epilogue.recomputes_sign() {
        return Some(Operand::param([channels]).with(Data::Eighths { negative: true }).kept());
    }
    epilogue.act.map(|act| activated(act, map))
}

/// Mean and reciprocal standard deviation; the mean is subtracted.
fn statistics(channels: usize) -> [Operand; 2] {
    [Operand::vector(channels).negative(), Operand::vector(channels).with(Data::Positive)]
}

fn group_signature(kernel: &Kernel, g: &GroupGeometry) -> Signature {
    let map = Operand::map(g.images, g.channels, g.pixels, 1);
    let statistic = || Operand::arena([g.images, g.groups]);
    let (mean, rstd) = (statistic().negative(), statistic().with(Data::Positive));
    let vector = || Operand::param([g.channels]);
    match *kernel {
        Kernel::GroupStats { .. } => signature_of(vec![map], vec![statistic(), statistic()]),
        Kernel::GroupApply { epilogue, .. } => {
            let mut inputs = vec![map.clone(), mean, rstd, vector(), vector()];
            inputs.extend(epilogue.residual.then(|| map.clone()));
            signature_of(inputs, vec![map])
        }
        Kernel::GroupBackwardReduce { act, .. } => {
            let sum = || vector().in_region(Region::Grads);
            let mut inputs = vec![map.clone(), map.clone(), mean, rstd, vector()];
            inputs.extend(act.map(|act| activated(act, map)));
            signature_of(inputs, vec![sum(), sum(), statistic(), statistic()])
        }
        Kernel::GroupBackwardApply { epilogue, .. } => {
            let sums = [statistic().negative(), statistic().negative()];
            let mut inputs = vec![map.clone(), map.clone(), mean, rstd, vector()];
            inputs.extend(sums);
            inputs.extend(epilogue.act.map(|act| activated(act, map.clone())));
            let outputs = vec![map; 1 + usize::from(epilogue.residual)];
            signature_of(inputs, outputs)
        }
        ref other => unreachable!("{other:?} is no group normalisation"),
    }
}

fn pool_signature(kernel: &Kernel) -> Signature {
    match *kernel {
        Kernel::MaxPool { geometry, positions } => {
            let (x, y) = pool_maps(&geometry);
            let taken = positions.then(|| y.clone().with(Data::Tap(geometry)));
            let outputs = [Some(y), taken].into_iter().flatten().collect();
            signature_of(vec![x.with(Data::Rectified).kept()], outputs)
        }
        Kernel::MaxPoolBackward { geometry } => {
            let (x, y) = pool_maps(&geometry);
            signature_of(vec![y.clone(), y.with(Data::Tap(geometry))], vec![x])
        }
        Kernel::AvgPool { geometry } => {
            let (x, y) = pool_maps(&geometry);
            signature_of(vec![x], vec![y])
        }
        Kernel::AvgPoolBackward { geometry } => {
            let (x, y) = pool_maps(&geometry);
            signature_of(vec![y], vec![x])
        }
        Kernel::GlobalAvgPool { images, pixels, channels } => signature_of(
            vec![Operand::map(images, channels, pixels, 1)],
            vec![Operand::map(images, channels, 1, 1)],
        ),
        Kernel::GlobalAvgPoolBackward { images, pixels, channels } => signature_of(
            vec![Operand::map(images, channels, 1, 1)],
            vec![Operand::map(images, channels, pixels, 1)],
        ),
        Kernel::GlobalMaxPool { images, pixels, channels, positions } => {
            let (x, y) = (Operand::map(images, channels, pixels, 1), Operand::map(images, channels, 1, 1));
            let taken = positions.then(|| y.clone().with(Data::Index(pixels)));
            signature_of(
                vec![x.with(Data::Rectified).kept()],
                [Some(y), taken].into_iter().flatten().collect(),
            )
        }
        Kernel::GlobalMaxPoolBackward { images, pixels, channels } => {
            let y = Operand::map(images, channels, 1, 1);
            let inputs = vec![y.clone(), y.with(Data::Index(pixels))];
            signature_of(inputs, vec![Operand::map(images, channels, pixels, 1)])
        }
        Kernel::BlurPool(g) => signature_of(
            vec![Operand::map(g.n, g.c, g.h, g.w)],
            vec![Operand::map(g.n, g.c, g.out[0], g.out[1])],
        ),
        Kernel::BlurPoolBackward(g) => signature_of(
            vec![Operand::map(g.n, g.c, g.out[0], g.out[1])],
            vec![Operand::map(g.n, g.c, g.h, g.w)],
        ),
        ref other => unreachable!("{other:?} is no pooling"),
    }
}

fn other_signature(kernel: &Kernel) -> Signature {
    match *kernel {
        Kernel::Activate { len, act: _ } => {
            signature_of(vec![Operand::vector(len)], vec![Operand::vector(len)])
        }
        Kernel::ActivateBackward { len, act } => {
            let inputs = vec![Operand::vector(len), activated(act, Operand::vector(len))];
            signature_of(inputs, vec![Operand::vector(len)])
        }
        Kernel::Add { len, act: _ } => {
            signature_of(vec![Operand::vector(len); 2], vec![Operand::vector(len)])
        }
        Kernel::Mul { images, pixels, channels, gate, epilogue } => {
            let map = Operand::map(images, channels, pixels, 1);
            let mut inputs = vec![map.clone(), second_factor(&map, images, channels, gate)];
            inputs.extend(epilogue.residual.then(|| map.clone()));
            signature_of(inputs, vec![map])
        }
        Kernel::MulBackward { images, pixels, channels, gate, epilogue } => {
            let map = Operand::map(images, channels, pixels, 1);
            let second = second_factor(&map, images, channels, gate);
            let mut inputs = vec![map.clone(), map.clone(), second.clone()];
            inputs.extend(epilogue.act.map(|act| activated(act, map.clone())));
            let mut outputs = vec![map.clone(), second];
            outputs.extend(epilogue.residual.then_some(map));
            signature_of(inputs, outputs)
        }
        Kernel::Drop { geometry: g, .. } => {
            let map = Operand::map(g.n, g.c, g.h, g.w);
            signature_of(vec![map.clone()], vec![map])
        }
        Kernel::ScaleShift { len, scale, .. } => {
            let x = Operand { sign: if scale < 0.0 { -1 } else { 1 }, ..Operand::vector(len) };
            signature_of(vec![x], vec![Operand::vector(len)])
        }
        Kernel::Concat { rows, ref channels } => signature_of(
            channels.iter().map(|&c| Operand::rows(rows, c)).collect(),
            vec![Operand::rows(rows, channels.iter().sum())],
        ),
        Kernel::ChannelSlice { rows, channels, start: _, taken } => {
            signature_of(vec![Operand::rows(rows, channels)], vec![Operand::rows(rows, taken)])
        }
        Kernel::PadShortcut(g) => signature_of(
            vec![Operand::map(g.n, g.cin, g.h, g.w)],
            vec![Operand::map(g.n, g.cout, g.out[0], g.out[1])],
        ),
        Kernel::PadShortcutBackward(g) => signature_of(
            vec![Operand::map(g.n, g.cout, g.out[0], g.out[1])],
            vec![Operand::map(g.n, g.cin, g.h, g.w)],
        ),
        Kernel::Softmax { rows, classes } => {
            let map = Operand::arena([rows, classes]).kept();
            signature_of(vec![map.clone()], vec![map])
        }
        Kernel::CrossEntropy { rows, classes, smoothing: _ } => {
            let inputs = loss_inputs(rows, classes);
            signature_of(inputs, vec![Operand::arena([]), Operand::arena([])])
        }
        Kernel::CrossEntropyBackward { rows, classes, smoothing: _ } => {
            signature_of(loss_inputs(rows, classes), vec![Operand::arena([rows, classes])])
        }
        Kernel::SgdUpdate { len, sgd: _ } => {
            let velocity = Operand::vector(len).in_region(Region::Velocity).negative();
            let grad = Operand::vector(len).in_region(Region::Grads).negative();
            signature_of(vec![Operand::param([len]), grad, velocity], Vec::new())
        }
        ref other => unreachable!("{other:?} is handled elsewhere"),
    }
}

/// The second factor of a product: a map like the first, or its gate.
fn second_factor(map: &Operand, images: usize, channels: usize, gate: bool) -> Operand {
    if gate { Operand::map(images, channels, 1, 1) } else { map.clone() }
}

fn loss_inputs(rows: usize, classes: usize) -> Vec<Operand> {
    vec![Operand::arena([rows, classes]).kept(), Operand::vector(rows).with(Data::Index(classes))]
}
