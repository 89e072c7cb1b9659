//! One model, many threads: each has a session, all share the weights. `cargo run --release --example sessions`

use std::error::Error;
use std::io::Write;
use std::thread;

use resnetc::{DeviceOptions, Model, Spec, SpecOptions};

/// How many there are. Each session has one thread of its own, so that they do not wait for each other.
const SESSIONS: usize = 4;

fn main() -> Result<(), Box<dyn Error>> {
    run(&mut std::io::stdout())
}

/// Every session classifies another image.
pub fn run(out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let spec = Spec::builtin("resnet20", &SpecOptions::default())?;
    let model = Model::initial(&spec, &DeviceOptions::cpu(1))?;
    let pixels: usize = model.image_shape().iter().product();

    let work = |number: usize| -> resnetc::Result<usize> {
        let mut session = model.session()?;
        let image: Vec<f32> = (0..pixels).map(|i| ((i * (number + 1)) % 7) as f32 / 3.0 - 1.0).collect();
        Ok(session.run(&image)?.largest(0, 1)[0].0)
    };
    let answers: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..SESSIONS).map(|number| scope.spawn(move || work(number))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no session panics")).collect()
    });
    for (number, class) in answers.into_iter().enumerate() {
        writeln!(out, "session {number}: class {}", class?)?;
    }
    Ok(())
}
