//! Types and costs, op by op, against sizes worked out by hand or known from the papers.

use super::*;
use crate::ir::op::{
    Activation, Add, AvgPool, BatchNorm, BatchNormBackward, ChannelSum, Conv, ConvAttrs, ConvBackwardData,
    ConvBackwardFilter, ConvInit, CrossEntropy, Epilogue, Fan, Flatten, FlattenBackward, GlobalAvgPool,
    GroupNorm, GroupNormBackward, Init, Linear, LinearBackwardData, LinearBackwardFilter, MaxPool,
    MaxPoolBackward, Norm, PadChannels, PadShortcut, PadShortcutBackward, PoolAttrs, SgdAttrs, Shortcut,
    ShortcutRule, Update, UpdateRule,
};
use crate::ir::types::{DType, Shape, TensorType};

const CONV: ConvAttrs =
    ConvAttrs { kernel: [3; 2], stride: [1; 2], padding: [1; 2], dilation: [1; 2], groups: 1 };
const POOL: PoolAttrs =
    PoolAttrs { kernel: [3; 2], stride: [2; 2], padding: [1; 2], ceil: false, count_padding: false };

fn conv(attrs: ConvAttrs) -> Op {
    Op::Conv(Conv { attrs, bias: false, epilogue: Epilogue::default() })
}

fn map(shape: [usize; 4]) -> TensorType {
    TensorType::f32(shape)
}

fn u32s(n: usize) -> TensorType {
    TensorType { dtype: DType::U32, ..TensorType::f32([n]) }
}

/// Shapes of the results, or the message of the error, as text.
fn infer_in(mode: Mode, op: &Op, operands: &[TensorType]) -> String {
    let operands: Vec<&TensorType> = operands.iter().collect();
    match infer(op, mode, &operands) {
        Ok(types) => types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        Err(error) => format!("operand {:?}: {}", error.operand, error.message),
    }
}

fn infers(op: &Op, operands: &[TensorType]) -> String {
    infer_in(Mode::Train, op, operands)
}

#[test]
fn convolutions_follow_their_windows() {
    let stem = ConvAttrs { kernel: [7; 2], stride: [2; 2], padding: [3; 2], ..CONV };
    let types = [map([1, 3, 224, 224]), map([64, 3, 7, 7])];
    assert_eq!(infers(&conv(stem), &types), "f32 1x64x112x112");
    let dilated = ConvAttrs { dilation: [2; 2], padding: [2, 0], ..CONV };
    assert_eq!(infers(&conv(dilated), &[map([2, 4, 9, 9]), map([8, 4, 3, 3])]), "f32 2x8x9x5");
    let grouped = ConvAttrs { groups: 2, ..CONV };
    assert_eq!(infers(&conv(grouped), &[map([1, 4, 5, 5]), map([6, 2, 3, 3])]), "f32 1x6x5x5");
}

#[test]
fn convolutions_refuse_what_does_not_fit() {
    let x = map([1, 4, 5, 5]);
    let cases = [
        (ConvAttrs { groups: 3, ..CONV }, [6, 2, 3, 3], "operand Some(0): 3 groups do not divide 4 input"),
        (CONV, [8, 3, 3, 3], "operand Some(1): the weight has shape 8x3x3x3, needs 8x4x3x3"),
        (ConvAttrs { stride: [0, 1], ..CONV }, [8, 4, 3, 3], "operand None: kernel, stride and dilation"),
        (
            ConvAttrs { dilation: [4; 2], ..CONV },
            [8, 4, 3, 3],
            "operand Some(0): a window of 9x9 does not fit",
        ),
        (
            ConvAttrs { padding: [usize::MAX; 2], ..CONV },
            [8, 4, 3, 3],
            "operand None: the window is too large",
        ),
    ];
    for (attrs, weight, message) in cases {
        let found = infers(&conv(attrs), &[x.clone(), map(weight)]);
        assert!(found.starts_with(message), "{found}");
    }
    let huge = [map([1 << 40, 1, 1 << 20, 1]), map([1 << 20, 1, 1, 1])];
    let point = ConvAttrs { kernel: [1; 2], padding: [0; 2], ..CONV };
    assert!(infers(&conv(point), &huge).contains("too large to count"));
    assert_eq!(infers(&conv(CONV), &[x]), "operand None: takes 2 operands, has 1");
}

