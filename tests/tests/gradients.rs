//! The gradient of every operator against finite differences in double precision, and fused against unfused.

use resnetc_compiler::build::build;
use resnetc_compiler::ir::graph::{Graph, Mode, Value};
use resnetc_compiler::ir::op::{
    Activation, AvgPool, BlurPool, Concat, ConvAttrs, Distillation, Drop, DropPart, Epilogue, GlobalAvgPool,
    GlobalMaxPool, LossAttrs, Mul, Objective, Op, PadChannels, PoolAttrs, ScaleShift, ShortcutRule,
};
use resnetc_compiler::pass::PassId;
use resnetc_tests::nets::{Net, square};
use resnetc_tests::specs::resolve;
use resnetc_tests::training::{Session, assert_gradients, compile_without};

/// Passes without which every operator has its own forward and backward kernels.
const FUSING: &[PassId] = &[PassId::FuseBn, PassId::FuseMul, PassId::FuseAdd, PassId::AccumulateConv];

/// `conv3x3 -> op -> head` on three images of 7x6: the operator's input has a gradient too.
fn around(op: impl FnOnce(&mut Net, Value) -> (Value, usize)) -> Graph {
    let (mut net, x) = Net::new(Mode::Train, [3, 2, 7, 6]);
    let x = net.conv("first", x, [2, 4], square(3, 1, 1), true);
    let (y, features) = op(&mut net, x);
    net.finish(y, features, 5, 0.0)
}

/// Checks the gradients with and without the fusing passes, and that they agree.
fn check(graph: Graph) {
    let (fused, unfused) = (compile_without(graph.clone(), &[]), compile_without(graph, FUSING));
    assert_gradients(unfused.clone(), 1);
    assert_gradients(fused.clone(), 1);
    let (fused, unfused) = (Session::new(fused, 1).gradients(), Session::new(unfused, 1).gradients());
    for (name, unfused) in unfused {
        for (a, b) in fused[&name].iter().zip(&unfused) {
            assert!((a - b).abs() <= 1e-12 * (1.0 + b.abs()), "{name}: fused {a}, unfused {b}");
        }
    }
}

fn check_conv(io: [usize; 2], attrs: ConvAttrs, bias: bool) {
    check(around(|net, x| (net.conv("conv", x, io, attrs, bias), io[1])));
}

#[test]
fn convolution() {
    check_conv([4, 5], square(3, 1, 1), false);
    check_conv([4, 3], square(1, 1, 0), true);
}

#[test]
fn convolution_with_stride() {
    check_conv([4, 3], square(3, 2, 1), true);
    check_conv([4, 3], square(1, 2, 0), false);
    check_conv(
        [4, 3],
        ConvAttrs { stride: [1, 3], padding: [2, 0], kernel: [3, 2], ..square(3, 1, 1) },
        false,
    );
}

#[test]
fn convolution_with_dilation() {
    check_conv([4, 3], ConvAttrs { dilation: [2, 1], ..square(3, 1, 2) }, false);
    check_conv([4, 3], ConvAttrs { dilation: [2, 2], ..square(3, 2, 2) }, false);
}

#[test]
fn convolution_with_groups() {
    check_conv([4, 6], ConvAttrs { groups: 2, ..square(3, 1, 1) }, true);
    check_conv([4, 4], ConvAttrs { groups: 4, ..square(3, 2, 1) }, false);
}

#[test]
fn batch_normalisation() {
    check(around(|net, x| {
        let y = net.bn("bn", x, 4);
        // Without a nonlinearity the mean over the image would undo the normalisation.
        (net.act("act", y, Activation::Sigmoid), 4)
    }));
}

#[test]
fn batch_normalisation_with_activation() {
    for act in [Activation::Relu, Activation::LeakyRelu { slope: 0.1 }] {
        check(around(|net, x| {
            let y = net.bn("bn", x, 4);
            (net.act("act", y, act), 4)
        }));
    }
}

#[test]
fn batch_normalisation_with_residual_and_activation() {
    for act in [Activation::Relu, Activation::LeakyRelu { slope: 0.1 }, Activation::Sigmoid, Activation::Gelu]
    {
        check(around(|net, x| {
            let main = net.conv("conv", x, [4, 4], square(3, 1, 1), false);
            let main = net.bn("bn", main, 4);
            let sum = net.sum("add", main, x);
            (net.act("act", sum, act), 4)
        }));
    }
}

