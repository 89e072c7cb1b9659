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
    Ok(builder.graph)
}