#[test]
fn gradients_of_a_convolution_have_the_shapes_of_its_operands() {
    let attrs = ConvAttrs { stride: [2; 2], ..CONV };
    let (x, w, dy) = (map([2, 4, 7, 8]), map([6, 4, 3, 3]), map([2, 6, 4, 4]));
    let data = Op::ConvBackwardData(ConvBackwardData { attrs, input: x.shape.clone(), residual: true });
    assert_eq!(infers(&data, &[dy.clone(), w.clone(), x.clone()]), "f32 2x4x7x8");
    let filter = Op::ConvBackwardFilter(ConvBackwardFilter { attrs, weight: w.shape.clone() });
    assert_eq!(infers(&filter, &[x.clone(), dy.clone()]), "f32 6x4x3x3");
    assert_eq!(infers(&Op::ChannelSum(ChannelSum), &[dy]), "f32 6");
    let wrong = infers(&filter, &[x, map([2, 6, 3, 4])]);
    assert_eq!(wrong, "operand Some(1): the gradient has shape 2x6x3x4, needs 2x6x4x4");
}

#[test]
fn normalisations_have_three_results_in_training_only() {
    let op =
        Op::BatchNorm(BatchNorm { eps: 1e-5, momentum: 0.1, still: false, epilogue: Epilogue::default() });
    let v = TensorType::f32([4]);
    let types = [map([2, 4, 3, 3]), v.clone(), v.clone(), v.clone(), v.clone()];
    assert_eq!(infer_in(Mode::Infer, &op, &types), "f32 2x4x3x3");
    assert_eq!(infer_in(Mode::Train, &op, &types), "f32 2x4x3x3, f32 4, f32 4");
    let mut wrong = types.to_vec();
    wrong[2] = TensorType::f32([5]);
    assert_eq!(infers(&op, &wrong), "operand Some(2): the shift has shape 5, needs 4");
    let epilogue = Epilogue { residual: true, act: Some(Activation::Relu) };
    let x = map([2, 4, 3, 3]);
    let backward = [x.clone(), x.clone(), v.clone(), v.clone(), v, x];
    let found = infers(&Op::BatchNormBackward(BatchNormBackward { epilogue }), &backward);
    assert_eq!(found, "f32 2x4x3x3, f32 4, f32 4, f32 2x4x3x3");
}

#[test]
fn group_normalisations_have_statistics_per_image_and_group() {
    let op = |groups| Op::GroupNorm(GroupNorm { groups, eps: 1e-5, epilogue: Epilogue::default() });
    let v = TensorType::f32([4]);
    let types = [map([2, 4, 3, 3]), v.clone(), v.clone()];
    for mode in [Mode::Infer, Mode::Train] {
        assert_eq!(infer_in(mode, &op(2), &types), "f32 2x4x3x3, f32 2x2, f32 2x2");
    }
    assert_eq!(infers(&op(3), &types), "operand Some(0): 3 groups do not divide 4 channels");
    assert_eq!(infers(&op(0), &types), "operand Some(0): 0 groups do not divide 4 channels");
    let (x, statistic) = (map([2, 4, 3, 3]), TensorType::f32([2, 2]));
    let backward = Op::GroupNormBackward(GroupNormBackward { groups: 2, epilogue: Epilogue::default() });
    let operands = [x.clone(), x.clone(), statistic.clone(), statistic, v.clone()];
    assert_eq!(infers(&backward, &operands), "f32 2x4x3x3, f32 4, f32 4");
    let wrong = [x.clone(), x, v.clone(), v.clone(), v];
    assert_eq!(infers(&backward, &wrong), "operand Some(2): the mean has shape 4, needs 2x2");
}

