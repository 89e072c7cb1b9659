//! [`ResolvedSpec`] to a [`Graph`] in the stage `Built`: the only code that sees both.
//!
//! Nodes are named by their place in the spec: region (`stem`, `stage1.unit0`, `head`), then the layer's kind counted
//! from 1 in order of writing (`conv1`, `bn2`, `relu3`). `add`, `mul`, `scale`, `concat`, `shortcut` and the head's
//! layers carry a number from their second on. Parameters hang below their layer: `stage1.unit0.conv1.weight`. Channels
//! are tracked here, since the shapes of weights depend on them; that sizes of images agree is left to
//! shape inference.

mod builder;
mod expect;
mod layer;
mod network;
mod reach;
mod shortcut;
mod value;

use builder::Builder;

use crate::diagnostic::Diagnostic;
use crate::ir::graph::{Graph, Mode};
use crate::spec::ResolvedSpec;

pub use expect::check_expect;

/// Builds the graph for one batch size.
pub fn build(spec: &ResolvedSpec, mode: Mode, batch: usize) -> Result<Graph, Vec<Diagnostic>> {
    let mut builder = Builder::new(spec, mode, batch);
    builder.network(batch).map_err(|fault| vec![*fault])?;
    let mut faults = reach::lost(&builder.graph, &builder.bound);
    if spec.init.zero_last_bn && !builder.zeroed {
        faults.push(nothing_zeroed(spec));
    }
    if faults.is_empty() { Ok(builder.graph) } else { Err(faults) }
}

fn nothing_zeroed(spec: &ResolvedSpec) -> Diagnostic {
    let span = spec.keys.nearest("init.zero_last_bn").unwrap_or(spec.name.span);
    let text = "no branch that is added to a shortcut ends in one";
    let fault = Diagnostic::error("`zero_last_bn` finds no normalisation", span, text);
    fault.help("end the main branch with `bn`, or take `zero_last_bn` out")
}
