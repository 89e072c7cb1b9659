//! Random kernels of every kind: small sizes, every attribute, channel counts on and off the widths of vectors.

use resnetc_compiler::ir::clip::Clip;
use resnetc_compiler::ir::loss_scale::DynamicScale;
use resnetc_compiler::ir::op::{
    Activation, AdamWAttrs, ConvAttrs, Distillation, DropPart, Epilogue, GradFrom, LambAttrs, LarsAttrs,
    LionAttrs, MuonAttrs, Objective, PoolAttrs, SgdAttrs, UpdateRule,
};
use resnetc_compiler::ir::types::DType;
use resnetc_compiler::ir::update::Matrix;
use resnetc_compiler::plan::kernel::{
    AccumulateGradients, Activate, ActivateBackward, Add, Affine, AllFinite, AllGather, AllGatherWait,
    AllReduce, AllReduceWait, Average, AvgPool, AvgPoolBackward, BlurPool, BlurPoolBackward, BnApply,
    BnBackwardApply, BnBackwardReduce, BnCombine, BnCombineSums, BnMoments, BnStats, ChannelSlice,
    ChannelSum, ClipGradients, Concat, Conv, ConvBackwardData, ConvBackwardFilter, CrossEntropy,
    CrossEntropyBackward, Drop, GlobalAvgPool, GlobalAvgPoolBackward, GlobalMaxPool, GlobalMaxPoolBackward,
    GroupApply, GroupBackwardApply, GroupBackwardReduce, GroupStats, LossScaleUpdate, MaxPool,
    MaxPoolBackward, Mul, MulBackward, PadShortcut, PadShortcutBackward, RunningRstd, ScaleShift, Softmax,
    TargetLoss, TargetLossBackward, Update,
};
use resnetc_compiler::plan::{
    BlurGeometry, ConvGeometry, DropGeometry, GroupGeometry, Kernel, LossGeometry, PadGeometry, PoolGeometry,
};

use crate::rng::Rng;

/// Makes a random kernel of one kind.
pub type Maker = fn(&mut Rng) -> Kernel;

