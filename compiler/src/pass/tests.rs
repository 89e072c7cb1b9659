//! Each pass on small nets built by hand: the whole text after it.

use super::*;
use crate::backend::Backend;
use crate::ir::op::*;
use crate::ir::op::{
    Activate, Add, BatchNorm, Conv, CrossEntropy, GlobalAvgPool, Input, Labels, Linear, Param, Shortcut,
    UpdateRule,
};
use crate::ir::origin::Part;
use crate::ir::types::Shape;
use crate::report::Dump;
use crate::source::{SourceId, Span};

/// Builds nets as the spec's builder does: parameters right before their user.
struct Net {
    graph: Graph,
    /// Where the next node comes from: nodes get spans one behind the other.
    at: u32,
}

impl Net {
    fn new(mode: Mode, shape: [usize; 4]) -> (Self, Value) {
        let mut net = Net { graph: Graph::new("small", mode), at: 0 };
        let x = net.add("input", Op::Input(Input { shape: shape.into() }), &[]);
        (net, x)
    }

    fn add(&mut self, name: &str, op: Op, operands: &[Value]) -> Value {
        self.at += 10;
        let span = Span { source: SourceId(0), start: self.at, end: self.at + 5 };
        let id = self.graph.add(name, op, span, operands);
        // As the builder does, from the names that it gives.
        self.graph.node_mut(id).part = match name.split('.').next() {
            Some("stem") => Part::Stem,
            Some("head") => Part::Head,
            Some("stage1") => Part::Unit { stage: 1, unit: 0 },
            Some("stage2") => Part::Unit { stage: 2, unit: 0 },
            _ => Part::Network,
        };
        id.into()
    }

    fn param(&mut self, name: &str, shape: impl Into<Shape>, role: Role, init: Init) -> Value {
        self.add(name, Op::Param(Param { shape: shape.into(), role, init, recipe: Recipe::Own }), &[])
    }

    fn conv(&mut self, name: &str, x: Value, io: [usize; 2], kernel: usize, stride: usize) -> Value {
        let shape = [io[1], io[0], kernel, kernel];
        let weight =
            self.param(&format!("{name}.weight"), shape, Role::ConvWeight, Init::Normal { std: 0.5 });
        let attrs = ConvAttrs {
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [kernel / 2; 2],
            dilation: [1; 2],
            groups: 1,
        };
        self.add(name, Op::Conv(Conv { attrs, bias: false, epilogue: Epilogue::default() }), &[x, weight])
    }

    fn bn(&mut self, name: &str, x: Value, channels: usize) -> Value {
        let tensors = [
            ("weight", Role::NormScale, 1.0),
            ("bias", Role::NormShift, 0.0),
            ("running_mean", Role::RunningMean, 0.0),
            ("running_var", Role::RunningVar, 1.0),
        ];
        let mut operands = vec![x];
        for (suffix, role, value) in tensors {
            operands.push(self.param(&format!("{name}.{suffix}"), [channels], role, Init::Constant(value)));
        }
        self.add(
            name,
            Op::BatchNorm(BatchNorm {
                eps: 1e-5,
                momentum: 0.1,
                still: false,
                epilogue: Epilogue::default(),
            }),
            &operands,
        )
    }

    fn gn(&mut self, name: &str, x: Value, channels: usize) -> Value {
        let norm = Norm::Group { groups: 2, eps: 1e-5 };
        let mut operands = vec![x];
        for &(suffix, role, first) in norm.tensors() {
            operands.push(self.param(&format!("{name}.{suffix}"), [channels], role, Init::Constant(first)));
        }
        self.add(name, norm.op(), &operands)
    }

    fn act(&mut self, name: &str, x: Value, act: Activation) -> Value {
        self.add(name, Op::Activate(Activate { act }), &[x])
    }

    fn sum(&mut self, name: &str, a: Value, b: Value) -> Value {
        self.add(name, Op::Add(Add { act: None }), &[a, b])
    }

    fn shortcut(&mut self, name: &str, rule: ShortcutRule, x: Value, main: Value) -> Value {
        let init = ConvInit::HeNormal { fan: Fan::FanOut };
        self.add(name, Op::Shortcut(Shortcut { rule, norm: Norm::DEFAULT, init }), &[x, main])
    }