#[test]
fn group_normalisation() {
    for groups in [1, 2, 4] {
        check(around(|net, x| {
            let y = net.gn("gn", x, 4, groups);
            (net.act("act", y, Activation::Sigmoid), 4)
        }));
    }
}

#[test]
fn group_normalisation_with_residual_and_activation() {
    for act in [Activation::Relu, Activation::LeakyRelu { slope: 0.1 }, Activation::Silu] {
        check(around(|net, x| {
            let main = net.conv("conv", x, [4, 6], square(3, 1, 1), false);
            let main = net.gn("gn", main, 6, 3);
            let main = net.act("inner", main, act);
            let main = net.conv("conv2", main, [6, 4], square(3, 1, 1), false);
            let main = net.gn("gn2", main, 4, 2);
            let sum = net.sum("add", main, x);
            (net.act("act", sum, act), 4)
        }));
    }
}

#[test]
fn activations() {
    for act in [Activation::Relu, Activation::LeakyRelu { slope: 0.2 }].into_iter().chain([
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Silu,
        Activation::Gelu,
    ]) {
        check(around(|net, x| (net.act("act", x, act), 4)));
    }
}

/// `sigmoid(conv1x1(mean of the image))`, one element per image and channel.
fn gate(net: &mut Net, x: Value) -> Value {
    let pooled = net.add("gate.pool", Op::GlobalAvgPool(GlobalAvgPool), &[x]);
    let gate = net.conv("gate.conv", pooled, [4, 4], square(1, 1, 0), true);
    net.act("gate", gate, Activation::Sigmoid)
}

fn product(net: &mut Net, a: Value, b: Value) -> Value {
    net.add("mul", Op::Mul(Mul { epilogue: Epilogue::default() }), &[a, b])
}

#[test]
fn products() {
    check(around(|net, x| {
        let y = net.conv("conv", x, [4, 4], square(1, 1, 0), false);
        (product(net, x, y), 4)
    }));
    check(around(|net, x| (product(net, x, x), 4)));
}

#[test]
fn products_with_gates_on_either_side() {
    check(around(|net, x| {
        let gate = gate(net, x);
        let y = product(net, x, gate);
        (net.act("act", y, Activation::Sigmoid), 4)
    }));
    check(around(|net, x| {
        let gate = gate(net, x);
        let y = product(net, gate, x);
        (net.act("act", y, Activation::LeakyRelu { slope: 0.1 }), 4)
    }));
}

#[test]
fn products_with_residual_and_activation() {
    for act in [Activation::Relu, Activation::LeakyRelu { slope: 0.1 }, Activation::Silu] {
        check(around(|net, x| {
            let main = net.conv("conv", x, [4, 4], square(3, 1, 1), false);
            let gate = gate(net, main);
            let main = product(net, main, gate);
            let sum = net.sum("add", main, x);
            (net.act("act", sum, act), 4)
        }));
    }
}

#[test]
fn products_with_residual_alone() {
    check(around(|net, x| {
        let gate = gate(net, x);
        let main = product(net, x, gate);
        let sum = net.sum("add", x, main);
        (net.conv("last", sum, [4, 4], square(3, 2, 1), false), 4)
    }));
}

#[test]
fn multiples() {
    check(around(|net, x| {
        let y = net.add("scale", Op::ScaleShift(ScaleShift { scale: -0.5, shift: 1.0 }), &[x]);
        let y = net.add("shift", Op::ScaleShift(ScaleShift { scale: 1.0, shift: -0.25 }), &[y]);
        (net.act("act", y, Activation::Sigmoid), 4)
    }));
}

#[test]
fn random_operators() {
    for part in [DropPart::Element, DropPart::Image, DropPart::Block { size: 3 }] {
        check(around(|net, x| {
            let y = net.add("drop", Op::Drop(Drop { part, rate: 0.4, stream: 6 }), &[x]);
            let y = net.act("act", y, Activation::Sigmoid);
            (net.conv("last", y, [4, 4], square(3, 1, 1), false), 4)
        }));
    }
}

fn pool(kernel: [usize; 2], stride: usize, padding: usize, ceil: bool, count_padding: bool) -> PoolAttrs {
    PoolAttrs { kernel, stride: [stride; 2], padding: [padding; 2], ceil, count_padding }
}