/// A maker for every kind of kernel, with the kind's name.
pub const MAKERS: &[(&str, Maker)] = &[
    ("conv", |r| Kernel::Conv(Conv { geometry: conv(r), bias: r.flip(), epilogue: epilogue(r) })),
    ("conv_backward_data", |r| {
        Kernel::ConvBackwardData(ConvBackwardData { geometry: conv(r), residual: r.flip() })
    }),
    ("conv_backward_filter", |r| Kernel::ConvBackwardFilter(ConvBackwardFilter { geometry: conv(r) })),
    ("channel_sum", |r| Kernel::ChannelSum(ChannelSum { rows: rows(r), channels: wide(r) })),
    ("bn_stats", |r| Kernel::BnStats(BnStats { rows: rows(r), channels: wide(r), eps: 1e-5, momentum: 0.1 })),
    ("bn_moments", |r| Kernel::BnMoments(BnMoments { rows: rows(r), channels: wide(r) })),
    ("bn_combine", |r| {
        Kernel::BnCombine(BnCombine { rows: rows(r), channels: wide(r), eps: 1e-5, momentum: 0.1 })
    }),
    ("bn_combine_sums", |r| Kernel::BnCombineSums(BnCombineSums { channels: wide(r) })),
    ("running_rstd", |r| Kernel::RunningRstd(RunningRstd { channels: wide(r), eps: 1e-5 })),
    ("bn_apply", |r| Kernel::BnApply(BnApply { rows: rows(r), channels: wide(r), epilogue: epilogue(r) })),
    ("bn_backward_reduce", |r| {
        Kernel::BnBackwardReduce(BnBackwardReduce {
            rows: rows(r),
            channels: wide(r),
            epilogue: backward_epilogue(r),
        })
    }),
    ("bn_backward_apply", |r| {
        Kernel::BnBackwardApply(BnBackwardApply {
            rows: rows(r),
            channels: wide(r),
            epilogue: backward_epilogue(r),
        })
    }),
    ("group_stats", |r| Kernel::GroupStats(GroupStats { geometry: groups(r), eps: 1e-5 })),
    ("group_apply", |r| Kernel::GroupApply(GroupApply { geometry: groups(r), epilogue: epilogue(r) })),
    ("group_backward_reduce", |r| {
        Kernel::GroupBackwardReduce(GroupBackwardReduce {
            geometry: groups(r),
            act: backward_epilogue(r).act,
        })
    }),
    ("group_backward_apply", |r| {
        Kernel::GroupBackwardApply(GroupBackwardApply { geometry: groups(r), epilogue: backward_epilogue(r) })
    }),
    ("affine", |r| Kernel::Affine(Affine { rows: rows(r), channels: wide(r), epilogue: epilogue(r) })),
    ("activate", |r| Kernel::Activate(Activate { len: len(r), act: some_activation(r) })),
    ("activate_backward", |r| {
        Kernel::ActivateBackward(ActivateBackward { len: len(r), act: some_activation(r) })
    }),
    ("add", |r| Kernel::Add(Add { len: len(r), act: activation(r) })),
    ("mul", |r| {
        let ([images, pixels, channels], gate) = product(r);
        Kernel::Mul(Mul { images, pixels, channels, gate, epilogue: epilogue(r) })
    }),
    ("mul_backward", |r| {
        let ([images, pixels, channels], gate) = product(r);
        let epilogue = backward_epilogue(r);
        let residual = epilogue.residual && epilogue.act.is_some();
        Kernel::MulBackward(MulBackward {
            images,
            pixels,
            channels,
            gate,
            epilogue: Epilogue { residual, ..epilogue },
        })
    }),
    ("drop", |r| {
        let g = DropGeometry { n: r.range(1, 5), h: r.range(1, 9), w: r.range(1, 9), c: channels(r) };
        let part = r.pick(&[DropPart::Element, DropPart::Image, DropPart::Block { size: 3 }]);
        Kernel::Drop(Drop { geometry: g, part, rate: r.pick(&[0.1, 0.5, 0.9]), stream: r.bits() })
    }),
    ("scale_shift", |r| {
        Kernel::ScaleShift(ScaleShift {
            len: len(r),
            scale: r.pick(&[0.5, -1.0, 3.0]),
            shift: r.pick(&[0.0, 1.0, 0.25]),
        })
    }),
    ("max_pool", |r| Kernel::MaxPool(MaxPool { geometry: pool(r), positions: r.flip() })),
    ("max_pool_backward", |r| Kernel::MaxPoolBackward(MaxPoolBackward { geometry: pool(r) })),
    ("avg_pool", |r| Kernel::AvgPool(AvgPool { geometry: pool(r) })),
    ("avg_pool_backward", |r| Kernel::AvgPoolBackward(AvgPoolBackward { geometry: pool(r) })),
    ("global_avg_pool", |r| {
        Kernel::GlobalAvgPool(GlobalAvgPool {
            images: r.range(1, 5),
            pixels: pixels(r),
            channels: channels(r),
        })
    }),
    ("global_avg_pool_backward", |r| {
        Kernel::GlobalAvgPoolBackward(GlobalAvgPoolBackward {
            images: r.range(1, 5),
            pixels: pixels(r),
            channels: channels(r),
        })
    }),
    ("global_max_pool", |r| {
        Kernel::GlobalMaxPool(GlobalMaxPool {
            images: r.range(1, 5),
            pixels: pixels(r),
            channels: channels(r),
            positions: r.flip(),
        })
    }),
    ("global_max_pool_backward", |r| {
        Kernel::GlobalMaxPoolBackward(GlobalMaxPoolBackward {
            images: r.range(1, 5),
            pixels: pixels(r),
            channels: channels(r),
        })
    }),
    ("blur_pool", |r| Kernel::BlurPool(BlurPool { geometry: blur(r) })),
    ("blur_pool_backward", |r| Kernel::BlurPoolBackward(BlurPoolBackward { geometry: blur(r) })),
    ("concat", |r| {
        Kernel::Concat(Concat {
            rows: rows(r),
            channels: (0..r.pick(&[1, 2, 3, 20])).map(|_| channels(r)).collect(),
        })
    }),
    ("channel_slice", |r| {
        let (start, taken) = (r.range(0, 20), channels(r));
        Kernel::ChannelSlice(ChannelSlice {
            rows: rows(r),
            channels: start + taken + r.range(0, 20),
            start,
            taken,
        })
    }),
    ("pad_shortcut", |r| Kernel::PadShortcut(PadShortcut { geometry: pad(r) })),
    ("pad_shortcut_backward", |r| Kernel::PadShortcutBackward(PadShortcutBackward { geometry: pad(r) })),
    ("softmax", |r| Kernel::Softmax(Softmax { rows: r.range(1, 9), classes: classes(r) })),
    ("cross_entropy", |r| {
        Kernel::CrossEntropy(CrossEntropy {
            rows: r.range(1, 9),
            classes: classes(r),
            smoothing: r.pick(&[0.0, 0.1]),
        })
    }),
    ("cross_entropy_backward", |r| {
        Kernel::CrossEntropyBackward(CrossEntropyBackward {
            rows: r.range(1, 9),
            classes: classes(r),
            smoothing: r.pick(&[0.0, 0.1]),
            scaled: r.flip(),
        })
    }),
    ("target_loss", |r| Kernel::TargetLoss(TargetLoss { geometry: target_loss(r) })),
    ("target_loss_backward", |r| {
        Kernel::TargetLossBackward(TargetLossBackward { geometry: target_loss(r), scaled: r.flip() })
    }),
    ("accumulate", |r| {
        Kernel::AccumulateGradients(AccumulateGradients {
            len: len(r),
            tensor: r.range(0, 1) as u8,
            last: r.flip(),
        })
    }),
    ("all_reduce", |r| {
        Kernel::AllReduce(AllReduce { len: len(r), bucket: 0, wire: DType::F32, weighted: r.flip() })
    }),
    ("all_reduce_wait", |r| {
        Kernel::AllReduceWait(AllReduceWait { len: len(r), bucket: 0, wire: DType::F32 })
    }),
    ("all_gather", |r| {
        let len = len(r);
        Kernel::AllGather(AllGather { len, part: len.div_ceil(2), bucket: 0 })
    }),
    ("all_gather_wait", |r| {
        let len = len(r);
        Kernel::AllGatherWait(AllGatherWait { len, part: len.div_ceil(2), bucket: 0 })
    }),
    ("average", |r| Kernel::Average(Average { len: len(r), tensor: r.flip().then(|| r.range(0, 1) as u8) })),
    ("all_finite", |r| Kernel::AllFinite(AllFinite { len: len(r) })),
    ("clip_norm", |r| clip(r, Clip::Norm)),
    ("clip_value", |r| clip(r, Clip::Value)),
    ("sgd_update", |r| update(r, |r| UpdateRule::Sgd(sgd(r)))),
    ("adamw_update", |r| update(r, |r| UpdateRule::AdamW(adamw(r)))),
    ("lamb_update", |r| update(r, |r| UpdateRule::Lamb(lamb(r)))),
    ("lars_update", |r| update(r, |r| UpdateRule::Lars(lars(r)))),
    ("lion_update", |r| update(r, |r| UpdateRule::Lion(lion(r)))),
    ("muon_update", muon_update),
    ("loss_scale_update", |r| {
        let dynamic = DynamicScale { interval: r.pick(&[1, 2, 3, 4]), ..DynamicScale::DEFAULT };
        Kernel::LossScaleUpdate(LossScaleUpdate { dynamic: r.flip().then_some(dynamic) })
    }),
];

