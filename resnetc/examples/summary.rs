//! What a network is, and what it takes to run it: `cargo run --example summary`.

use std::error::Error;
use std::io::Write;

use resnetc::compiler::ir::graph::Mode;
use resnetc::compiler::report::Target;
use resnetc::{Spec, SpecOptions};

fn main() -> Result<(), Box<dyn Error>> {
    run(&mut std::io::stdout())
}

/// Compiles a compiled-in network with one value changed, for eight images at a time.
pub fn run(out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let spec = Spec::builtin("resnet50", &SpecOptions::default().set("classes=10"))?;
    let compiled = spec.compile(&Target::new(Mode::Infer, 8))?;
    let (summary, plan) = (&compiled.summary, &compiled.plan);

    for unit in &summary.units {
        writeln!(out, "{:<14} {:?}, {} parameters", unit.name, unit.output_shape, unit.params)?;
    }
    writeln!(out, "{}: {} parameters, {} MACs per image", spec.name(), summary.params, summary.macs)?;
    writeln!(out, "{} kernels, {} of memory for feature maps", plan.steps.len(), plan.sizes.arena)?;
    Ok(())
}