    /// conv-bn-relu-conv-bn + shortcut, relu.
    fn basic(&mut self, unit: &str, x: Value, io: [usize; 2], stride: usize, rule: ShortcutRule) -> Value {
        let name = |part: &str| format!("{unit}.{part}");
        let main = self.conv(&name("conv1"), x, io, 3, stride);
        let main = self.bn(&name("bn1"), main, io[1]);
        let main = self.act(&name("relu1"), main, Activation::Relu);
        let main = self.conv(&name("conv2"), main, [io[1]; 2], 3, 1);
        let main = self.bn(&name("bn2"), main, io[1]);
        let shortcut = self.shortcut(&name("shortcut"), rule, x, main);
        let sum = self.sum(&name("add"), main, shortcut);
        self.act(&name("relu2"), sum, Activation::Relu)
    }

    /// Pooling, linear layer and, in training, the loss.
    fn head(&mut self, x: Value, features: usize) {
        let x = self.add("head.pool", Op::GlobalAvgPool(GlobalAvgPool), &[x]);
        let init = Init::Uniform { bound: 0.5 };
        let weight = self.param("head.fc.weight", [10, features], Role::LinearWeight, init);
        let bias = self.param("head.fc.bias", [10], Role::Bias, Init::Constant(0.0));
        let logits = self.add("head.fc", Op::Linear(Linear { bias: true }), &[x, weight, bias]);
        self.graph.outputs.push(("logits".into(), logits));
        if self.graph.mode == Mode::Train {
            let labels = self.add("labels", Op::Labels(Labels { batch: 2 }), &[]);
            let loss = self.add("loss", Op::CrossEntropy(CrossEntropy { smoothing: 0.1 }), &[logits, labels]);
            self.graph.outputs.push(("loss".into(), loss));
            self.graph.outputs.push(("correct".into(), Value { port: 1, ..loss }));
        }
    }
}

/// A stem, a unit with an identity and one with a changing shortcut, a head.
fn resnet(mode: Mode, rule: ShortcutRule) -> Graph {
    let (mut net, x) = Net::new(mode, [2, 3, 8, 8]);
    let x = net.conv("stem.conv", x, [3, 4], 3, 1);
    let x = net.bn("stem.bn", x, 4);
    let x = net.act("stem.relu", x, Activation::Relu);
    let x = net.basic("stage1.unit0", x, [4, 4], 1, rule);
    let x = net.basic("stage2.unit0", x, [4, 8], 2, rule);
    net.head(x, 8);
    net.graph
}

fn context() -> PassContext {
    let sgd = SgdAttrs { momentum: 0.9, dampening: 0.0, nesterov: false, weight_decay: 1e-4 };
    PassContext {
        decay_norm: false,
        dump: Dump::All,
        ..PassContext::new(UpdateRule::Sgd(sgd), 0.1, Backend::CPU)
    }
}

/// The graph's text after the last run of that pass.
fn after(graph: Graph, pass: &str) -> String {
    let (_, reports) = run(graph, &context()).expect("the net is sound");
    reports.into_iter().rev().find(|r| r.pass.name() == pass).and_then(|r| r.dump).expect("the pass has run")
}

/// The report of a pass: a line per note.
fn notes(graph: Graph, pass: &str) -> String {
    let (_, reports) = run(graph, &context()).expect("the net is sound");
    let report = reports.into_iter().rev().find(|r| r.pass.name() == pass).expect("the pass has run");
    let lines: Vec<String> =
        report.notes.iter().map(|note| format!("{}: {}", note.node, note.sentence)).collect();
    format!("fired {}\n{}", report.fired, lines.join("\n"))
}

#[test]
fn infer_shapes() {
    insta::assert_snapshot!(after(resnet(Mode::Infer, ShortcutRule::Projection), "infer-shapes"));
}

#[test]
fn expand_shortcuts_projection() {
    insta::assert_snapshot!(after(resnet(Mode::Infer, ShortcutRule::Projection), "expand-shortcuts"));
}

#[test]
fn expand_shortcuts_notes() {
    use ShortcutRule::{AlwaysProject, Pad, Projection};
    let all =
        [Pad, Projection, AlwaysProject].map(|rule| notes(resnet(Mode::Infer, rule), "expand-shortcuts"));
    insta::assert_snapshot!(all.join("\n\n"));
}

#[test]
fn fold_bn() {
    insta::assert_snapshot!(after(resnet(Mode::Infer, ShortcutRule::Pad), "fold-bn"));
}