/// Of kernels that are quick on many channels: now and then more than a thread's share is small.
fn wide(r: &mut Rng) -> usize {
    if seldom(r) { r.pick(&[512, 1000, 2048]) } else { channels(r) }
}

/// One case of twenty is large: with blocks and shares of more than one thread.
fn seldom(r: &mut Rng) -> bool {
    r.range(0, 19) == 0
}

/// Elements where each is computed alone.
fn len(r: &mut Rng) -> usize {
    if seldom(r) { r.range(10_000, 35_000) } else { r.range(1, 200) }
}

/// Pixels of an image that is pooled whole.
fn pixels(r: &mut Rng) -> usize {
    if seldom(r) { r.range(1000, 3000) } else { r.range(1, 60) }
}

/// Any of the losses that are more than a cross-entropy of labels.
fn target_loss(r: &mut Rng) -> LossGeometry {
    let sum_classes = r.flip();
    let objective = match r.range(0, 3) {
        0 => Objective::CrossEntropy,
        1 => Objective::BinaryCrossEntropy { target_threshold: r.flip().then_some(0.3), sum_classes },
        2 => Objective::SoftmaxFocal { gamma: r.pick(&[0.0, 0.5, 2.0, 3.5]) },
        _ => Objective::Focal {
            gamma: r.pick(&[0.0, 0.5, 2.0, 3.5]),
            alpha: r.pick(&[0.25, 0.7]),
            sum_classes,
        },
    };
    LossGeometry {
        rows: r.range(1, 9),
        classes: classes(r),
        objective,
        smoothing: r.pick(&[0.0, 0.1]),
        weighted: r.flip(),
        mixed: r.flip(),
        distillation: r.flip().then(|| Distillation {
            alpha: r.pick(&[0.25, 0.5, 1.0]),
            temperature: r.pick(&[0.5, 1.0, 4.0]),
            hard: r.flip(),
        }),
    }
}

