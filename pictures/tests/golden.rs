//! Agreement with torchvision and Pillow, whose pixels `scripts/pictures-golden` wrote down.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use resnetc_compiler::datasets::IMAGENET;
use resnetc_compiler::spec::preprocess::{Fit, Interpolation, Preprocess};
use resnetc_compiler::spec::train::Normalize;
use resnetc_pictures::resize::resize;
use resnetc_pictures::{Limits, Picture, Preparer, decode};
use serde_json::Value;

/// Most that a pixel may differ by, of 255.
const TOLERANCE: u8 = 2;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn golden(name: &str) -> Value {
    let text = fs::read_to_string(folder().join(name)).expect("the golden files are there");
    serde_json::from_str(&text).expect("JSON")
}

fn number(value: &Value, key: &str) -> usize {
    value[key].as_u64().and_then(|number| number.try_into().ok()).expect("a whole number")
}

fn bytes(value: &Value) -> Vec<u8> {
    let text = value["pixels"].as_str().expect("hexadecimal text");
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("two digits");
    (0..text.len()).step_by(2).map(byte).collect()
}

fn preparer(side: usize, resize: usize) -> Preparer {
    let preprocess = Preprocess {
        fit: Fit::Center { resize },
        interpolation: Interpolation::Bilinear,
        normalize: Normalize { mean: IMAGENET.mean.to_vec(), std: IMAGENET.std.to_vec() },
    };
    Preparer::new([3, side, side], &preprocess, &Limits::default()).expect("colours")
}

fn largest(found: &[u8], expected: &[u8]) -> u8 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

/// The same as in the script: smooth red, fine green, blue edges.
fn pattern(width: usize, height: usize) -> Picture {
    let mut pixels = Vec::new();
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        let blue = if (x / 5 + y / 3) % 2 == 0 { 240 } else { 15 };
        let red = (x * 255 / (width - 1) + y * 3) % 256;
        let green = (x * x * 7 + y * y * 3 + x * y) % 256;
        pixels.extend([red, green, blue].map(|value| u8::try_from(value).expect("a byte")));
    }
    Picture::new(width, height, pixels)
}

#[test]
fn filters_are_pillows() {
    let source = pattern(61, 47);
    let golden = golden("synthetic.json");
    let cases = golden["resized"].as_array().expect("a list");
    assert_eq!(cases.len(), 12);
    let mut faults = Vec::new();
    for case in cases {
        let word = case["interpolation"].as_str().expect("a word");
        let by = Interpolation::ALL.into_iter().find(|(name, _)| *name == word).expect("a filter").1;
        let size = [number(case, "width"), number(case, "height")];
        let made = resize(source.view(), size, by, u64::MAX, &mut Default::default()).expect("small");
        let difference = largest(made.pixels(), &bytes(case));
        if difference > 0 {
            faults.push(format!("{word} to {size:?}: {difference}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_middle_of_the_resized_picture_is_torchvisions() {
    let golden = golden("synthetic.json");
    for case in golden["cropped"].as_array().expect("a list") {
        let (width, height) = (number(case, "width"), number(case, "height"));
        let made = preparer(15, 20).fit(&pattern(width, height)).expect("small");
        let difference = largest(made.pixels(), &bytes(case));
        assert_eq!(difference, 0, "{width}x{height}");
    }
}

/// Every kind of file as Pillow has it. What loses nothing is equal; JPEG and lossy WebP are decoded by other arithmetic.
#[test]
fn files_of_all_kinds_are_decoded() {
    let golden = golden("formats.json");
    let files = golden["files"].as_object().expect("a map");
    assert!(files.len() >= 28);
    let mut faults = Vec::new();
    for (name, case) in files {
        let file = fs::read(folder().join("formats").join(name)).expect("the golden files are there");
        let picture = match decode(&file, &Limits::default()) {
            Ok(picture) => picture,
            Err(error) => {
                faults.push(format!("{name}: {error}"));
                continue;
            }
        };
        assert_eq!(
            [picture.width(), picture.height()],
            [number(case, "width"), number(case, "height")],
            "{name}"
        );
        let lossy = name.ends_with("jpg") || name == "lossy.webp";
        let difference = largest(picture.pixels(), &bytes(case));
        if difference > if lossy { 4 } else { 0 } {
            faults.push(format!("{name}: differs by {difference}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// On a grid of pixels of each photograph. `scripts/pictures-golden --compare` compares all six million values, of which two, of a
/// photograph that is enlarged, differ by 3: the decoder's cosine transform rounds otherwise.
#[test]
fn photographs_are_prepared_as_by_torchvision() {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/imagenet-sample-40.tar");
    let Ok(file) = fs::File::open(&archive) else {
        let text = format!("SKIPPED, not checked: {} is not there\n", archive.display());
        std::io::stderr().write_all(text.as_bytes()).expect("standard error is open");
        return;
    };
    let golden = golden("photos.json");
    let (step, grid) = (number(&golden, "step"), number(&golden, "grid"));
    let cases = golden["photos"].as_array().expect("a list");
    let (mut seen, mut preparer) = (0, preparer(224, 256));
    for entry in tar::Archive::new(file).entries().expect("an archive") {
        let mut entry = entry.expect("readable");
        let path = entry.path().expect("a name").into_owned();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(case) = cases.iter().find(|case| case["name"] == name) else { continue };
        let mut file = Vec::new();
        entry.read_to_end(&mut file).expect("readable");
        let made =
            preparer.fit(&decode(&file, &Limits::default()).expect("a photograph")).expect("not narrow");
        let (left, top) = (number(case, "left"), number(case, "top"));
        let places = (0..grid).flat_map(|y| (0..grid).map(move |x| (top + y * step, left + x * step)));
        let found: Vec<u8> = places.flat_map(|(y, x)| made.crop(x, y, 1, 1).pixels().to_vec()).collect();
        let difference = largest(&found, &bytes(case));
        assert!(difference <= TOLERANCE, "{name}: {difference} of 255");
        seen += 1;
    }
    assert_eq!(seen, 40);
}