#[test]
fn pooling_follows_pytorch() {
    let max = Op::MaxPool(MaxPool { attrs: POOL });
    assert_eq!(infers(&max, &[map([1, 64, 112, 112])]), "f32 1x64x56x56, u8 1x64x56x56");
    let ceil =
        |padding| Op::AvgPool(AvgPool { attrs: PoolAttrs { kernel: [2; 2], padding, ceil: true, ..POOL } });
    assert_eq!(infers(&ceil([0; 2]), &[map([1, 1, 5, 4])]), "f32 1x1x3x2");
    // A window that would start in the far border does not count: ceil((4 + 2 - 2) / 3) + 1 = 3, but 2 * 3 >= 4 + 1.
    let attrs =
        PoolAttrs { kernel: [2; 2], stride: [3; 2], padding: [1; 2], ceil: true, count_padding: false };
    assert_eq!(infers(&Op::AvgPool(AvgPool { attrs }), &[map([1, 1, 4, 4])]), "f32 1x1x2x2");
    let wide = Op::MaxPool(MaxPool { attrs: PoolAttrs { padding: [2; 2], ..POOL } });
    assert!(infers(&wide, &[map([1, 1, 8, 8])]).contains("more than half the window"));
    let backward = Op::MaxPoolBackward(MaxPoolBackward { attrs: POOL, input: Shape::from([1, 2, 8, 8]) });
    let positions = TensorType { dtype: DType::U8, ..map([1, 2, 4, 4]) };
    assert_eq!(infers(&backward, &[map([1, 2, 4, 4]), positions]), "f32 1x2x8x8");
    assert_eq!(infers(&Op::GlobalAvgPool(GlobalAvgPool), &[map([2, 8, 7, 7])]), "f32 2x8x1x1");
}

#[test]
fn linear_layers_take_vectors_and_single_pixels() {
    let weight = TensorType::f32([10, 8]);
    let op = Op::Linear(Linear { bias: true });
    let bias = TensorType::f32([10]);
    assert_eq!(infers(&op, &[map([2, 8, 1, 1]), weight.clone(), bias.clone()]), "f32 2x10");
    assert_eq!(infers(&op, &[TensorType::f32([2, 8]), weight.clone(), bias.clone()]), "f32 2x10");
    let found = infers(&op, &[map([2, 8, 2, 2]), weight.clone(), bias]);
    assert_eq!(found, "operand Some(0): needs one vector per image, gets 2x8x2x2");
    let dy = TensorType::f32([2, 10]);
    let data = Op::LinearBackwardData(LinearBackwardData { input: Shape::from([2, 8, 1, 1]) });
    assert_eq!(infers(&data, &[dy.clone(), weight]), "f32 2x8x1x1");
    assert_eq!(infers(&Op::LinearBackwardFilter(LinearBackwardFilter), &[map([2, 8, 1, 1]), dy]), "f32 10x8");
}

#[test]
fn sums_say_what_differs() {
    let op = Op::Add(Add { act: None });
    let (a, b) = (map([1, 4, 8, 8]), map([1, 4, 4, 4]));
    let error = infer(&op, Mode::Infer, &[&a, &b]).expect_err("the shapes differ");
    assert_eq!(error.message, "cannot add 1x4x8x8 and 1x4x4x4");
    assert!(error.help.is_some_and(|help| help.contains("stride")));
}

#[test]
fn shortcuts_refuse_what_their_rule_cannot_do() {
    let init = ConvInit::XavierNormal;
    let op = |rule| Op::Shortcut(Shortcut { rule, norm: Norm::DEFAULT, init });
    let types = |to| [map([1, 8, 7, 7]), map(to)];
    assert_eq!(infers(&op(ShortcutRule::Projection), &types([1, 4, 4, 4])), "f32 1x4x4x4");
    assert!(infers(&op(ShortcutRule::Pad), &types([1, 4, 4, 4])).contains("padding shortcut cannot"));
    assert!(infers(&op(ShortcutRule::Identity), &types([1, 8, 4, 4])).contains("identity shortcut cannot"));
    // No stride takes 5 of 7 pixels.
    assert!(infers(&op(ShortcutRule::Projection), &types([1, 8, 5, 5])).contains("no stride"));
    let grouped = |groups| {
        let norm = Norm::Group { groups, eps: 1e-5 };
        Op::Shortcut(Shortcut { rule: ShortcutRule::Projection, norm, init })
    };
    assert_eq!(infers(&grouped(4), &types([1, 4, 4, 4])), "f32 1x4x4x4");
    assert!(infers(&grouped(3), &types([1, 4, 4, 4])).contains("3 groups do not divide 4 channels"));
    let pad = Op::PadShortcut(PadShortcut { stride: [2; 2], channels: 16 });
    assert_eq!(infers(&pad, &[map([1, 8, 7, 7])]), "f32 1x16x4x4");
    let backward =
        Op::PadShortcutBackward(PadShortcutBackward { stride: [2; 2], input: Shape::from([1, 8, 7, 7]) });
    assert_eq!(infers(&backward, &[map([1, 16, 4, 4])]), "f32 1x8x7x7");
}