#[test]
fn max_pooling() {
    for attrs in [
        pool([3, 3], 2, 1, false, false),
        pool([2, 2], 2, 0, false, false),
        pool([2, 3], 2, 0, true, false),
        pool([3, 3], 1, 1, false, false),
    ] {
        check(around(|net, x| {
            let y = net.max_pool("pool", x, attrs);
            (net.conv("last", y, [4, 4], square(1, 1, 0), false), 4)
        }));
    }
}

#[test]
fn average_pooling() {
    for (ceil, count_padding) in [(false, false), (false, true), (true, false), (true, true)] {
        for attrs in [pool([2, 2], 2, 0, ceil, count_padding), pool([3, 2], 2, 1, ceil, count_padding)] {
            check(around(|net, x| {
                let y = net.add("pool", Op::AvgPool(AvgPool { attrs }), &[x]);
                // So that pixels do not count all the same in the mean behind.
                (net.act("act", y, Activation::Sigmoid), 4)
            }));
        }
    }
}

#[test]
fn value_with_three_users() {
    check(around(|net, x| {
        let a = net.act("a", x, Activation::Sigmoid);
        let b = net.conv("b", x, [4, 4], square(3, 1, 1), false);
        let c = net.conv("c", x, [4, 4], square(1, 1, 0), true);
        let sum = net.sum("ab", a, b);
        (net.sum("abc", sum, c), 4)
    }));
}

#[test]
fn value_added_to_itself() {
    check(around(|net, x| {
        let twice = net.sum("twice", x, x);
        (net.act("act", twice, Activation::Sigmoid), 4)
    }));
}

#[test]
fn global_max_pooling() {
    check(around(|net, x| {
        let y = net.add("max", Op::GlobalMaxPool(GlobalMaxPool), &[x]);
        (net.conv("last", y, [4, 4], square(1, 1, 0), true), 4)
    }));
}

#[test]
fn blurs() {
    for stride in [[1, 1], [2, 2], [3, 1]] {
        check(around(|net, x| {
            let y = net.add("blur", Op::BlurPool(BlurPool { stride }), &[x]);
            (net.act("act", y, Activation::Sigmoid), 4)
        }));
    }
}

#[test]
fn convolution_along_channels() {
    for kernel in [1, 3, 5] {
        check(around(|net, x| {
            let pooled = net.add("pool", Op::GlobalAvgPool(GlobalAvgPool), &[x]);
            let y = net.channel_conv("eca", pooled, kernel);
            let gate = net.act("gate", y, Activation::Sigmoid);
            (product(net, x, gate), 4)
        }));
    }
}

#[test]
fn concatenation() {
    check(around(|net, x| {
        let a = net.conv("a", x, [4, 3], square(3, 1, 1), false);
        let b = net.conv("b", x, [4, 2], square(1, 1, 0), true);
        let all = net.add("concat", Op::Concat(Concat { operands: 3 }), &[a, x, b]);
        let all = net.bn("bn", all, 9);
        (net.act("act", all, Activation::Relu), 9)
    }));
}

#[test]
fn concatenation_of_a_value_with_itself() {
    check(around(|net, x| {
        let twice = net.add("twice", Op::Concat(Concat { operands: 2 }), &[x, x]);
        let last = net.conv("last", twice, [8, 4], square(3, 1, 1), false);
        (net.act("act", last, Activation::Sigmoid), 4)
    }));
}

#[test]
fn padded_channels() {
    for (before, channels) in [(0, 7), (2, 9), (3, 7)] {
        check(around(|net, x| {
            let padded = net.add("pad", Op::PadChannels(PadChannels { channels, before }), &[x]);
            let last = net.conv("last", padded, [channels, 4], square(3, 1, 1), false);
            (net.act("act", last, Activation::Sigmoid), 4)
        }));
    }
}

/// Beside the gradient that reaches the input on another way.
#[test]
fn pooled_and_padded_shortcut() {
    check(around(|net, x| {
        let attrs = pool([2; 2], 2, 0, true, false);
        let main = net.conv("main", x, [4, 7], square(3, 2, 1), false);
        let main = net.bn("bn", main, 7);
        let pooled = net.add("pool", Op::AvgPool(AvgPool { attrs }), &[x]);
        let padded = net.add("pad", Op::PadChannels(PadChannels { channels: 7, before: 0 }), &[pooled]);
        let sum = net.sum("sum", main, padded);
        (net.act("act", sum, Activation::Relu), 7)
    }));
}

