//! A network of one's own, with two mistakes: `cargo run --example diagnostics`.

use std::io::Write;

use resnetc::{Error, Spec, SpecOptions};

/// `depht` is no key, and no unit is called `botleneck`.
const WRONG: &str = "\
name: mine
input: [3, 32, 32]
classes: 10
stem: conv3x3(16) -> bn -> relu
unit: botleneck
stages:
  - {depht: 3, filters: 16}
";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    run(&mut std::io::stdout())
}

/// Shows all mistakes of the spec, then compiles it without them.
pub fn run(out: &mut dyn Write) -> Result<(), Box<dyn std::error::Error>> {
    match Spec::from_text("mine.yaml", WRONG, &SpecOptions::default()) {
        Ok(spec) => writeln!(out, "{} is right", spec.name())?,
        Err(Error::Spec(faults)) => {
            writeln!(out, "{} mistakes\n{faults}", faults.diagnostics().len())?;
        }
        Err(other) => return Err(other.into()),
    }
    let right = WRONG.replace("botleneck", "bottleneck").replace("depht", "depth");
    let spec = Spec::from_text("mine.yaml", &right, &SpecOptions::default())?;
    writeln!(out, "{}: {} parameters", spec.name(), spec.expand()?.summary.params)?;
    Ok(())
}