#[test]
fn fuse_conv() {
    insta::assert_snapshot!(after(resnet(Mode::Infer, ShortcutRule::Projection), "fuse-conv"));
}

#[test]
fn infer_laid_out() {
    insta::assert_snapshot!(after(resnet(Mode::Infer, ShortcutRule::Projection), "layout"));
}

#[test]
fn fuse_bn() {
    insta::assert_snapshot!(after(resnet(Mode::Train, ShortcutRule::Projection), "fuse-bn"));
}

#[test]
fn differentiate() {
    insta::assert_snapshot!(after(resnet(Mode::Train, ShortcutRule::Pad), "differentiate"));
}

#[test]
fn train_laid_out() {
    insta::assert_snapshot!(after(resnet(Mode::Train, ShortcutRule::Projection), "layout"));
}

/// A unit that normalises by groups, with a sum and activations of both kinds: with a mask and without.
fn grouped(mode: Mode) -> Graph {
    let (mut net, x) = Net::new(mode, [2, 3, 4, 4]);
    let x = net.conv("stem.conv", x, [3, 4], 3, 1);
    let main = net.conv("unit.conv1", x, [4, 4], 3, 1);
    let main = net.gn("unit.gn1", main, 4);
    let main = net.act("unit.silu1", main, Activation::Silu);
    let main = net.conv("unit.conv2", main, [4, 4], 3, 1);
    let main = net.gn("unit.gn2", main, 4);
    let sum = net.sum("unit.add", main, x);
    let sum = net.act("unit.relu2", sum, Activation::Relu);
    net.head(sum, 4);
    net.graph
}

#[test]
fn group_norms_stay_in_inference() {
    insta::assert_snapshot!(after(grouped(Mode::Infer), "layout"));
}

#[test]
fn group_norms_in_training() {
    insta::assert_snapshot!(after(grouped(Mode::Train), "layout"));
}

/// A net of one conv-bn-relu whose normalisation's result is used twice: nothing may be fused over it.
fn forked(mode: Mode) -> Graph {
    let (mut net, x) = Net::new(mode, [2, 3, 4, 4]);
    let x = net.conv("stem.conv", x, [3, 4], 3, 1);
    let x = net.bn("stem.bn", x, 4);
    let act = net.act("stem.relu", x, Activation::Relu);
    let sum = net.sum("stem.add", act, x);
    let sum = net.act("stem.sigmoid", sum, Activation::Sigmoid);
    net.head(sum, 4);
    net.graph
}

#[test]
fn intermediates_with_two_users_are_not_fused() {
    let conv = notes(forked(Mode::Infer), "fuse-conv");
    assert_eq!(conv, "fired 0\nstem.conv: left: its result is used more than once");
    let bn = notes(forked(Mode::Train), "fuse-bn");
    assert_eq!(bn, "fired 0\nstem.bn: left: its result is used more than once");
    assert_eq!(notes(forked(Mode::Train), "fuse-add"), "fired 1\nstem.add: took in `stem.sigmoid`");
}

/// A convolution whose result is also read raw keeps its weight: the normalisation becomes a map of its own.
#[test]
fn a_convolution_with_two_users_is_not_folded() {
    let (mut net, x) = Net::new(Mode::Infer, [2, 3, 4, 4]);
    let x = net.conv("stem.conv", x, [3, 4], 3, 1);
    let norm = net.bn("stem.bn", x, 4);
    let sum = net.sum("stem.add", norm, x);
    net.head(sum, 4);
    let notes = notes(net.graph, "fold-bn");
    assert_eq!(notes, "fired 1\nstem.bn: affine: the convolution's result has another user");
}

/// Two convolutions by one weight, each with a normalisation of its own: folding either would change the other.
#[test]
fn a_shared_weight_is_not_folded() {
    let (mut net, x) = Net::new(Mode::Infer, [2, 4, 4, 4]);
    let a = net.conv("a.conv", x, [4, 4], 3, 1);
    let weight = net.graph.operands(a.node)[1];
    let op = net.graph.node(a.node).op.clone();
    let b = net.add("b.conv", op, &[x, weight]);
    let (a, b) = (net.bn("a.bn", a, 4), net.bn("b.bn", b, 4));
    let sum = net.sum("add", a, b);
    net.head(sum, 4);
    let reason = "affine: the convolution shares its weight";
    assert_eq!(notes(net.graph, "fold-bn"), format!("fired 2\na.bn: {reason}\nb.bn: {reason}"));
}

