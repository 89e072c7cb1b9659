//! A training that ends when it is told to: `cargo run --release --example train [FOLDER]`.

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use resnetc::runtime::data::shapes10;
use resnetc::train::{Event, Outcome};
use resnetc::{Spec, SpecOptions, Trainer};

/// Steps after which it has seen enough.
const STEPS: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).unwrap_or("out/example".into());
    run(&mut std::io::stdout(), Path::new(&folder))
}

/// Trains a small network on drawn shapes for a few steps; the checkpoint lies in the folder.
pub fn run(out: &mut dyn Write, folder: &Path) -> Result<(), Box<dyn Error>> {
    let options = SpecOptions::default().set("train.dataset=shapes10").set("train.batch_size=16");
    let spec = Spec::builtin("resnet20", &options)?;
    let data = shapes10::generate(shapes10::Config { train: 64, test: 16, seed: 0 });

    let enough = Arc::new(AtomicBool::new(false));
    let mut trainer = Trainer::builder(&spec, data).out(folder).stop(Arc::clone(&enough)).build()?;
    let mut losses = Vec::new();
    let outcome = trainer.run(|event| {
        if let Event::Step(step) = event {
            losses.push(step.loss);
            enough.store(losses.len() == STEPS, Ordering::Relaxed);
        }
    })?;

    writeln!(out, "losses {losses:.3?}")?;
    match outcome {
        Outcome::Interrupted { checkpoint, step, .. } => {
            writeln!(out, "stopped after {step} steps: {}", checkpoint.display())?;
        }
        Outcome::Finished { checkpoint, .. } => writeln!(out, "finished: {}", checkpoint.display())?,
    }
    Ok(())
}
