//! Images through a network: `cargo run --release --example classify [WEIGHTS.safetensors]`.

use std::error::Error;
use std::io::Write;

use resnetc::{DeviceOptions, Model, Spec, SpecOptions};

fn main() -> Result<(), Box<dyn Error>> {
    run(&mut std::io::stdout(), std::env::args().nth(1).as_deref())
}

/// Classifies two images; without a file of weights with those that a training would start from.
pub fn run(out: &mut dyn Write, weights: Option<&str>) -> Result<(), Box<dyn Error>> {
    let spec = Spec::builtin("resnet20", &SpecOptions::default())?;
    let device = DeviceOptions::default();
    let model = match weights {
        Some(file) => Model::from_file(&spec, file, &device)?,
        None => Model::initial(&spec, &device)?,
    };
    writeln!(out, "{} on {}", spec.name(), model.describe_device())?;

    // Red and grey, [channel][row][column], as normalised pixels.
    let [channels, height, width] = model.image_shape();
    let image = |colour: [f32; 3]| (0..channels).flat_map(move |c| vec![colour[c]; height * width]);
    let images: Vec<f32> = image([2.0, -2.0, -2.0]).chain(image([0.0; 3])).collect();

    let answers = model.session()?.run(&images)?.softmax();
    for index in 0..answers.images() {
        for (class, probability) in answers.largest(index, 3) {
            writeln!(out, "image {index}: class {class} with {:.1} %", 100.0 * probability)?;
        }
    }
    Ok(())
}
