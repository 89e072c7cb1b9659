//! Lowering of small graphs written by hand, as the last pass leaves them: the plan's text, its memory, its invariants.

use resnetc_compiler::ir::graph::{Graph, Mode, NodeId, Stage, Value};
use resnetc_compiler::ir::op::{Activation, ConvAttrs, Epilogue, Init, Op, Recipe, Role, SgdAttrs};
use resnetc_compiler::ir::types::{DType, Layout, Shape, TensorType};
use resnetc_compiler::plan::lower::lower;
use resnetc_compiler::plan::print::print;
use resnetc_compiler::plan::{Kernel, Plan, Region};
use resnetc_compiler::source::Span;

const SGD: SgdAttrs = SgdAttrs { momentum: 0.9, dampening: 0.0, nesterov: false, weight_decay: 1e-4 };
const NO_DECAY: SgdAttrs = SgdAttrs { weight_decay: 0.0, ..SGD };
const WINDOW: ConvAttrs =
    ConvAttrs { kernel: [3, 3], stride: [1, 1], padding: [1, 1], dilation: [1, 1], groups: 1 };

/// A graph under construction, with all types given.
struct Net(Graph);

impl Net {
    fn new(name: &str, mode: Mode) -> Net {
        let mut graph = Graph::new(name, mode);
        graph.stage = Stage::LaidOut;
        Net(graph)
    }

    fn node(&mut self, name: &str, op: Op, operands: &[Value], types: &[TensorType]) -> NodeId {
        let id = self.0.add(name, op, Span::NONE, operands);
        self.0.node_mut(id).types = types.to_vec();
        id
    }

    fn value(&mut self, name: &str, op: Op, operands: &[Value], ty: TensorType) -> Value {
        self.node(name, op, operands, &[ty]).into()
    }

    fn param(&mut self, name: &str, role: Role, ty: &TensorType) -> Value {
        let op = Op::Param { shape: ty.shape.clone(), role, init: Init::Constant(1.0), recipe: Recipe::Own };
        self.value(name, op, &[], ty.clone())
    }

    /// `scale, shift, running_mean, running_var`
    fn norm(&mut self, name: &str, channels: usize) -> [Value; 4] {
        let ty = TensorType::f32([channels]);
        [
            ("weight", Role::NormScale),
            ("bias", Role::NormShift),
            ("running_mean", Role::RunningMean),
            ("running_var", Role::RunningVar),
        ]
        .map(|(part, role)| self.param(&format!("{name}.{part}"), role, &ty))
    }

    fn update(&mut self, name: &str, sgd: SgdAttrs, param: Value, grad: Value) {
        self.node(&format!("{name}.update"), Op::SgdUpdate { sgd }, &[param, grad], &[]);
    }
}

fn port(value: Value, port: u8) -> Value {
    Value { node: value.node, port }
}

fn map(shape: [usize; 4]) -> TensorType {
    TensorType { shape: shape.into(), dtype: DType::F32, layout: Layout::Nhwc }
}

fn weight(shape: impl Into<Shape>) -> TensorType {
    TensorType { shape: shape.into(), dtype: DType::F32, layout: Layout::Hwio }
}

fn vector(len: usize) -> TensorType {
    TensorType::f32([len])
}

fn relu(residual: bool) -> Epilogue {
    Epilogue { residual, act: Some(Activation::Relu) }
}

/// Two convolutions, the second with the first's result as residual, pooled to features.
fn infer_net() -> Graph {
    let mut net = Net::new("tiny", Mode::Infer);
    let image = map([1, 3, 8, 8]);
    let features = map([1, 20, 8, 8]);
    let input = net.value("input", Op::Input { shape: image.shape.clone() }, &[], image);
    let weights = [
        net.param("conv1.weight", Role::ConvWeight, &weight([20, 3, 3, 3])),
        net.param("conv2.weight", Role::ConvWeight, &weight([20, 20, 3, 3])),
        net.param("fc.weight", Role::LinearWeight, &weight([10, 20])),
    ];
    let bias = net.param("fc.bias", Role::Bias, &vector(10));
    let conv = |epilogue| Op::Conv { attrs: WINDOW, bias: false, epilogue };
    let x = net.value("conv1", conv(relu(false)), &[input, weights[0]], features.clone());
    let y = net.value("conv2", conv(relu(true)), &[x, weights[1], x], features);
    let pooled = net.value("pool", Op::GlobalAvgPool, &[y], map([1, 20, 1, 1]));
    let logits =
        net.value("fc", Op::Linear { bias: true }, &[pooled, weights[2], bias], TensorType::f32([1, 10]));
    net.0.outputs.push(("logits".into(), logits));
    net.0
}