fn classes(r: &mut Rng) -> usize {
    if seldom(r) { 1000 } else { r.range(1, 40) }
}

fn channels(r: &mut Rng) -> usize {
    r.pick(&[1, 3, 4, 8, 12, 16, 17, 24, 32, 33, 48, 64, 70])
}

/// A group normalisation: groups of one channel, of all, and between.
fn groups(r: &mut Rng) -> GroupGeometry {
    let (groups, width) = (r.pick(&[1, 2, 3, 8, 32]), r.pick(&[1, 2, 4, 5, 17]));
    GroupGeometry { images: r.range(1, 5), pixels: r.range(1, 60), channels: groups * width, groups }
}

fn rows(r: &mut Rng) -> usize {
    if seldom(r) { r.range(1000, 3000) } else { r.range(1, 150) }
}

/// Any activation, half of the time one that kernels which read its result can differentiate.
fn some_activation(r: &mut Rng) -> Activation {
    if r.flip() { from_result(r) } else { r.pick(Activation::ALL) }
}

/// An activation that kernels which read its result can differentiate.
fn from_result(r: &mut Rng) -> Activation {
    let known: Vec<Activation> =
        Activation::ALL.iter().copied().filter(|act| act.grad_from() == GradFrom::Result).collect();
    r.pick(&known)
}

/// None, or any of the activations.
pub fn activation(r: &mut Rng) -> Option<Activation> {
    r.flip().then(|| some_activation(r))
}

/// `[images, pixels, channels]` of a product, and whether its second factor is a gate.
fn product(r: &mut Rng) -> ([usize; 3], bool) {
    let gate = r.flip();
    ([r.range(1, 5), r.range(if gate { 2 } else { 1 }, 150), channels(r)], gate)
}

fn epilogue(r: &mut Rng) -> Epilogue {
    Epilogue { residual: r.flip(), act: activation(r) }
}

/// Of a kernel that reads the result.
fn backward_epilogue(r: &mut Rng) -> Epilogue {
    Epilogue { residual: r.flip(), act: r.flip().then(|| from_result(r)) }
}

