//! A sound graph has no faults; each broken invariant is found.

use super::*;
use crate::backend::Backend;
use crate::ir::op::{
    Activate, Activation, Affine, ChannelSum, Conv, Epilogue, Input, Param, Recipe, Role, Update, UpdateRule,
};
use crate::ir::op::{ConvAttrs, Init, SgdAttrs};
use crate::ir::types::{Layout, TensorType};
use crate::source::Span;

fn param(graph: &mut Graph, name: &str, shape: &[usize], role: Role) -> Value {
    let shape = crate::ir::types::Shape(shape.to_vec());
    let op = Op::Param(Param { shape, role, init: Init::Constant(1.0), recipe: Recipe::Own });
    graph.add(name, op, Span::NONE, &[]).into()
}

fn conv(bias: bool) -> Op {
    let attrs = ConvAttrs { kernel: [1; 2], stride: [1; 2], padding: [0; 2], dilation: [1; 2], groups: 1 };
    Op::Conv(Conv { attrs, bias, epilogue: Epilogue::default() })
}

/// input -> conv -> relu, in inference, typed by hand as the first pass would.
fn typed() -> Graph {
    let mut graph = Graph::new("net", Mode::Infer);
    let x = graph.add("input", Op::Input(Input { shape: [1, 2, 4, 4].into() }), Span::NONE, &[]).into();
    let weight = param(&mut graph, "conv.weight", &[2, 2, 1, 1], Role::ConvWeight);
    let y = graph.add("conv", conv(false), Span::NONE, &[x, weight]).into();
    let act = graph.add("relu", Op::Activate(Activate { act: Activation::Relu }), Span::NONE, &[y]).into();
    graph.outputs.push(("logits".into(), act));
    for value in [x, y, act] {
        graph.node_mut(value.node).types = vec![TensorType::f32([1, 2, 4, 4])];
    }
    graph.node_mut(weight.node).types = vec![TensorType::f32([2, 2, 1, 1])];
    graph.stage = Stage::Typed;
    graph
}

fn id(graph: &Graph, name: &str) -> NodeId {
    graph.ids().find(|&id| graph.node(id).name == name).expect("the net has that node")
}

fn named<'a>(graph: &'a mut Graph, name: &str) -> &'a mut crate::ir::graph::Node {
    let id = id(graph, name);
    graph.node_mut(id)
}

/// Faults after a change, as text.
fn faults(change: impl FnOnce(&mut Graph)) -> Vec<String> {
    let mut graph = typed();
    change(&mut graph);
    verify(&graph, &Backend::CPU.layouts).iter().map(ToString::to_string).collect()
}

/// That a change gives exactly one fault, which says that.
fn one_fault(expected: &str, change: impl FnOnce(&mut Graph)) {
    let found = faults(change);
    assert!(found.len() == 1 && found[0].contains(expected), "expected `{expected}`, found {found:#?}");
}

#[test]
fn a_sound_graph_has_no_faults() {
    assert_eq!(faults(|_| {}), Vec::<String>::new());
}

#[test]
fn names_are_unique_and_not_empty() {
    one_fault("conv: the name is used twice", |g| named(g, "relu").name = "conv".into());
    one_fault("a node has no name", |g| named(g, "relu").name = String::new());
}

#[test]
fn operands_come_first_and_exist() {
    let late = faults(|g| {
        let (conv, relu, weight) = (id(g, "conv"), id(g, "relu"), id(g, "conv.weight"));
        g.set_operands(conv, &[relu.into(), weight.into()]);
    });
    assert_eq!(late, ["conv: its operand `relu` comes after it"]);
    one_fault("relu: its operand `conv` has no result 1", |g| {
        let (relu, conv) = (id(g, "relu"), id(g, "conv"));
        g.set_operands(relu, &[Value { node: conv, port: 1 }]);
    });
    one_fault("takes 2 operands, has 1", |g| {
        let (conv, input) = (id(g, "conv"), id(g, "input"));
        g.set_operands(conv, &[input.into()]);
    });
}