/// Convolution, normalisation with ReLU, and the classifier: forward, backward and updates.
fn train_net(batch: usize) -> Graph {
    let mut net = Net::new("tiny", Mode::Train);
    let (image, features) = (map([batch, 3, 8, 8]), map([batch, 16, 8, 8]));
    let (pooled_ty, logits_ty) = (map([batch, 16, 1, 1]), TensorType::f32([batch, 10]));
    let (conv_ty, fc_ty) = (weight([16, 3, 3, 3]), weight([10, 16]));
    let labels_ty = TensorType { dtype: DType::U32, ..vector(batch) };
    let input = net.value("input", Op::Input { shape: image.shape.clone() }, &[], image);
    let labels = net.value("labels", Op::Labels { batch }, &[], labels_ty);
    let conv_weight = net.param("conv.weight", Role::ConvWeight, &conv_ty);
    let [scale, shift, mean, var] = net.norm("bn", 16);
    let fc_weight = net.param("fc.weight", Role::LinearWeight, &fc_ty);
    let fc_bias = net.param("fc.bias", Role::Bias, &vector(10));

    let conv = Op::Conv { attrs: WINDOW, bias: false, epilogue: Epilogue::default() };
    let x = net.value("conv", conv, &[input, conv_weight], features.clone());
    let bn = Op::BatchNorm { eps: 1e-5, momentum: 0.1, epilogue: relu(false) };
    let stats = [features.clone(), vector(16), vector(16)];
    let y: Value = net.node("bn", bn, &[x, scale, shift, mean, var], &stats).into();
    let pooled = net.value("pool", Op::GlobalAvgPool, &[y], pooled_ty.clone());
    let fc = Op::Linear { bias: true };
    let logits = net.value("fc", fc, &[pooled, fc_weight, fc_bias], logits_ty.clone());
    let scalars = [TensorType::f32([]), TensorType::f32([])];
    let loss: Value =
        net.node("loss", Op::CrossEntropy { smoothing: 0.0 }, &[logits, labels], &scalars).into();

    let dlogits = Op::CrossEntropyBackward { smoothing: 0.0 };
    let dlogits = net.value("loss.grad", dlogits, &[logits, labels], logits_ty);
    let dbias = net.value("fc.bias.grad", Op::ChannelSum, &[dlogits], vector(10));
    let dfc = net.value("fc.weight.grad", Op::LinearBackwardFilter, &[pooled, dlogits], fc_ty);
    let dpooled = Op::LinearBackwardData { input: pooled_ty.shape.clone() };
    let dpooled = net.value("fc.grad", dpooled, &[dlogits, fc_weight], pooled_ty);
    let dy = Op::GlobalAvgPoolBackward { input: features.shape.clone() };
    let dy = net.value("pool.grad", dy, &[dpooled], features.clone());
    let dbn = Op::BatchNormBackward { epilogue: relu(false) };
    let operands = [dy, x, port(y, 1), port(y, 2), scale, y];
    let dx: Value = net.node("bn.grad", dbn, &operands, &[features, vector(16), vector(16)]).into();
    let dconv = Op::ConvBackwardFilter { attrs: WINDOW, weight: conv_ty.shape.clone() };
    let dconv = net.value("conv.weight.grad", dconv, &[input, dx], conv_ty);

    net.update("conv.weight", SGD, conv_weight, dconv);
    net.update("bn.weight", NO_DECAY, scale, port(dx, 1));
    net.update("bn.bias", NO_DECAY, shift, port(dx, 2));
    net.update("fc.weight", SGD, fc_weight, dfc);
    net.update("fc.bias", NO_DECAY, fc_bias, dbias);
    let outputs = [("logits", logits), ("loss", loss), ("correct", port(loss, 1))];
    net.0.outputs.extend(outputs.map(|(name, value)| (name.to_owned(), value)));
    net.0
}

fn sound(plan: &Plan) {
    assert_eq!(plan.check(), Vec::<String>::new());
}

#[test]
fn an_inference_plan() {
    let plan = lower(&infer_net());
    sound(&plan);
    insta::assert_snapshot!(print(&plan));
}

#[test]
fn a_training_plan() {
    let plan = lower(&train_net(2));
    sound(&plan);
    insta::assert_snapshot!(print(&plan));
}

#[test]
fn plans_of_two_batch_sizes_share_their_persistent_memory() {
    let (full, rest) = (lower(&train_net(8)), lower(&train_net(3)));
    assert_eq!((full.batch, rest.batch), (8, 3));
    assert_eq!(full.slots, rest.slots);
    for slot in &full.slots {
        assert_eq!(full.buffer(slot.buffer), rest.buffer(slot.buffer));
    }
    assert!(rest.sizes.arena < full.sizes.arena);
}

#[test]
fn updates_with_the_same_constants_are_one_step_over_adjacent_parameters() {
    let plan = lower(&train_net(2));
    let updates: Vec<_> =
        plan.steps.iter().filter(|s| matches!(s.kernel, Kernel::SgdUpdate { .. })).collect();
    assert_eq!(updates.len(), 2);
    for (update, decay) in updates.iter().zip([SGD, NO_DECAY]) {
        let Kernel::SgdUpdate { len, sgd } = &update.kernel else { unreachable!() };
        assert_eq!(*sgd, decay);
        let spans: Vec<_> = update.inputs.iter().map(|&id| plan.buffer(id)).collect();
        let regions: Vec<Region> = spans.iter().map(|b| b.region).collect();
        assert_eq!(regions, [Region::Params, Region::Grads, Region::Velocity]);
        assert!(spans.iter().all(|b| b.offset == spans[0].offset && b.bytes == len * 4));
    }
}

#[test]
fn a_plan_survives_json() {
    let plan = lower(&train_net(2));
    let text = serde_json::to_string(&plan).expect("plans serialise");
    assert_eq!(serde_json::from_str::<Plan>(&text).expect("and come back"), plan);
}

#[test]
fn the_check_sees_an_overlap() {
    let mut plan = lower(&infer_net());
    let (first, second) = (plan.steps[0].outputs[0], plan.steps[1].outputs[0]);
    plan.buffers[second.0 as usize].offset = plan.buffer(first).offset;
    let expected =
        ["`conv1` and `conv2` overlap while both live", "`conv2` and `pool` overlap while both live"];
    assert_eq!(plan.check(), expected);
}

#[test]
fn the_check_sees_a_read_before_the_write() {
    let mut plan = lower(&train_net(2));
    plan.steps.swap(0, 1);
    assert!(plan.check().contains(&"step 0 reads `conv` before it is written".to_owned()));
}

#[test]
fn the_check_sees_a_buffer_outside_of_its_region() {
    let mut plan = lower(&infer_net());
    plan.sizes.arena -= 64;
    assert_eq!(plan.check().len(), 1, "{:?}", plan.check());
}