/// A convolution: mostly the networks' own windows, some odd ones.
pub fn conv(r: &mut Rng) -> ConvGeometry {
    loop {
        let square = |k: usize, stride: usize, pad: usize| ([k, k], [stride, stride], [pad, pad]);
        let stride = r.range(1, 2);
        let (kernel, stride, padding) = match r.range(0, 4) {
            0 => square(1, stride, 0),
            1 | 2 => square(3, stride, 1),
            3 => square(r.pick(&[5, 7]), stride, r.range(0, 3)),
            _ => (
                [r.range(1, 4), r.range(1, 4)],
                [r.range(1, 3), r.range(1, 3)],
                [r.range(0, 2), r.range(0, 2)],
            ),
        };
        let dilation = if r.range(0, 3) == 0 { [r.range(1, 2), r.range(1, 3)] } else { [1, 1] };
        let (groups, cin, cout) = grouping(r);
        let attrs = ConvAttrs { kernel, stride, padding, dilation, groups };
        let size = [r.range(1, 13), r.range(1, 13)];
        let fits = |axis: usize| {
            (size[axis] + 2 * padding[axis]).checked_sub(dilation[axis] * (kernel[axis] - 1) + 1)
        };
        if let (Some(rows), Some(columns)) = (fits(0), fits(1)) {
            let out = [rows / stride[0] + 1, columns / stride[1] + 1];
            let precision = if r.range(0, 3) == 0 { DType::Bf16 } else { DType::F32 };
            return ConvGeometry {
                n: r.range(1, 4),
                h: size[0],
                w: size[1],
                cin,
                cout,
                out,
                attrs,
                precision,
            };
        }
    }
}

/// Groups and both channel counts: dense, grouped, depthwise.
fn grouping(r: &mut Rng) -> (usize, usize, usize) {
    match r.range(0, 4) {
        0 => {
            let groups = r.pick(&[2, 3, 4]);
            (groups, groups * r.range(1, 9), groups * r.range(1, 20))
        }
        1 => {
            let groups = r.pick(&[5, 16, 32]);
            (groups, groups, groups)
        }
        _ => (1, channels(r), channels(r)),
    }
}

/// A pooling with PyTorch's constraint: a border of at most half the window.
pub fn pool(r: &mut Rng) -> PoolGeometry {
    loop {
        let kernel = [r.range(1, 4), r.range(1, 4)];
        let attrs = PoolAttrs {
            kernel,
            stride: [r.range(1, 3), r.range(1, 3)],
            padding: [r.range(0, kernel[0] / 2), r.range(0, kernel[1] / 2)],
            ceil: r.flip(),
            count_padding: r.flip(),
        };
        let size = [r.range(1, 11), r.range(1, 11)];
        if let (Some(rows), Some(columns)) = (pooled(size, &attrs, 0), pooled(size, &attrs, 1)) {
            return PoolGeometry {
                n: r.range(1, 3),
                h: size[0],
                w: size[1],
                c: channels(r),
                out: [rows, columns],
                attrs,
            };
        }
    }
}

/// Windows along one axis, as PyTorch counts them: with `ceil`, a last one that starts inside the image or its left
/// border counts too.
fn pooled(size: [usize; 2], attrs: &PoolAttrs, axis: usize) -> Option<usize> {
    let stride = attrs.stride[axis];
    let rest = (size[axis] + 2 * attrs.padding[axis]).checked_sub(attrs.kernel[axis])?;
    if !attrs.ceil {
        return Some(rest / stride + 1);
    }
    let last = rest.div_ceil(stride);
    Some(if last * stride >= size[axis] + attrs.padding[axis] { last } else { last + 1 })
}

fn blur(r: &mut Rng) -> BlurGeometry {
    let (h, w, stride) = (r.range(2, 9), r.range(2, 9), [r.range(1, 3), r.range(1, 3)]);
    let out = [h.div_ceil(stride[0]), w.div_ceil(stride[1])];
    BlurGeometry { n: r.range(1, 3), h, w, c: channels(r), stride, out }
}

