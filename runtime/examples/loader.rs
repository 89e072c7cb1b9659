//! How many images a second the loader makes of a folder of pictures, as training does it: random resized crop, flip, normalised.
//! `benches/loader/run` sets it beside torchvision's.
//!
//! Usage: `loader DIR [WORKERS [EPOCHS [SIDE]]]`. One line for each epoch: images, seconds, images a second. Nothing decoded is kept.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use resnetc_compiler::datasets::IMAGENET;
use resnetc_compiler::spec::train::{Augment, Normalize, Reading};
use resnetc_runtime::data::batch::Form;
use resnetc_runtime::data::loader::{Epoch, Loader};
use resnetc_runtime::data::order::{Rank, once, shuffled};
use resnetc_runtime::data::pictures::{self, Rules};
use resnetc_runtime::data::transform::Transform;
use resnetc_runtime::error::{Error, Result};

const BATCH: usize = 64;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: usize| args.get(at).and_then(|arg| arg.parse().ok()).unwrap_or(default);
    let folder = args.first().ok_or_else(|| Error::Data("loader DIR [WORKERS [EPOCHS [SIDE]]]".into()))?;
    let (workers, epochs, side) = (number(1, 2), number(2, 3), number(3, 224));
    let set = pictures::load(Path::new(folder), &Rules { cache: 0, ..Rules::new(Reading::default(), 0) })?;
    let augment = [
        Augment::RandomResizedCrop { scale: [0.08, 1.0], ratio: [3.0 / 4.0, 4.0 / 3.0] },
        Augment::Flip { probability: 0.5 },
    ];
    let normalize = Normalize { mean: IMAGENET.mean.to_vec(), std: IMAGENET.std.to_vec() };
    let transform = Arc::new(Transform::new([side, side, 3], &normalize, &augment, 0)?);
    for epoch in 0..epochs {
        let started = Instant::now();
        let order = once(shuffled(set.train.len(), 0, epoch as u64, Rank::ONLY));
        let plan = Epoch { epoch, order, batch_size: BATCH, first_step: 0, form: Form::Floats };
        let mut loader = Loader::start(Arc::clone(&set.train), Arc::clone(&transform), plan, workers)?;
        let mut images = 0;
        while let Some((step, batch)) = loader.next_batch()? {
            images += batch.labels.len();
            loader.recycle(step, batch);
        }
        let seconds = started.elapsed().as_secs_f64();
        let line = format!("{images} images, {seconds:.3} s, {:.1} images/s\n", images as f64 / seconds);
        std::io::stdout().write_all(line.as_bytes()).map_err(Error::io("standard output"))?;
    }
    Ok(())
}