/// In the middle of a head, and where logits are means of maps.
#[test]
fn flattened_maps() {
    for head in [
        "global_maxpool -> flatten -> sigmoid -> linear(classes)",
        "conv1x1(classes) -> global_avgpool -> flatten",
    ] {
        let text = format!(
            "name: flat\ninput: [2, 5, 4]\nclasses: 3\nstem: conv3x3(4) -> tanh\nunit: basic\n\
             stages:\n  - {{depth: 1, filters: 4}}\nhead: {head}\n"
        );
        check(build(&resolve(&text), Mode::Train, 3).expect("a right spec"));
    }
}

#[test]
fn units_with_every_shortcut_rule() {
    use ShortcutRule::{AlwaysProject, Identity, Pad, Projection};
    for (rule, features, stride) in
        [(Identity, 4, 1), (Pad, 7, 2), (Projection, 7, 2), (Projection, 4, 1), (AlwaysProject, 4, 1)]
    {
        check(around(|net, x| {
            let y = net.basic("unit", x, [4, features], stride, rule);
            (y, features)
        }));
    }
}

#[test]
fn losses_of_soft_targets() {
    let (focal, threshold) = (Objective::Focal { gamma: 2.0, alpha: 0.25, sum_classes: false }, Some(0.3));
    let binary = Objective::BinaryCrossEntropy { target_threshold: None, sum_classes: true };
    let hard = Objective::BinaryCrossEntropy { target_threshold: threshold, sum_classes: false };
    let flat = Objective::Focal { gamma: 0.5, alpha: 0.7, sum_classes: true };
    let (soft, root) = (Objective::SoftmaxFocal { gamma: 2.0 }, Objective::SoftmaxFocal { gamma: 0.5 });
    for objective in [Objective::CrossEntropy, binary, hard, focal, flat, soft, root] {
        for (weighted, mixed) in [(false, true), (true, false), (true, true)] {
            let class_weights = if weighted { vec![0.5, 2.0, 0.0, 1.0, 1.5, 3.0] } else { Vec::new() };
            let attrs = LossAttrs { objective, smoothing: 0.1, class_weights, mixed, distillation: None };
            let (mut net, x) = Net::new(Mode::Train, [4, 2, 5, 5]);
            let x = net.conv("conv", x, [2, 4], square(3, 1, 1), true);
            let x = net.act("act", x, Activation::LeakyRelu { slope: 0.1 });
            check(net.finish_with(x, 4, 6, &attrs));
        }
    }
}

#[test]
fn losses_of_a_teacher() {
    let soft = Distillation { alpha: 0.75, temperature: 4.0, hard: false };
    let sharp = Distillation { alpha: 1.0, temperature: 0.5, hard: false };
    let hard = Distillation { alpha: 0.5, temperature: 1.0, hard: true };
    let focal = Objective::SoftmaxFocal { gamma: 2.0 };
    for (objective, distillation) in
        [(Objective::CrossEntropy, soft), (focal, soft), (Objective::CrossEntropy, sharp), (focal, hard)]
    {
        for (weighted, mixed) in [(false, false), (true, false), (false, true)] {
            let class_weights = if weighted { vec![0.5, 2.0, 0.0, 1.0, 1.5, 3.0] } else { Vec::new() };
            let distillation = Some(distillation);
            let attrs = LossAttrs { objective, smoothing: 0.1, class_weights, mixed, distillation };
            let (mut net, x) = Net::new(Mode::Train, [4, 2, 5, 5]);
            let x = net.conv("conv", x, [2, 4], square(3, 1, 1), true);
            let x = net.act("act", x, Activation::LeakyRelu { slope: 0.1 });
            check(net.finish_with(x, 4, 6, &attrs));
        }
    }
}

#[test]
fn label_smoothing() {
    let (mut net, x) = Net::new(Mode::Train, [4, 2, 5, 5]);
    let x = net.conv("conv", x, [2, 4], square(3, 1, 1), true);
    let x = net.act("act", x, Activation::LeakyRelu { slope: 0.1 });
    check(net.finish(x, 4, 6, 0.1));
}