#[test]
fn stages_have_their_operators() {
    one_fault("`channel_sum` is not legal in mode infer", |g| {
        let conv = id(g, "conv");
        let sum = g.add("sum", Op::ChannelSum(ChannelSum), Span::NONE, &[conv.into()]);
        g.node_mut(sum).types = vec![TensorType::f32([2])];
    });
    one_fault("`affine` is legal from stage fused", |g| {
        let scale = param(g, "scale", &[2], Role::NormScale);
        let shift = param(g, "shift", &[2], Role::NormShift);
        let x = id(g, "conv").into();
        let op = Op::Affine(Affine { epilogue: Epilogue::default() });
        let affine = g.add("affine", op, Span::NONE, &[x, scale, shift]);
        g.node_mut(affine).types = vec![TensorType::f32([1, 2, 4, 4])];
        for value in [scale, shift] {
            g.node_mut(value.node).types = vec![TensorType::f32([2])];
        }
    });
}

#[test]
fn epilogues_and_recipes_wait_for_fusion() {
    one_fault("an epilogue is legal from stage fused on", |g| {
        let Op::Conv(Conv { epilogue, .. }) = &mut named(g, "conv").op else { unreachable!("it is a conv") };
        epilogue.act = Some(Activation::Relu);
    });
    one_fault("a folded recipe is legal", |g| {
        let name = String::new;
        let bn =
            crate::ir::op::BnTensors { scale: name(), shift: name(), mean: name(), var: name(), eps: 0.0 };
        let Op::Param(Param { recipe, .. }) = &mut named(g, "conv.weight").op else {
            unreachable!("it is a parameter")
        };
        *recipe = Recipe::FoldedScale { bn };
    });
}

#[test]
fn parameters_have_the_fitting_role() {
    one_fault("its operand `conv.weight` is no parameter of role conv_weight", |g| {
        let Op::Param(Param { role, .. }) = &mut named(g, "conv.weight").op else {
            unreachable!("it is a parameter")
        };
        *role = Role::LinearWeight;
    });
    let sgd = SgdAttrs { momentum: 0.0, dampening: 0.0, nesterov: false, weight_decay: 0.0 };
    let twice = faults(|g| {
        g.mode = Mode::Train;
        g.stage = Stage::Differentiated;
        let relu = g.outputs[0].1;
        g.outputs.push(("loss".into(), relu));
        let weight: Value = id(g, "conv.weight").into();
        for name in ["update1", "update2"] {
            g.add(
                name,
                Op::Update(Update { rule: UpdateRule::Sgd(sgd), lr_scale: 1.0 }),
                Span::NONE,
                &[weight, weight],
            );
        }
    });
    assert_eq!(twice, ["update2: `conv.weight` is updated twice"]);
}

#[test]
fn types_agree_with_inference() {
    one_fault("relu: has types [f32 1x2x4x5], needs [f32 1x2x4x4]", |g| {
        named(g, "relu").types = vec![TensorType::f32([1, 2, 4, 5])];
    });
    one_fault("relu: has types [f32 1x2x4x4 nhwc], needs [f32 1x2x4x4]", |g| {
        named(g, "relu").types[0].layout = Layout::Nhwc;
    });
    let built = faults(|g| g.stage = Stage::Built);
    assert_eq!(built.len(), 4, "every node has types too early: {built:#?}");
    let plain = faults(|g| g.stage = Stage::LaidOut);
    assert_eq!(plain.len(), 4, "every node lacks its layout: {plain:#?}");
}

#[test]
fn outputs_and_sources_are_there() {
    one_fault("the graph has no output", |g| g.outputs.clear());
    one_fault("the output `logits` is there twice", |g| {
        let again = g.outputs[0].clone();
        g.outputs.push(again);
    });
    one_fault("the output `logits` is no result of a node", |g| g.outputs[0].1.port = 3);
    one_fault("a training graph has no output `loss`", |g| g.mode = Mode::Train);
    one_fault("the graph has 2 inputs", |g| {
        let more = g.add("more", Op::Input(Input { shape: [1, 1, 1, 1].into() }), Span::NONE, &[]);
        g.node_mut(more).types = vec![TensorType::f32([1, 1, 1, 1])];
    });
}