/// Two normalisations that share their scale fold different statistics into it: each gets a scale of its own.
#[test]
fn a_shared_scale_is_folded_for_each_normalisation() {
    let (mut net, x) = Net::new(Mode::Infer, [2, 4, 4, 4]);
    let a = net.bn("a", x, 4);
    let b = net.bn("b", x, 4);
    let mut operands = net.graph.operands(b.node);
    operands[1] = net.graph.operands(a.node)[1];
    let op = net.graph.node(b.node).op.clone();
    let c = net.add("c", op, &operands);
    let sum = net.sum("add1", a, c);
    net.head(sum, 4);
    let text = after(net.graph, "fold-bn");
    for scale in ["a.folded_scale", "c.folded_scale"] {
        assert!(text.contains(&format!("{scale} = param norm_scale")), "{scale} in\n{text}");
    }
}

/// A sum that is read with and without its activation stays apart from it.
#[test]
fn a_sum_with_two_users_is_not_fused() {
    let (mut net, x) = Net::new(Mode::Infer, [2, 4, 4, 4]);
    let sum = net.sum("sum", x, x);
    let act = net.act("relu", sum, Activation::Relu);
    let out = net.sum("out", act, sum);
    net.head(out, 4);
    let notes = notes(net.graph, "fuse-add");
    assert_eq!(notes, "fired 0\nsum: left: its sum is used more than once\nout: left: no activation follows");
}

#[test]
fn gradients_of_a_fork() {
    insta::assert_snapshot!(after(forked(Mode::Train), "layout"));
}

/// A normalisation before any convolution, as in pre-activation units.
#[test]
fn a_normalisation_without_convolution_becomes_affine() {
    let (mut net, x) = Net::new(Mode::Infer, [2, 3, 4, 4]);
    let x = net.bn("stem.bn", x, 3);
    let x = net.act("stem.relu", x, Activation::LeakyRelu { slope: 0.1 });
    net.head(x, 3);
    insta::assert_snapshot!(after(net.graph, "layout"));
}

#[test]
fn a_mismatch_names_both_ends() {
    let (mut net, x) = Net::new(Mode::Infer, [2, 3, 8, 8]);
    let a = net.conv("stem.conv1", x, [3, 4], 3, 2);
    let b = net.conv("stem.conv2", x, [3, 4], 3, 1);
    let sum = net.sum("stem.add", a, b);
    net.head(sum, 4);
    let spans = ["stem.add", "stem.conv2", "stem.conv1"].map(|name| {
        let id = net.graph.ids().find(|&id| net.graph.node(id).name == name);
        net.graph.node(id.expect("the net has that node")).span
    });
    let mistakes = run(net.graph, &context()).expect_err("the branches differ");
    assert_eq!(mistakes.len(), 1, "what follows a mistake is not told");
    assert_eq!(mistakes[0].message, "`stem.add`: cannot add 2x4x4x4 and 2x4x8x8");
    let found: Vec<Span> = mistakes[0].labels.iter().map(|label| label.span).collect();
    assert_eq!(found, spans);
}

#[test]
fn the_picture_has_a_cluster_per_unit() {
    let (graph, _) = run(resnet(Mode::Infer, ShortcutRule::Pad), &context()).expect("the net is sound");
    insta::assert_snapshot!(crate::ir::dot::dot(&graph));
}

/// The reference fuses nothing; what it computes is the same.
#[test]
fn a_backend_without_fusions_keeps_every_operator() {
    let kernels = |backend: Backend, mode| {
        let (spec, _) = crate::spec::tests::get("resnet20", &[]);
        let target = crate::report::Target { backend, ..crate::report::Target::new(mode, 2) };
        crate::compile(&spec, &target).expect("a sound spec").plan
    };
    for mode in [Mode::Infer, Mode::Train] {
        let [fused, plain] = [Backend::CPU, Backend::REFERENCE].map(|backend| kernels(backend, mode));
        assert!(fused.steps.len() < plain.steps.len(), "{mode}");
        let shapes = |plan: &crate::plan::Plan| plan.slots.len();
        assert_eq!(shapes(&fused), shapes(&plain));
    }
    let cuda = kernels(Backend::CUDA, Mode::Train);
    assert!(cuda.buffers.iter().all(|b| b.slice.is_some() || b.offset.is_multiple_of(256)));
    assert!(cuda.buffers.iter().any(|b| b.layout == crate::ir::types::Layout::Ohwi));
}
