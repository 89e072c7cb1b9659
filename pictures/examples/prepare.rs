//! Writes what an ImageNet network sees of photographs, as raw RGB bytes of 224x224: `prepare FOLDER PHOTO...`. What
//! `scripts/pictures-golden --compare` reads.

use std::error::Error;
use std::path::{Path, PathBuf};

use resnetc_compiler::datasets::IMAGENET;
use resnetc_compiler::spec::preprocess::{Fit, Interpolation, Preprocess};
use resnetc_compiler::spec::train::Normalize;
use resnetc_pictures::{Limits, Preparer, decode};

fn main() -> Result<(), Box<dyn Error>> {
    let mut paths = std::env::args_os().skip(1).map(PathBuf::from);
    let folder = paths.next().ok_or("prepare FOLDER PHOTO...")?;
    std::fs::create_dir_all(&folder)?;
    let preprocess = Preprocess {
        fit: Fit::Center { resize: 256 },
        interpolation: Interpolation::Bilinear,
        normalize: Normalize { mean: IMAGENET.mean.to_vec(), std: IMAGENET.std.to_vec() },
    };
    let limits = Limits::default();
    let mut preparer = Preparer::new(IMAGENET.input, &preprocess, &limits)?;
    for path in paths {
        let seen = preparer.fit(&decode(&std::fs::read(&path)?, &limits)?)?;
        let name = path.file_name().map(Path::new).ok_or("a file has a name")?;
        std::fs::write(folder.join(format!("{}.rgb", name.display())), seen.pixels())?;
    }
    Ok(())
}