fn pad(r: &mut Rng) -> PadGeometry {
    let (h, w, cin) = (r.range(1, 9), r.range(1, 9), channels(r));
    let cout = cin + r.range(0, 40);
    let stride = [r.range(1, 2), r.range(1, 2)];
    let out = [h.div_ceil(stride[0]), w.div_ceil(stride[1])];
    PadGeometry { n: r.range(1, 3), h, w, cin, cout, before: r.range(0, cout - cin), stride, out }
}

fn sgd(r: &mut Rng) -> SgdAttrs {
    let momentum = r.pick(&[0.0, 0.9]);
    let nesterov = momentum != 0.0 && r.flip();
    let dampening = if nesterov { 0.0 } else { r.pick(&[0.0, 0.3]) };
    SgdAttrs { momentum, dampening, nesterov, weight_decay: r.pick(&[0.0, 1e-2]) }
}

fn adamw(r: &mut Rng) -> AdamWAttrs {
    AdamWAttrs {
        beta1: r.pick(&[0.0, 0.9]),
        beta2: r.pick(&[0.5, 0.999]),
        eps: 1e-8,
        weight_decay: r.pick(&[0.0, 0.01]),
    }
}

fn lamb(r: &mut Rng) -> LambAttrs {
    LambAttrs {
        beta1: r.pick(&[0.0, 0.9]),
        beta2: r.pick(&[0.5, 0.999]),
        eps: 1e-6,
        weight_decay: r.pick(&[0.0, 0.1]),
        trust_clip: r.flip(),
        always_adapt: r.flip(),
    }
}

fn lars(r: &mut Rng) -> LarsAttrs {
    let SgdAttrs { momentum, dampening, nesterov, weight_decay } = sgd(r);
    let trust_coeff = r.pick(&[1e-3, 1.0]);
    let (trust_clip, always_adapt) = (r.flip(), r.flip());
    LarsAttrs {
        momentum,
        dampening,
        nesterov,
        trust_coeff,
        eps: 1e-8,
        weight_decay,
        trust_clip,
        always_adapt,
    }
}

fn lion(r: &mut Rng) -> LionAttrs {
    LionAttrs { beta1: r.pick(&[0.0, 0.9]), beta2: r.pick(&[0.5, 0.99]), weight_decay: r.pick(&[0.0, 0.1]) }
}

fn update(r: &mut Rng, rule: fn(&mut Rng) -> UpdateRule) -> Kernel {
    let (len, lr_scale) = (len(r), r.pick(&[1.0, 0.25]));
    Kernel::Update(Update { len, rule: rule(r), lr_scale, matrix: None, scaled: r.flip() })
}

/// Of a matrix of either orientation, with sides that no tile divides.
fn muon_update(r: &mut Rng) -> Kernel {
    let matrix = Matrix { rows: r.range(1, 70), cols: r.range(1, 70), outputs_are_rows: r.flip() };
    let rule = UpdateRule::Muon(MuonAttrs {
        momentum: r.pick(&[0.0, 0.95]),
        nesterov: r.flip(),
        weight_decay: r.pick(&[0.0, 0.1]),
        adamw_lr: 3e-4,
        adamw_beta1: 0.9,
        adamw_beta2: 0.95,
        adamw_eps: 1e-10,
    });
    let (len, lr_scale) = (matrix.rows * matrix.cols, r.pick(&[1.0, 0.25]));
    Kernel::Update(Update { len, rule, lr_scale, matrix: Some(matrix), scaled: r.flip() })
}

fn clip(r: &mut Rng, by: fn(f32) -> Clip) -> Kernel {
    Kernel::ClipGradients(ClipGradients {
        len: len(r),
        by: by(r.pick(&[0.01, 1.0, 1000.0])),
        scaled: r.flip(),
    })
}
