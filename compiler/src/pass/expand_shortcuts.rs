//! Decides what each unit's shortcut is: the input itself, a projection (1x1 convolution and normalisation, options B and
//! C of He et al. 2015), or strided pixels padded with zero channels (option A).

use super::PassContext;
use crate::diagnostic::Diagnostic;
use crate::ir::graph::{Graph, NodeId, Value};
use crate::ir::op::{
    Conv, ConvAttrs, ConvInit, Epilogue, Init, Norm, Op, PadShortcut, Param, Recipe, Role, Shortcut,
    ShortcutRule,
};
use crate::ir::patch::Patch;
use crate::ops::ShortcutChange;

pub(super) fn run(graph: &Graph, _context: &PassContext) -> Result<Patch, Vec<Diagnostic>> {
    let mut patch = Patch::new(graph);
    for id in graph.ids() {
        let Op::Shortcut(Shortcut { rule, norm, init }) = graph.node(id).op else { continue };
        let change = change(graph, id);
        let x = graph.operands(id)[0];
        match rule {
            ShortcutRule::Identity => identity(graph, &mut patch, id, x),
            ShortcutRule::Pad | ShortcutRule::Projection if change.is_none() => {
                identity(graph, &mut patch, id, x);
            }
            ShortcutRule::Pad => pad(graph, &mut patch, id, x, change),
            ShortcutRule::Projection => project(graph, &mut patch, id, x, change, norm, init, 'B'),
            ShortcutRule::AlwaysProject => project(graph, &mut patch, id, x, change, norm, init, 'C'),
        }
    }
    Ok(patch)
}

/// From the shortcut's input to its result, which has the main branch's shape.
fn change(graph: &Graph, id: NodeId) -> ShortcutChange {
    let size = |value| graph.value_type(value).and_then(|ty| ty.shape.nchw());
    let sizes = size(graph.operands(id)[0]).zip(size(id.into()));
    sizes
        .and_then(|(x, main)| ShortcutChange::between(x, main))
        .expect("shape inference has checked shortcuts")
}

fn identity(graph: &Graph, patch: &mut Patch, id: NodeId, x: Value) {
    patch.redirect(id, x);
    patch.remove(id);
    patch.fired_silently(graph.node(id), "identity: the shapes agree");
}

fn pad(graph: &Graph, patch: &mut Patch, id: NodeId, x: Value, change: ShortcutChange) {
    let op = Op::PadShortcut(PadShortcut { stride: change.stride, channels: change.channels[1] });
    patch.replace(id, op, &[x]);
    patch.fired(id, graph.node(id), reason("pad", change, 'A'));
}

/// Adds `<name>.conv` and `<name>.bn` (or `.gn`) with their parameters in the place of the shortcut.
#[expect(clippy::too_many_arguments, reason = "what a convolution and a normalisation consist of")]
fn project(
    graph: &Graph,
    patch: &mut Patch,
    id: NodeId,
    x: Value,
    change: ShortcutChange,
    norm: Norm,
    init: ConvInit,
    rule: char,
) {
    let node = graph.node(id);
    let name = &node.name;
    let [cin, cout] = change.channels;
    let mut param = |suffix: &str, shape: Vec<usize>, role, init| -> Value {
        let op = Op::Param(Param { shape: crate::ir::types::Shape(shape), role, init, recipe: Recipe::Own });
        patch.add(format!("{name}.{suffix}"), op, node, &[]).into()
    };
    let weight = param("conv.weight", vec![cout, cin, 1, 1], Role::ConvWeight, init.resolve(cin, cout));
    let tensors: Vec<Value> = norm
        .tensors()
        .iter()
        .map(|(part, role, first)| {
            param(&format!("{}.{part}", norm.name()), vec![cout], *role, Init::Constant(*first))
        })
        .collect();
    let stride = change.stride;
    let attrs = ConvAttrs { kernel: [1; 2], stride, padding: [0; 2], dilation: [1; 2], groups: 1 };
    let conv = Op::Conv(Conv { attrs, bias: false, epilogue: Epilogue::default() });
    let conv = patch.add(format!("{name}.conv"), conv, node, &[x, weight]);
    let operands = [&[conv.into()], tensors.as_slice()].concat();
    let normalised = patch.add(format!("{name}.{}", norm.name()), norm.op(), node, &operands);
    patch.redirect(id, normalised);
    patch.remove(id);
    patch.fired(conv, node, reason("projection", change, rule));
}

/// `projection: 256 -> 512 channels, stride 2, rule B`
fn reason(what: &str, change: ShortcutChange, rule: char) -> String {
    format!("{what}: {change}, rule {rule}")
}