#[test]
fn channels_are_padded_where_they_fit() {
    let pad = |before| Op::PadChannels(PadChannels { channels: 16, before });
    assert_eq!(infers(&pad(0), &[map([1, 8, 7, 7])]), "f32 1x16x7x7");
    assert_eq!(infers(&pad(8), &[map([1, 8, 7, 7])]), "f32 1x16x7x7");
    assert!(infers(&pad(9), &[map([1, 8, 7, 7])]).contains("are more than 16"));
    assert!(infers(&pad(usize::MAX), &[map([1, 8, 7, 7])]).contains("are more than 16"));
}

#[test]
fn maps_of_one_pixel_are_flattened() {
    let flatten = Op::Flatten(Flatten);
    assert_eq!(infers(&flatten, &[map([2, 8, 1, 1])]), "f32 2x8");
    assert_eq!(infers(&flatten, &[TensorType::f32([2, 8])]), "f32 2x8");
    assert!(infers(&flatten, &[map([2, 8, 1, 2])]).contains("maps of one pixel"));
    let backward = Op::FlattenBackward(FlattenBackward { input: Shape::from([2, 8, 1, 1]) });
    assert_eq!(infers(&backward, &[TensorType::f32([2, 8])]), "f32 2x8x1x1");
    assert!(infers(&backward, &[TensorType::f32([2, 9])]).contains("the gradient"));
}

#[test]
fn losses_take_a_class_per_image() {
    let loss = Op::CrossEntropy(CrossEntropy { smoothing: 0.1 });
    let logits = TensorType::f32([2, 10]);
    assert_eq!(infers(&loss, &[logits.clone(), u32s(2)]), "f32 scalar, f32 scalar");
    let found = infers(&loss, &[logits.clone(), u32s(3)]);
    assert_eq!(found, "operand Some(1): needs 2 classes of u32, gets 3 of u32");
    assert!(
        infers(&Op::CrossEntropy(CrossEntropy { smoothing: 1.0 }), &[logits, u32s(2)]).contains("below 1")
    );
}

#[test]
fn costs_count_what_runs() {
    // ResNet-50's stem: 118,013,952 multiply-accumulates.
    let attrs = ConvAttrs { kernel: [7; 2], stride: [2; 2], padding: [3; 2], ..CONV };
    let (x, w, y) = (map([1, 3, 224, 224]), map([64, 3, 7, 7]), map([1, 64, 112, 112]));
    let stem = cost(&conv(attrs), &[&x, &w], std::slice::from_ref(&y));
    assert_eq!((stem.macs, stem.flops), (118_013_952, 236_027_904));
    assert_eq!((stem.read, stem.written), (4 * (150_528 + 9_408), 4 * 802_816));
    let filter = Op::ConvBackwardFilter(ConvBackwardFilter { attrs, weight: w.shape.clone() });
    assert_eq!(cost(&filter, &[&x, &y], std::slice::from_ref(&w)).macs, stem.macs);
    let data = Op::ConvBackwardData(ConvBackwardData { attrs, input: x.shape.clone(), residual: false });
    assert_eq!(cost(&data, &[&y, &w], std::slice::from_ref(&x)).macs, stem.macs);
    // Parameter, gradient and velocity are read; parameter and velocity written.
    let sgd = SgdAttrs { momentum: 0.9, dampening: 0.0, nesterov: false, weight_decay: 0.0 };
    let update = cost(&Op::Update(Update { rule: UpdateRule::Sgd(sgd), lr_scale: 1.0 }), &[&w, &w], &[]);
    assert_eq!((update.read, update.written), (12 * 9_408, 8 * 9_408));
}

#[test]
fn initial_distributions_put_fans_in() {
    let he = ConvInit::HeNormal { fan: Fan::FanOut }.resolve(9, 8);
    assert_eq!(he, Init::Normal { std: 0.5 });
    assert_eq!(ConvInit::HeUniform { fan: Fan::FanIn }.resolve(6, 1), Init::Uniform { bound: 1.0 });
    assert_eq!(ConvInit::XavierUniform.resolve(2, 4), Init::Uniform { bound: 1.0 });
    let linear = ConvInit::UniformFan { fan: Fan::FanIn, gain: 1.0 };
    assert_eq!(linear.resolve(16, 10), Init::Uniform { bound: 0.25 });
}
