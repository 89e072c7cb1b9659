//! Whether one network takes images of all sizes that its training has (`train.progressive_resizing`): with each size every layer has a
//! shape, and every parameter the same one.

use crate::diagnostic::Diagnostic;
use crate::ir::graph::Graph;
use crate::ir::op::Op;
use crate::ir::types::Shape;
use crate::source::{Span, Spanned};
use crate::spec::ResolvedSpec;
use crate::spec::sections::expect::Expect;

/// The network for images of another `[height, width]`; its training has that size in all epochs. What the spec expects of its figures is
/// that of its own size.
pub fn at_size(spec: &ResolvedSpec, [height, width]: [usize; 2]) -> ResolvedSpec {
    let [channels, full @ ..] = spec.input.value;
    let mut small = spec.clone();
    small.input = Spanned { value: [channels, height, width], ..spec.input };
    small.preprocess = spec.preprocess.scaled(full, [height, width]);
    small.expect = Expect::default();
    small.train.progressive_resizing = None;
    small
}

/// What is wrong with the first size at which something is; `full` is the graph of the network's own size, `expand` makes that of another.
pub(crate) fn check(
    spec: &ResolvedSpec,
    full: &Graph,
    expand: impl Fn(&ResolvedSpec) -> Result<Graph, Vec<Diagnostic>>,
) -> Vec<Diagnostic> {
    let [_, own @ ..] = spec.input.value;
    let smaller = spec.train.sizes(own).into_iter().filter(|&size| size != own);
    let mut faults = smaller.map(|size| match expand(&at_size(spec, size)) {
        Ok(graph) => compare(spec, full, &graph, size),
        Err(faults) => faults.into_iter().map(|fault| labelled(spec, fault, size)).collect(),
    });
    faults.find(|faults| !faults.is_empty()).unwrap_or_default()
}

/// The first parameter that is not the same at both sizes.
fn compare(spec: &ResolvedSpec, full: &Graph, small: &Graph, size: [usize; 2]) -> Vec<Diagnostic> {
    let found: Vec<_> = parameters(small).collect();
    let differs = |&(name, shape, _): &(&str, &Shape, Span)| {
        found.iter().find(|(other, ..)| *other == name).is_none_or(|(_, other, _)| *other != shape)
    };
    let full: Vec<_> = parameters(full).collect();
    let fault = match full.iter().copied().find(differs) {
        Some((name, shape, span)) => {
            let there = found.iter().find(|(other, ..)| *other == name);
            let there = there.map_or("none".to_owned(), |(_, other, _)| other.to_string());
            let fault =
                Diagnostic::error(format!("`{name}` depends on the size of the images"), span, "this layer");
            fault.help(format!(
                "it is {shape} with images of the size of `input`, {there} with smaller ones: write a larger `initial`"
            ))
        }
        None => {
            let more = found.iter().find(|(name, ..)| !full.iter().any(|(other, ..)| other == name));
            let Some((name, _, span)) = more else { return Vec::new() };
            Diagnostic::error(format!("`{name}` is there for small images alone"), *span, "this layer")
                .help("write a larger `initial`")
        }
    };
    vec![labelled(spec, fault, size)]
}

/// Name, shape and place of each parameter and statistic.
fn parameters(graph: &Graph) -> impl Iterator<Item = (&str, &Shape, Span)> {
    graph.ids().map(|id| graph.node(id)).filter_map(|node| match &node.op {
        Op::Param(param) => Some((node.name.as_str(), &param.shape, node.span)),
        _ => None,
    })
}

/// The fault with the size that it is one at, and who asks for that.
fn labelled(spec: &ResolvedSpec, mut fault: Diagnostic, [height, width]: [usize; 2]) -> Diagnostic {
    let place = spec.keys.nearest("train.progressive_resizing").unwrap_or(Span::NONE);
    fault.message = format!("with images of {height}x{width}: {}", fault.message);
    fault.label(place, format!("some epochs have images of {height}x{width}"))
}
