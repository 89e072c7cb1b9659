//! `resnetc explain`: what became of a node, or of a part of the network.

use resnetc_compiler::backend::Backend;
use resnetc_compiler::explain;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::report::Target;

use super::spec;
use crate::args::ExplainArgs;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::report::explain::Explainer;

/// Runs the command.
pub fn explain(args: &ExplainArgs, output: &Output) -> Result {
    let loaded = spec::load(&args.spec, &spec::options(&args.overrides), output)?;
    // A spec that another command refuses is refused here too.
    loaded.expand()?;
    let spec = loaded.resolved();
    let mode = if args.train { Mode::Train } else { Mode::Infer };
    let batch = args.batch.unwrap_or(if args.train { spec.train.batch_size } else { 1 });
    let backend = Backend::that_multiplies_in(spec.train.precision);
    let target = Target { backend, ..Target::new(mode, batch) };
    let trace = explain::trace(spec, &target).map_err(|faults| loaded.faults(faults))?;
    let explainer = Explainer { trace: &trace, spec, sources: loaded.sources(), width: output.page.columns };
    match explainer.text(&args.node) {
        Some(text) => output.result(&text),
        None => {
            let (spec, node) = (&args.spec, &args.node);
            let near = match trace.suggestions(node) {
                near if near.is_empty() => format!("`resnetc build {spec} --emit ir` lists all"),
                near => format!("near to it: {}", near.join(", ")),
            };
            let text = format!("`{spec}` has no node `{node}`, nor a part of that name; {near}");
            Err(Failure::Usage(text))
        }
    }
}
